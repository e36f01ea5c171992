"""``detector.json``: all that a saved detector is beside its classifier, as plain values that are checked when read.

The file may come from a stranger, with the rest of a model folder. It names parts of Aura by the short names of
`aura.detection.components`, and nothing in it is imported or run.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

from aura.core.errors import AuraError
from aura.core.provenance import Origin
from aura.detection.alarms import Alarms
from aura.detection.components import BEAT_DETECTORS, LABELLINGS, labelling
from aura.features import FeatureSpec
from aura.learning.calibration import Calibration

RUNTIMES = ("sklearn", "onnx")
# A file of ours has 3 kB.
MAX_BYTES = 1_000_000
# Alarm settings of versions registered before alarms were saved.
PLAIN = Alarms(smoothing_s=0, baseline_s=0, baseline_quantile=0, release=1, min_duration_s=0, refractory_s=0)
REQUIRED = ("features", "threshold")
# What the parts of a file raise on values of the wrong type.
WRONG_VALUES = (TypeError, ValueError, KeyError, AttributeError, OverflowError)
Part = TypeVar("Part", Calibration, Alarms, Origin)


@dataclass(frozen=True, eq=False)
class DetectorFile:
    """What the file holds.

    Parameters
    ----------
    features
        Features that the classifier was fitted on.
    threshold
        Score from which on an alarm is raised; infinite where none is ever raised.
    calibration, alarms
        How scores of the classifier become probabilities, and these alarms.
    runtime
        Of `RUNTIMES`: what computes the probabilities.
    labels
        What was learned, as ``labels`` of a configuration; empty where the file does not say.
    beats
        ``detector`` and ``quality`` of the configuration that the recordings were prepared with; empty where the file
        does not say.
    origin
        What it was trained on, and by which software.
    """

    features: FeatureSpec
    threshold: float
    calibration: Calibration
    alarms: Alarms
    runtime: str
    labels: Mapping[str, Any]
    beats: Mapping[str, Any]
    origin: Origin

    def write(self, path: Path) -> None:
        """Write the file, with short names in place of import paths."""
        values = {
            "features": self.features.to_dict(),
            "calibration": asdict(self.calibration),
            "alarms": asdict(self.alarms),
            "threshold": self.threshold,
            "runtime": self.runtime,
            "labels": LABELLINGS.to_saved("labels", self.labels) if self.labels else {},
            "beats": _beats(self.beats, BEAT_DETECTORS.to_saved) if self.beats else {},
            "origin": asdict(self.origin),
        }
        path.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> "DetectorFile":
        """Read and check a file.

        Raises
        ------
        AuraError
            With the first key that holds something that is not allowed.
        """
        if path.stat().st_size > MAX_BYTES:
            raise AuraError(f"{path.name} has {path.stat().st_size} bytes; allowed are {MAX_BYTES}")
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
        except (ValueError, RecursionError) as error:
            raise AuraError(f"{path.name} is not valid JSON: {error}") from error
        try:
            return cls._checked(values)
        except AuraError as error:
            raise AuraError(f"{path.name}: {error}") from error

    @classmethod
    def _checked(cls, values: object) -> "DetectorFile":
        known = [field.name for field in fields(cls)]
        values = _mapping("the file", values, known)
        for key in REQUIRED:
            if key not in values:
                raise AuraError(f"{key} is missing")
        labels, beats = values.get("labels"), values.get("beats")
        if labels:
            labels = LABELLINGS.to_config("labels", labels)
            # Refuses values that are out of range.
            labelling("labels", labels)
        runtime = values.get("runtime", "sklearn")
        if runtime not in RUNTIMES:
            raise AuraError(f"runtime={runtime!r}; allowed are {', '.join(RUNTIMES)}")
        return cls(
            features=_features(values["features"]),
            threshold=_number("threshold", values["threshold"], finite=False),
            calibration=_made(Calibration, "calibration", values, number=True),
            alarms=_made(Alarms, "alarms", values, number=True) if "alarms" in values else PLAIN,
            runtime=runtime,
            labels=labels or {},
            beats=_beats(beats, BEAT_DETECTORS.to_config) if beats else {},
            origin=_made(Origin, "origin", values, number=False),
        )


def _features(values: object) -> FeatureSpec:
    try:
        return FeatureSpec.from_dict(_mapping("features", values, [field.name for field in fields(FeatureSpec)]))
    except WRONG_VALUES as error:
        raise AuraError(f"features hold a value of the wrong type: {' '.join(str(error).split())}") from error


def _made(kind: type[Part], key: str, values: Mapping[str, Any], *, number: bool) -> Part:
    """Make a part from its mapping; the default where the file has none."""
    part = _mapping(key, values.get(key, {}), [field.name for field in fields(kind)])
    try:
        return kind(**({name: _number(f"{key}.{name}", value) for name, value in part.items()} if number else part))
    except TypeError as error:
        raise AuraError(f"{key}: {error}") from error


def _beats(values: object, convert: Any) -> dict[str, Any]:
    """Beat detectors and signal quality, with the names of the detectors converted."""
    beats = _mapping("beats", values, ["detector", "quality"])
    if beats.keys() != {"detector", "quality"}:
        raise AuraError("beats hold detector and quality, or nothing")
    quality = dict(_mapping("beats.quality", beats["quality"], None))
    second = quality.pop("second_detector", None)
    checked = {name: _number(f"beats.quality.{name}", value) for name, value in quality.items()}
    return {
        "detector": convert("beats.detector", beats["detector"]),
        "quality": {
            **checked,
            "second_detector": None if second is None else convert("beats.quality.second_detector", second),
        },
    }


def _mapping(key: str, values: object, allowed: list[str] | None) -> Mapping[str, Any]:
    if not isinstance(values, Mapping):
        raise AuraError(f"{key} is not a mapping of keys to values")
    for name in values:
        if allowed is not None and name not in allowed:
            raise AuraError(f"there is no key {name!r} in {key}; allowed are: {', '.join(allowed)}")
    return values


def _number(key: str, value: object, *, finite: bool = True) -> Any:
    """The value as it is, where it is a number."""
    if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
        raise AuraError(f"{key}={value!r} is not a number")
    if finite and math.isinf(value):
        raise AuraError(f"{key}={value!r} is not finite")
    return value
