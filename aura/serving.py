"""The model that is served: raw RR intervals in, the probability of a seizure per window out.

It is kept as plain data, a skops file and a JSON file, which MLflow loads with `_load_pyfunc` from the copy of this
package beside them. Loading it runs no pickle.
"""

import json
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import skops.io
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema

from aura.alarms import Alarms
from aura.classifier import TRUSTED_TYPES, Calibration, Classifier, Predictor, seizure_probability
from aura.errors import AuraError
from aura.features import BESIDE, FeatureSpec, extract
from aura.onnx_runtime import export, load_onnx
from aura.types import MAX_DURATION_S, Floats, RRSeries

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
# Of one request: a week of one person, or a day of seven. More would keep all others waiting.
MAX_ROWS, MAX_WINDOWS, MAX_RECORDINGS = 1_000_000, 1_000_000, 1000
# Of a longer recording, threads share the windows.
WINDOWS_AT_ONCE = 8192
# A multiple is one to within this.
STEP_TOLERANCE = 1e-6
# Times of so many intervals, this much further apart than these are long, are no seconds.
MANY, APART = 10, 100.0
# MLflow tells the process of a model server so which model it is to load.
IN_SERVER = "__pyfunc_model_path__"
# Why a window has no probability.
NO_BEATS, TOO_FEW = "no beats in the window", "too few valid beats in the window"
# Versions that were registered without any had these.
PLAIN = Alarms(smoothing_s=0, baseline_s=0, baseline_quantile=0, release=1, min_duration_s=0, refractory_s=0)

SIGNATURE = ModelSignature(
    inputs=Schema(
        [ColSpec("double", "t_s"), ColSpec("double", "rr_ms"), ColSpec("string", "recording", required=False)]
    ),
    outputs=Schema(
        [
            ColSpec("string", "recording", required=False),
            ColSpec("double", "t_s"),
            ColSpec("double", "probability"),
            ColSpec("string", "reason", required=False),
        ]
    ),
    # Null is the step of the model.
    params=ParamSchema([ParamSpec("step_s", "double", None)]),
)


class Refused(MlflowException):  # type: ignore[misc]
    """A request that cannot be answered: HTTP 400 with a sentence, and a kind to count by."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message, error_code=INVALID_PARAMETER_VALUE)
        self.kind = kind


def save_detector(folder: Path, detector: "Detector", *, runtime: str) -> None:
    """Write a fitted model and what has to be known to use it.

    Parameters
    ----------
    folder
        Where to; it is made.
    detector
        As it was trained.
    runtime
        What computes its probabilities when it is used: ``sklearn``, or ``onnx``, which answers a single window in a
        hundredth of the time, and for which the model is written a second time.
    """
    folder.mkdir(parents=True, exist_ok=True)
    skops.io.dump(detector.model, folder / MODEL_FILE)
    if runtime == "onnx":
        (folder / ONNX_FILE).write_bytes(export(detector.model, detector.spec))
    values = {
        "features": detector.spec.to_dict(),
        "calibration": asdict(detector.calibration),
        "alarms": asdict(detector.alarms),
        "threshold": detector.threshold,
        "runtime": runtime,
        "labels": detector.labels,
        "beats": detector.beats,
    }
    (folder / DETECTOR_FILE).write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")


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
    """

    model: Predictor
    spec: FeatureSpec
    calibration: Calibration
    alarms: Alarms
    threshold: float
    labels: Mapping[str, Any]
    beats: Mapping[str, Any]

    def probability(self, windows: pd.DataFrame) -> Floats:
        """Probability of each window of `aura.features.extract`; NaN where it has no feature."""
        # Features are the last columns; to choose them by name takes as long as half of them.
        x = windows.iloc[:, len(BESIDE) :].to_numpy()
        return self.calibration(seizure_probability(self.model, x))

    def predict(self, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Give the probability of a seizure for each window.

        Parameters
        ----------
        model_input
            A row per RR interval: ``t_s``, time of its second beat in seconds from the start of the recording;
            ``rr_ms``, its length in ms; optionally ``recording``, where there are several.
        params
            ``step_s``: time from one window to the next, a multiple of that of the model, which it is where nothing
            is said; up to the shortest window. Windows and their probabilities are the same, only fewer.

        Returns
        -------
        DataFrame
            A row per window: ``recording`` where it was given, ``t_s`` of the window's end, ``probability``,
            and ``reason``, why the probability is missing where it is.

        Raises
        ------
        MlflowException
            INVALID_PARAMETER_VALUE (HTTP 400) with a sentence, for input that is no RR series.
        """
        step_s = (params or {}).get("step_s")
        if step_s is not None:
            return replace(self, spec=replace(self.spec, step_s=self._longer(step_s))).predict(model_input)
        parts = []
        for recording, rr in self._checked(model_input):
            part = pd.concat(self._answers(rr), ignore_index=True)
            if recording is not None:
                part.insert(0, "recording", recording)
            parts.append(part)
        return pd.concat(parts, ignore_index=True)

    def _longer(self, step_s: float) -> float:
        """Check the step that is asked for."""
        own_s, times = self.spec.step_s, step_s / self.spec.step_s
        # Longer ones would leave out beats.
        shortest_s = min(length_s for _, lengths_s in self.spec.lengths_s for length_s in lengths_s)
        if not (1 <= times <= shortest_s / own_s and abs(times - round(times)) < STEP_TOLERANCE):
            raise Refused(
                "bad_step",
                f"step_s={step_s:g}; allowed are multiples of {own_s:g}, the model's own, up to its shortest window, "
                f"{shortest_s:g}",
            )
        return round(times) * own_s

    def _answers(self, rr: RRSeries) -> list[pd.DataFrame]:
        """Answer about a recording, part after part; of a long one, several at a time."""
        edges_s = np.arange(_first_s(rr), rr.duration_s, WINDOWS_AT_ONCE * self.spec.step_s).tolist()
        # The last window can end a little after the recording, by the rounding of sums of steps.
        parts = list(pairwise([*edges_s, np.inf]))
        if len(parts) == 1:
            return [self._answer(rr, *parts[0])]
        with ThreadPoolExecutor(os.cpu_count()) as threads:
            return list(threads.map(lambda part: self._answer(rr, *part), parts))

    def _answer(self, rr: RRSeries, from_s: float, until_s: float) -> pd.DataFrame:
        """Answer about the windows that end after one time and up to another."""
        windows = extract(rr, self.spec, from_s=from_s, until_s=until_s)
        probability = self.probability(windows)
        # A window without features has no probability: null in JSON, where NaN would be no JSON.
        why = pd.Series(reasons(windows, probability), dtype=object)
        values = pd.array(probability, dtype="Float64")
        return pd.DataFrame({"t_s": windows["t_s"], "probability": values, "reason": why})

    def _checked(self, rows: pd.DataFrame) -> list[tuple[str | None, RRSeries]]:
        """RR series of each recording of a request, which is not too large to be answered."""
        if len(rows) > MAX_ROWS:
            raise Refused("too_many_rows", f"{len(rows)} rows are too many for one request; allowed are {MAX_ROWS}")
        series = _series(rows)
        if len(series) > MAX_RECORDINGS:
            raise Refused(
                "too_many_recordings",
                f"{len(series)} recordings are too many for one request; allowed are {MAX_RECORDINGS}",
            )
        n_windows = sum((rr.duration_s - _first_s(rr)) / self.spec.step_s for _, rr in series)
        if n_windows > MAX_WINDOWS:
            raise Refused(
                "too_many_windows",
                f"{n_windows:.0f} windows, one each {self.spec.step_s:g} s, are too many for one request; allowed are "
                f"{MAX_WINDOWS}",
            )
        return series


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
    """
    values = json.loads((folder / DETECTOR_FILE).read_text(encoding="utf-8"))
    spec = FeatureSpec.from_dict(values["features"])
    extract(RRSeries(np.arange(1, 13, dtype=np.float64), np.full(12, 1000.0), 12.0), spec)
    return Detector(
        _load_model(folder, spec, runtime or values.get("runtime", "sklearn")),
        spec,
        Calibration(**values["calibration"]) if "calibration" in values else Calibration(),
        Alarms(**values["alarms"]) if "alarms" in values else PLAIN,
        values["threshold"],
        values.get("labels", {}),
        values.get("beats", {}),
    )


def _load_model(folder: Path, spec: FeatureSpec, runtime: str) -> Predictor:
    """The model, in the runtime that is wanted."""
    if runtime == "onnx" and (folder / ONNX_FILE).exists():
        return load_onnx((folder / ONNX_FILE).read_bytes())
    model: Classifier = skops.io.load(folder / MODEL_FILE, trusted=list(TRUSTED_TYPES))
    return load_onnx(export(model, spec)) if runtime == "onnx" else model


def _load_pyfunc(path: str) -> "Detector | Measured":
    """What MLflow calls to load the model; a server of it is measured where AURA_METRICS_PORT says so."""
    detector = load_detector(Path(path))
    if not os.environ.get("AURA_METRICS_PORT") or IN_SERVER not in os.environ:
        return detector
    from aura import scraped

    return scraped.Measured(detector, scraped.Meters(scraped.about(Path(path))))


def _series(rows: pd.DataFrame) -> list[tuple[str | None, RRSeries]]:
    """RR series of each recording of a request, checked before any is computed."""
    if not len(rows):
        raise Refused("no_rows", "there is no row; give at least one RR interval as t_s (s) and rr_ms (ms)")
    if "recording" not in rows.columns or rows["recording"].isna().all():
        groups: list[tuple[str | None, pd.DataFrame]] = [(None, rows)]
    else:
        if not rows["recording"].map(lambda name: isinstance(name, str)).all():
            raise Refused(
                "bad_recording", "recording is missing or no text in some rows; give it in all rows or in none"
            )
        groups = [(str(name), group) for name, group in rows.groupby("recording", sort=False)]
    return [(name, _one_series(name, group)) for name, group in groups]


def _first_s(rr: RRSeries) -> float:
    """Where the first interval begins: nothing is known of the windows before it, and they may be many."""
    return float(rr.t_s[0] - rr.rr_ms[0] / 1000)


def _one_series(name: str | None, rows: pd.DataFrame) -> RRSeries:
    """Check the rows of one recording."""
    t_s, rr_ms = rows["t_s"].to_numpy(np.float64), rows["rr_ms"].to_numpy(np.float64)
    # The recording is over with its last beat, as far as is known.
    last_s = t_s.max(initial=0.0) if np.isfinite(t_s).all() else 0.0
    try:
        rr = RRSeries(t_s, rr_ms, min(last_s, MAX_DURATION_S))
        if len(t_s) >= MANY and np.median(np.diff(t_s)) > APART * np.median(rr_ms) / 1000:
            raise AuraError("t_s has to be in seconds; most intervals are far from the one before them")
    except AuraError as error:
        message = str(error) if name is None else f"recording {name!r}: {error}"
        raise Refused("no_rr_series", message) from error
    return rr
