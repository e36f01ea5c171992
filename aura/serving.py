"""The model that is served: raw RR intervals in, the probability of a seizure per window out.

It is kept as plain data, a skops file and a JSON file, which MLflow loads with `_load_pyfunc` from the copy of this
package beside them. Loading it runs no pickle.
"""

import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from importlib.metadata import version
from itertools import pairwise
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import joblib
import numpy as np
import pandas as pd
import skops.io

from aura.alarms import Alarms
from aura.answer import in_columns, in_rows
from aura.classifier import Calibration, Classifier, Predictor, load_classifier, seizure_probability
from aura.detector_file import DetectorFile
from aura.features import BESIDE, FeatureSpec, extract, names_of
from aura.onnx_runtime import export, load_onnx
from aura.provenance import Origin
from aura.request import first_s, longer_step_s, orient_of, series_of
from aura.types import Floats, RRSeries

if TYPE_CHECKING:
    from aura.scraped import Measured

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
)
OF_REFERENCE = ("hrv-analysis", "nolds")
# All cores share the windows of a recording, as long as each has enough of them, since a part costs some ms of its own.
FEWEST_OF_PART = 1800
# More are done in turns, to bound the memory.
MOST_AT_ONCE = 86_400
# MLflow tells the process of a model server so which model it is to load.
IN_SERVER = "__pyfunc_model_path__"
# Why a window has no probability.
NO_BEATS, TOO_FEW = "no beats in the window", "too few valid beats in the window"


def save_detector(folder: Path, detector: "Detector", *, runtime: str) -> None:
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
class Detector:
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
        """Probability of each window of `aura.features.extract`; NaN where it has no feature."""
        # Features are the last columns; to choose them by name takes as long as half of them.
        x = windows.iloc[:, len(BESIDE) :].to_numpy()
        return self.calibration(seizure_probability(self.model, x))

    def predict(
        self, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame | dict[str, list[Any]]:
        """Give the probability of a seizure for each window.

        Parameters
        ----------
        model_input
            A row per RR interval: ``t_s``, time of its second beat in seconds from the start of the recording;
            ``rr_ms``, its length in ms; optionally ``recording``, where there are several.
        params
            ``step_s``: time from one window to the next, a multiple of that of the model, which it is where nothing
            is said; up to the shortest window. Windows and their probabilities are the same, only fewer.
            ``orient``: ``list`` has the columns one after the other, which is half of the work to write as JSON.

        Returns
        -------
        DataFrame, or dict of lists for ``list``
            A row per window: ``recording`` where it was given, ``t_s`` of the window's end, ``probability``,
            and ``reason``, why the probability is missing where it is.

        Raises
        ------
        MlflowException
            INVALID_PARAMETER_VALUE (HTTP 400) with a sentence, for input that is no RR series.
        """
        params = params or {}
        orient, step_s = orient_of(params), params.get("step_s")
        # Null is the step of the model.
        spec = self.spec if step_s is None else replace(self.spec, step_s=longer_step_s(step_s, self.spec))
        answer = replace(self, spec=spec)._rows(model_input)
        return in_columns(answer) if orient == "list" else answer

    def _rows(self, model_input: pd.DataFrame) -> pd.DataFrame:
        """Answer about all recordings of a request."""
        parts = []
        for recording, rr in series_of(model_input, step_s=self.spec.step_s):
            part = pd.concat(self._answers(rr), ignore_index=True)
            if recording is not None:
                part.insert(0, "recording", recording)
            parts.append(part)
        return pd.concat(parts, ignore_index=True)

    def _answers(self, rr: RRSeries) -> list[pd.DataFrame]:
        """Answer about a recording, part after part; of a long one, several at a time."""
        begin_s = first_s(rr)
        n_windows = int((rr.duration_s - begin_s) / self.spec.step_s)
        n_threads = min(n_windows // FEWEST_OF_PART, joblib.cpu_count()) or 1
        # As many for each core.
        n_parts = n_threads * ceil(max(n_windows, 1) / MOST_AT_ONCE)
        if n_parts == 1:
            return [self._answer(rr, begin_s, np.inf)]
        edges_s = np.linspace(begin_s, rr.duration_s, n_parts + 1)
        # The last window can end a little after the recording, by the rounding of sums of steps.
        parts = pairwise([*edges_s[:-1].tolist(), np.inf])
        with ThreadPoolExecutor(n_threads) as threads:
            return list(threads.map(lambda part: self._answer(rr, *part), parts))

    def _answer(self, rr: RRSeries, from_s: float, until_s: float) -> pd.DataFrame:
        """Answer about the windows that end after one time and up to another."""
        windows = extract(rr, self.spec, from_s=from_s, until_s=until_s)
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


def load_detector(folder: Path, *, runtime: str | None = None) -> Detector:
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
    extract(RRSeries(np.arange(1, 13, dtype=np.float64), np.full(12, 1000.0), 12.0), saved.features)
    return Detector(
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
        return load_onnx((folder / ONNX_FILE).read_bytes(), n_features=len(names_of(spec)))
    model = load_classifier(folder / MODEL_FILE, n_features=len(names_of(spec)))
    return load_onnx(export(model, spec), n_features=len(names_of(spec))) if runtime == "onnx" else model


class Served:
    """A detector as MLflow's server asks it, whose answers it writes as JSON."""

    def __init__(self, detector: Detector) -> None:
        self.detector = detector

    def predict(
        self, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> list[dict[str, Any]] | dict[str, list[Any]]:
        """Answer as `Detector.predict` does, a row after the other or a column after the other."""
        answer = self.detector.predict(model_input, params)
        return in_rows(answer) if isinstance(answer, pd.DataFrame) else answer


def _load_pyfunc(path: str) -> "Detector | Served | Measured":
    """What MLflow calls to load the model; in a server it is `Served`, and measured where AURA_METRICS_PORT says so."""
    detector = load_detector(Path(path))
    if IN_SERVER not in os.environ:
        return detector
    if not os.environ.get("AURA_METRICS_PORT"):
        return Served(detector)
    from aura import scraped

    return scraped.Measured(Served(detector), scraped.Meters(scraped.about(Path(path))))
