"""The model that is served: raw RR intervals in, the probability of a seizure per window out.

It is kept as plain data, a skops file and a JSON file, which MLflow loads with `_load_pyfunc` from the copy of this
package beside them. Loading it runs no pickle.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import skops.io
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from mlflow.types import ColSpec, Schema

from aura.alarms import Alarms
from aura.classifier import TRUSTED_TYPES, Calibration, Classifier, seizure_probability
from aura.errors import AuraError
from aura.features import FeatureSpec, extract, feature_names
from aura.types import MAX_DURATION_S, Floats, RRSeries

MODEL_FILE, DETECTOR_FILE = "model.skops", "detector.json"
# Not all that Aura needs: what a server of the model does.
REQUIREMENTS = ("mlflow", "scikit-learn", "skops", "numba", "numpy", "scipy", "pandas", "pyarrow")
OF_REFERENCE = ("hrv-analysis", "nolds")
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
        ]
    ),
)


def save_detector(folder: Path, detector: "Detector") -> None:
    """Write a fitted model and what has to be known to use it."""
    folder.mkdir(parents=True, exist_ok=True)
    skops.io.dump(detector.model, folder / MODEL_FILE)
    values = {
        "features": detector.spec.to_dict(),
        "calibration": asdict(detector.calibration),
        "alarms": asdict(detector.alarms),
        "threshold": detector.threshold,
        "labels": detector.labels,
        "beats": detector.beats,
    }
    (folder / DETECTOR_FILE).write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")


def requirements(model: Classifier, spec: FeatureSpec) -> list[str]:
    """Pinned packages that a server of a model with such features needs."""
    names = list(REQUIREMENTS)
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
        Fitted classifier.
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

    model: Classifier
    spec: FeatureSpec
    calibration: Calibration
    alarms: Alarms
    threshold: float
    labels: Mapping[str, Any]
    beats: Mapping[str, Any]

    def probability(self, rr: RRSeries, *, from_s: float = 0.0) -> tuple[Floats, Floats]:
        """Ends of the windows of a recording, and the probability of each; NaN where a window has no feature."""
        windows = extract(rr, self.spec, from_s=from_s)
        x = windows[feature_names(windows)].to_numpy()
        return windows["t_s"].to_numpy(), self.calibration(seizure_probability(self.model, x))

    def predict(self, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Give the probability of a seizure for each window.

        Parameters
        ----------
        model_input
            A row per RR interval: ``t_s``, time of its second beat in seconds from the start of the recording;
            ``rr_ms``, its length in ms; optionally ``recording``, where there are several.
        params
            Not used; MLflow passes it.

        Returns
        -------
        DataFrame
            A row per window: ``recording`` where it was given, ``t_s`` of the window's end, ``probability``,
            missing where a window has not enough valid beats.

        Raises
        ------
        MlflowException
            INVALID_PARAMETER_VALUE (HTTP 400) with a sentence, for input that is no RR series.
        """
        parts = []
        for recording, rr in _series(model_input):
            # Nothing is known of the windows before the first interval, and they may be many.
            end_s, probability = self.probability(rr, from_s=float(rr.t_s[0] - rr.rr_ms[0] / 1000))
            part = pd.DataFrame({"t_s": end_s, "probability": probability})
            # A window without features has no probability: null in JSON, where NaN would be no JSON.
            part["probability"] = part["probability"].astype("Float64")
            if recording is not None:
                part.insert(0, "recording", recording)
            parts.append(part)
        return pd.concat(parts, ignore_index=True)


def load_detector(folder: Path) -> Detector:
    """Read what `save_detector` wrote, and have its features compiled, so that no request waits for it."""
    values = json.loads((folder / DETECTOR_FILE).read_text(encoding="utf-8"))
    model = skops.io.load(folder / MODEL_FILE, trusted=list(TRUSTED_TYPES))
    spec = FeatureSpec.from_dict(values["features"])
    extract(RRSeries(np.arange(1, 13, dtype=np.float64), np.full(12, 1000.0), 12.0), spec)
    calibration = Calibration(**values["calibration"]) if "calibration" in values else Calibration()
    alarms = Alarms(**values["alarms"]) if "alarms" in values else PLAIN
    return Detector(
        model, spec, calibration, alarms, values["threshold"], values.get("labels", {}), values.get("beats", {})
    )


def _load_pyfunc(path: str) -> Detector:
    """What MLflow calls to load the model."""
    return load_detector(Path(path))


def _series(rows: pd.DataFrame) -> Iterator[tuple[str | None, RRSeries]]:
    """RR series of each recording of a request, checked before any is computed."""
    if not len(rows):
        raise _bad("there is no row; give at least one RR interval as t_s (s) and rr_ms (ms)")
    if "recording" not in rows.columns or rows["recording"].isna().all():
        groups: list[tuple[str | None, pd.DataFrame]] = [(None, rows)]
    else:
        if not rows["recording"].map(lambda name: isinstance(name, str)).all():
            raise _bad("recording is missing or no text in some rows; give it in all rows or in none")
        groups = [(str(name), group) for name, group in rows.groupby("recording", sort=False)]
    yield from [(name, _one_series(name, group)) for name, group in groups]


def _one_series(name: str | None, rows: pd.DataFrame) -> RRSeries:
    """Check the rows of one recording."""
    t_s, rr_ms = rows["t_s"].to_numpy(np.float64), rows["rr_ms"].to_numpy(np.float64)
    # The recording is over with its last beat, as far as is known.
    last_s = t_s.max(initial=0.0) if np.isfinite(t_s).all() else 0.0
    try:
        return RRSeries(t_s, rr_ms, min(last_s, MAX_DURATION_S))
    except AuraError as error:
        raise _bad(str(error) if name is None else f"recording {name!r}: {error}") from error


def _bad(message: str) -> MlflowException:
    return MlflowException(message, error_code=INVALID_PARAMETER_VALUE)
