"""A fitted seizure detector, in memory and on disk."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from itertools import pairwise
from math import ceil
from os import PathLike
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd

from aura.core.arrays import Floats
from aura.core.errors import AuraError, InvalidInput, check_number, check_type, quote
from aura.core.provenance import Origin
from aura.core.series import RRSeries
from aura.detection.alarms import Alarms, Detections
from aura.detection.detector_file import RUNTIMES, DetectorFile
from aura.features import CONTEXT_COLUMNS, FeatureSpec, extract_features, list_features
from aura.learning.calibration import Calibration
from aura.learning.classifier import Predictor, seizure_probability

MODEL_FILE, ONNX_FILE, DETECTOR_FILE = "model.skops", "model.onnx", "detector.json"
# Packages that a server of a detector needs; the whole of Aura needs more.
REQUIREMENTS = (
    "mlflow",
    "scikit-learn",
    "skops",
    "numba",
    "numpy",
    "scipy",
    "pandas",
    "pyarrow",
    "prometheus-client",
    "lazy-loader",
)
REFERENCE_REQUIREMENTS = ("hrv-analysis", "nolds")
# A part of a recording costs some ms of its own, so each thread gets at least this many windows.
MIN_WINDOWS_PER_PART = 1800
# Longer recordings are computed in turns, which bounds the memory.
MAX_WINDOWS_PER_PART = 86_400
# Reasons for a missing probability.
NO_BEATS, TOO_FEW = "no beats in the window", "too few valid beats in the window"


@dataclass(frozen=True, eq=False)
class SeizureDetector:
    """A fitted classifier with its features, and the rules that turn its probabilities into alarms.

    Parameters
    ----------
    model
        Fitted classifier, or its ONNX counterpart.
    spec
        Features that the classifier was fitted on.
    calibration
        Calibration of its probabilities.
    alarms, threshold
        Rules that raise alarms, and the score at which they raise one.
    labels
        Configuration of the labels it was fitted to; empty if it is not recorded.
    beats
        Configuration of ``detector`` and ``quality`` that made the RR intervals it was fitted on; empty if it is not
        recorded.
    origin
        What it was trained on.
    """

    model: Predictor
    spec: FeatureSpec
    calibration: Calibration
    alarms: Alarms
    threshold: float
    labels: Mapping[str, Any]
    beats: Mapping[str, Any]
    origin: Origin

    def __post_init__(self) -> None:
        """Validate the types."""
        if not hasattr(self.model, "predict_proba"):
            raise InvalidInput(f"model is of type {type(self.model).__name__}; allowed is a fitted classifier")
        for name, kind in (("spec", FeatureSpec), ("calibration", Calibration), ("alarms", Alarms), ("origin", Origin)):
            check_type(name, getattr(self, name), kind, f"a value of type {kind.__name__}")
        check_number("threshold", self.threshold, "numbers, or infinity")
        check_type("labels", self.labels, Mapping, "a mapping, which may be empty")
        check_type("beats", self.beats, Mapping, "a mapping, which may be empty")

    def probability(self, windows: pd.DataFrame) -> Floats:
        """Compute the seizure probability of each window.

        Parameters
        ----------
        windows
            (n_windows,) rows of `aura.features.extract_features` for the features of this detector.

        Returns
        -------
        (n_windows,) Floats
            NaN for a window without features.

        Raises
        ------
        InvalidInput
            If ``windows`` is not a DataFrame with the features of this detector.
        """
        if not isinstance(windows, pd.DataFrame):
            raise InvalidInput(f"windows={quote(windows)} is not a DataFrame; allowed are windows with their features")
        if windows.shape[1] != self._n_columns:
            raise InvalidInput(
                f"windows has {windows.shape[1]} columns; allowed are the {self._n_columns} that extract_features "
                "returns for the features of this detector"
            )
        # Features are the last columns; selecting them by name would take half as long as the prediction.
        try:
            x = windows.iloc[:, len(CONTEXT_COLUMNS) :].to_numpy(dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise InvalidInput(f"windows holds values that are not numbers ({error})") from error
        return self.calibration(seizure_probability(self.model, x))

    def predict(self, rr: RRSeries) -> pd.DataFrame:
        """Compute the seizure probability of each window of a recording, from its first interval on.

        Parameters
        ----------
        rr
            RR intervals of the recording, at least one.

        Returns
        -------
        DataFrame
            A row per window: ``t_s``, the end of the window in seconds; ``probability``, missing if the window has no
            features; and ``reason``, why it is missing.

        Raises
        ------
        InvalidInput
            If ``rr`` is not an RRSeries, or has no interval.
        """
        _check_series(rr)
        if not len(rr.t_s):
            raise InvalidInput("rr has no interval; at least one is needed")
        return pd.concat(self._predict_parts(rr), ignore_index=True)

    def detect(self, rr: RRSeries) -> Detections:
        """Find the alarms of a recording, and the stretches that could not be assessed.

        Parameters
        ----------
        rr
            RR intervals of the recording.

        Raises
        ------
        InvalidInput
            If ``rr`` is not an RRSeries.
        """
        _check_series(rr)
        step_s = self.spec.step_s
        probability = self.probability(extract_features(rr, self.spec))
        score = self.alarms.score(probability, step_s=step_s)
        return self.alarms.detect(probability, score, threshold=self.threshold, step_s=step_s, duration_s=rr.duration_s)

    def save(self, folder: str | PathLike[str], *, runtime: str = "sklearn") -> None:
        """Write the detector to a folder, from which `load_detector` reads it.

        Parameters
        ----------
        folder
            Folder to write to; it is created.
        runtime
            Library that computes the probabilities after loading: ``sklearn``, or ``onnx``, which answers a single
            window faster and needs a second copy of the classifier.

        Raises
        ------
        InvalidInput
            If ``folder`` is not a path, or the runtime is unknown.
        AuraError
            If the classifier cannot be written in ONNX.
        """
        import skops.io

        path = _check_path(folder)
        _check_runtime(runtime)
        path.mkdir(parents=True, exist_ok=True)
        skops.io.dump(self.model, path / MODEL_FILE)
        if runtime == "onnx":
            from aura.detection.onnx import export_onnx

            (path / ONNX_FILE).write_bytes(export_onnx(self.model, self.spec))
        DetectorFile(
            self.spec,
            self.threshold,
            self.calibration,
            self.alarms,
            runtime,
            self.labels,
            self.beats,
            self.origin,
        ).write(path / DETECTOR_FILE)

    def requirements(self, *, runtime: str) -> list[str]:
        """Return the pinned packages that a server of this detector needs."""
        _check_runtime(runtime)
        names = [*REQUIREMENTS, "onnxruntime"] if runtime == "onnx" else list(REQUIREMENTS)
        if type(self.model).__module__.startswith("lightgbm."):
            names.append("lightgbm")
        if self.spec.engine == "hrv_analysis":
            names += REFERENCE_REQUIREMENTS
            if version("hrv-analysis") == "1.0.5":
                names.append("setuptools")
        return [f"{name}=={version(name)}" for name in names]

    @cached_property
    def _n_columns(self) -> int:
        """Number of columns of the windows."""
        return len(CONTEXT_COLUMNS) + len(list_features(self.spec))

    def _predict_parts(self, rr: RRSeries) -> list[pd.DataFrame]:
        """Predict a recording in parts; several threads share a long one."""
        begin_s = first_interval_onset_s(rr)
        n_windows = int((rr.duration_s - begin_s) / self.spec.step_s)
        n_threads = min(n_windows // MIN_WINDOWS_PER_PART, joblib.cpu_count()) or 1
        # A multiple of n_threads, so that all cores finish together.
        n_parts = n_threads * ceil(max(n_windows, 1) / MAX_WINDOWS_PER_PART)
        if n_parts == 1:
            return [self._predict_part(rr, begin_s, np.inf)]
        edges_s = np.linspace(begin_s, rr.duration_s, n_parts + 1)
        # By the rounding of sums of steps, the last window may end slightly after the recording.
        parts = pairwise([*edges_s[:-1].tolist(), np.inf])
        with ThreadPoolExecutor(n_threads) as threads:
            return list(threads.map(lambda part: self._predict_part(rr, *part), parts))

    def _predict_part(self, rr: RRSeries, from_s: float, until_s: float) -> pd.DataFrame:
        """Predict the windows that end after ``from_s``, up to ``until_s``."""
        windows = extract_features(rr, self.spec, from_s=from_s, until_s=until_s)
        probability = self.probability(windows)
        # A window without features gets a missing value, which is null in JSON; JSON has no NaN.
        reasons = pd.Series(explain_missing(windows, probability), dtype=object)
        values = pd.array(probability, dtype="Float64")
        return pd.DataFrame({"t_s": windows["t_s"], "probability": values, "reason": reasons})


def explain_missing(windows: pd.DataFrame, probability: Floats) -> list[str | None]:
    """Explain why windows have no probability; None for a window that has one."""
    reasons = np.full(len(probability), None, dtype=object)
    is_missing, is_empty = np.isnan(probability), windows["corrected"].isna().to_numpy()
    reasons[is_missing & is_empty], reasons[is_missing & ~is_empty] = NO_BEATS, TOO_FEW
    return list(reasons)


def load_detector(folder: str | PathLike[str], *, runtime: str | None = None) -> SeizureDetector:
    """Load a detector that `SeizureDetector.save` wrote, and compile its features, so that no request waits for it.

    The files may come from a stranger: nothing in them is imported or run.

    Parameters
    ----------
    folder
        Folder of the detector, or of the MLflow model that contains it.
    runtime
        Runtime to use instead of the saved one; ``onnx`` is exported here if it was not saved.

    Raises
    ------
    InvalidInput
        If ``folder`` is not a path, or the runtime is unknown.
    AuraError
        If the folder holds no detector, or its files are not allowed.
    """
    path = _check_path(folder)
    if runtime is not None:
        _check_runtime(runtime)
    # MLflow keeps the data of a model two levels down.
    files = [path / DETECTOR_FILE, *sorted(path.glob(f"data/*/{DETECTOR_FILE}"))]
    path = next((file.parent for file in files if file.is_file()), path)
    if not (path / DETECTOR_FILE).is_file():
        raise AuraError(f"folder={folder} holds no detector: it has no file {DETECTOR_FILE}")
    saved = DetectorFile.read(path / DETECTOR_FILE)
    model = _load_model(path, saved.features, runtime or saved.runtime)
    extract_features(RRSeries(np.arange(1, 13, dtype=np.float64), np.full(12, 1000.0), 12.0), saved.features)
    return SeizureDetector(
        model,
        saved.features,
        saved.calibration,
        saved.alarms,
        saved.threshold,
        saved.labels,
        saved.beats,
        saved.origin,
    )


def first_interval_onset_s(rr: RRSeries) -> float:
    """Return the onset of the first interval in seconds. Windows before it hold no data, and may be many."""
    return float(rr.t_s[0] - rr.rr_ms[0] / 1000)


def _load_model(folder: Path, spec: FeatureSpec, runtime: str) -> Predictor:
    """Load the classifier for a runtime."""
    # skops imports all of scikit-learn, which takes two seconds.
    from aura.detection.onnx import export_onnx, load_onnx
    from aura.learning.classifier_file import load_classifier

    n_features = len(list_features(spec))
    if runtime == "onnx" and (folder / ONNX_FILE).exists():
        return load_onnx((folder / ONNX_FILE).read_bytes(), n_features=n_features)
    model = load_classifier(folder / MODEL_FILE, n_features=n_features)
    return load_onnx(export_onnx(model, spec), n_features=n_features) if runtime == "onnx" else model


def _check_path(folder: object) -> Path:
    if not isinstance(folder, str | PathLike):
        raise InvalidInput(f"folder={quote(folder)} is not a path; allowed is the folder of a detector")
    return Path(folder)


def _check_runtime(runtime: object) -> None:
    if not isinstance(runtime, str) or runtime not in RUNTIMES:
        raise InvalidInput(f"runtime={quote(runtime)}; allowed are {', '.join(RUNTIMES)}")


def _check_series(rr: object) -> None:
    if not isinstance(rr, RRSeries):
        raise InvalidInput(f"rr={quote(rr)} is not an RRSeries; allowed is RRSeries(t_s, rr_ms, duration_s)")
