"""A fitted detector, in memory and on disk."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import version
from itertools import pairwise
from math import ceil
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import skops.io

from aura.core.arrays import Floats
from aura.core.provenance import Origin
from aura.core.series import RRSeries
from aura.detection.alarms import Alarms
from aura.detection.detector_file import DetectorFile
from aura.detection.onnx import export, load_onnx
from aura.features import CONTEXT_COLUMNS, FeatureSpec, extract_features, list_features
from aura.learning.calibration import Calibration
from aura.learning.classifier import Classifier, Predictor, seizure_probability
from aura.learning.classifier_file import load_classifier

MODEL_FILE, ONNX_FILE, DETECTOR_FILE = "model.skops", "model.onnx", "detector.json"
# Not all that Aura needs: what a server of the model does.
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
OF_REFERENCE = ("hrv-analysis", "nolds")
# All cores share the windows of a recording, as long as each has enough of them, since a part costs some ms of its own.
FEWEST_OF_PART = 1800
# More are done in turns, to bound the memory.
MOST_AT_ONCE = 86_400
# Why a window has no probability.
NO_BEATS, TOO_FEW = "no beats in the window", "too few valid beats in the window"


def save_detector(folder: Path, detector: "SeizureDetector", *, runtime: str) -> None:
    """Write a fitted model and what has to be known to use it.

    Parameters
    ----------
    folder
        Where to; it is made.
    detector
        As it was trained.
    runtime
        What computes its probabilities when it is used: ``sklearn``, or ``onnx``, which answers a single window
        faster, and for which the model is written a second time.
    """
    folder.mkdir(parents=True, exist_ok=True)
    skops.io.dump(detector.model, folder / MODEL_FILE)
    if runtime == "onnx":
        (folder / ONNX_FILE).write_bytes(export(detector.model, detector.spec))
    DetectorFile(
        detector.spec,
        detector.threshold,
        detector.calibration,
        detector.alarms,
        runtime,
        detector.labels,
        detector.beats,
        detector.origin,
    ).write(folder / DETECTOR_FILE)


def requirements(model: Classifier, spec: FeatureSpec, *, runtime: str) -> list[str]:
    """Pinned packages that a server of a model with such features needs."""
    names = [*REQUIREMENTS, "onnxruntime"] if runtime == "onnx" else list(REQUIREMENTS)
    if type(model).__module__.startswith("lightgbm."):
        names.append("lightgbm")
    if spec.engine == "hrv_analysis":
        names += [*OF_REFERENCE, "setuptools"] if version("hrv-analysis") == "1.0.5" else OF_REFERENCE
    return [f"{name}=={version(name)}" for name in names]


@dataclass(frozen=True, eq=False)
class SeizureDetector:
    """A fitted model with its features, and how its probabilities become alarms.

    Parameters
    ----------
    model
        What gives probabilities: a fitted classifier.
    spec
        The features it was fitted on.
    calibration
        Of its probabilities.
    alarms, threshold
        What raises alarms, and the score from which on it does.
    labels
        Configuration of what it was taught; empty for one that does not say.
    beats
        Configuration of ``detector`` and ``quality``, by which the RR intervals it was taught were made; empty for one
        that does not say.
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

    def probability(self, windows: pd.DataFrame) -> Floats:
        """Probability of each window of `aura.features.extract_features`; NaN where it has no feature."""
        # Features are the last columns; to choose them by name takes as long as half of them.
        x = windows.iloc[:, len(CONTEXT_COLUMNS) :].to_numpy()
        return self.calibration(seizure_probability(self.model, x))

    def predict(self, rr: RRSeries) -> pd.DataFrame:
        """Give the probability of a seizure for each window of a recording, from its first interval on.

        Parameters
        ----------
        rr
            RR intervals of the recording.

        Returns
        -------
        DataFrame
            A row per window: ``t_s`` of the window's end, ``probability``, and ``reason``, why the probability is
            missing where it is.
        """
        return pd.concat(self._parts(rr), ignore_index=True)

    def _parts(self, rr: RRSeries) -> list[pd.DataFrame]:
        """Parts of the rows of a recording; of a long one, several are computed at a time."""
        begin_s = first_s(rr)
        n_windows = int((rr.duration_s - begin_s) / self.spec.step_s)
        n_threads = min(n_windows // FEWEST_OF_PART, joblib.cpu_count()) or 1
        # As many for each core.
        n_parts = n_threads * ceil(max(n_windows, 1) / MOST_AT_ONCE)
        if n_parts == 1:
            return [self._part(rr, begin_s, np.inf)]
        edges_s = np.linspace(begin_s, rr.duration_s, n_parts + 1)
        # The last window can end a little after the recording, by the rounding of sums of steps.
        parts = pairwise([*edges_s[:-1].tolist(), np.inf])
        with ThreadPoolExecutor(n_threads) as threads:
            return list(threads.map(lambda part: self._part(rr, *part), parts))

    def _part(self, rr: RRSeries, from_s: float, until_s: float) -> pd.DataFrame:
        """Rows of the windows that end after one time and up to another."""
        windows = extract_features(rr, self.spec, from_s=from_s, until_s=until_s)
        probability = self.probability(windows)
        # A window without features has no probability: null in JSON, where NaN would be no JSON.
        why = pd.Series(reasons(windows, probability), dtype=object)
        values = pd.array(probability, dtype="Float64")
        return pd.DataFrame({"t_s": windows["t_s"], "probability": values, "reason": why})


def reasons(windows: pd.DataFrame, probability: Floats) -> list[str | None]:
    """Why windows have no probability; None for those that have one."""
    found = np.full(len(probability), None, dtype=object)
    missing, empty = np.isnan(probability), windows["corrected"].isna().to_numpy()
    found[missing & empty], found[missing & ~empty] = NO_BEATS, TOO_FEW
    return list(found)


def load_detector(folder: Path, *, runtime: str | None = None) -> SeizureDetector:
    """Read what `save_detector` wrote, and have its features compiled, so that no request waits for it.

    Parameters
    ----------
    folder
        Where it is.
    runtime
        Another one than it was saved with; ``onnx`` is made here where it was not saved.

    Raises
    ------
    AuraError
        For files that are not a detector. They may come from a stranger: nothing in them is imported or run.
    """
    saved = DetectorFile.read(folder / DETECTOR_FILE)
    model = _load_model(folder, saved.features, runtime or saved.runtime)
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


def _load_model(folder: Path, spec: FeatureSpec, runtime: str) -> Predictor:
    """The model, in the runtime that is wanted."""
    if runtime == "onnx" and (folder / ONNX_FILE).exists():
        return load_onnx((folder / ONNX_FILE).read_bytes(), n_features=len(list_features(spec)))
    model = load_classifier(folder / MODEL_FILE, n_features=len(list_features(spec)))
    return load_onnx(export(model, spec), n_features=len(list_features(spec))) if runtime == "onnx" else model


def first_s(rr: RRSeries) -> float:
    """Where the first interval begins: nothing is known of the windows before it, and they may be many."""
    return float(rr.t_s[0] - rr.rr_ms[0] / 1000)
