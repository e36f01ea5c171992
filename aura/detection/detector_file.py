"""Read and write ``detector.json``: everything of a saved detector except its classifier, as plain values.

The file may come from a stranger, with the rest of a model folder, so every value is checked. It names parts of Aura by
the short names of `aura.detection.components`; nothing in it is imported or run.
"""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

from aura.core.errors import AuraError, InvalidInput
from aura.core.provenance import Origin
from aura.detection.alarms import Alarms
from aura.detection.components import BEAT_DETECTORS, LABELLINGS, build_labelling
from aura.features import FeatureSpec
from aura.learning.calibration import Calibration

RUNTIMES = ("sklearn", "onnx")
# A file that Aura writes has about 3 kB.
MAX_BYTES = 1_000_000
# Alarm settings of versions registered before alarms were saved: every step above threshold is an alarm.
FORMER_ALARMS = Alarms(smoothing_s=0, baseline_s=0, baseline_quantile=0, release=1, min_duration_s=0, refractory_s=0)
REQUIRED = ("features", "threshold")
# Errors that the parts of a file raise for values of the wrong type.
WRONG_VALUES = (TypeError, ValueError, KeyError, AttributeError, OverflowError)
Part = TypeVar("Part", Calibration, Alarms, Origin)


@dataclass(frozen=True, eq=False)
class DetectorFile:
    """Content of the file.

    Parameters
    ----------
    features
        Features that the classifier was fitted on.
    threshold
        Score at which an alarm is raised; infinite if the detector never raises one.
    calibration, alarms
        How scores of the classifier become probabilities, and how probabilities become alarms.
    runtime
        Library that computes the probabilities, one of `RUNTIMES`.
    labels
        Labels that were learned, as ``labels`` of a configuration; empty if the file does not record them.
    beats
        ``detector`` and ``quality`` of the configuration that prepared the recordings; empty if the file does not
        record them.
    origin
        What the detector was trained on, and by which software.
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
            "beats": _convert_beats(self.beats, BEAT_DETECTORS.to_saved) if self.beats else {},
            "origin": asdict(self.origin),
        }
        path.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> "DetectorFile":
        """Read and check a file.

        Raises
        ------
        AuraError
            If the file is too large or not JSON, or a value is not allowed; the message names its key.
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
        """Make the content from plain values, or raise AuraError."""
        values = _check_mapping("the file", values, [field.name for field in fields(cls)])
        for key in REQUIRED:
            if key not in values:
                raise AuraError(f"{key} is missing")
        labels, beats = values.get("labels"), values.get("beats")
        if labels:
            labels = LABELLINGS.to_config("labels", labels)
            # Raises if a value is out of range.
            build_labelling("labels", labels)
        runtime = values.get("runtime", "sklearn")
        if runtime not in RUNTIMES:
            raise AuraError(f"runtime={runtime!r}; allowed are {', '.join(RUNTIMES)}")
        return cls(
            features=_make_features(values["features"]),
            threshold=_check_number("threshold", values["threshold"], finite=False),
            calibration=_make_part(Calibration, "calibration", values, numeric=True),
            alarms=_make_part(Alarms, "alarms", values, numeric=True) if "alarms" in values else FORMER_ALARMS,
            runtime=runtime,
            labels=labels or {},
            beats=_convert_beats(beats, BEAT_DETECTORS.to_config) if beats else {},
            origin=_make_part(Origin, "origin", values, numeric=False),
        )


def _make_features(values: object) -> FeatureSpec:
    try:
        return FeatureSpec.from_dict(_check_mapping("features", values, [field.name for field in fields(FeatureSpec)]))
    except WRONG_VALUES as error:
        raise AuraError(f"features hold a value of the wrong type: {' '.join(str(error).split())}") from error


def _make_part(kind: type[Part], key: str, values: Mapping[str, Any], *, numeric: bool) -> Part:
    """Make a part from its mapping; its default if the file does not have it."""
    part = _check_mapping(key, values.get(key, {}), [field.name for field in fields(kind)])
    checked = {name: _check_number(f"{key}.{name}", value) for name, value in part.items()} if numeric else part
    try:
        return kind(**checked)
    except InvalidInput as error:
        raise AuraError(f"{key}.{error}") from error
    except TypeError as error:
        raise AuraError(f"{key}: {error}") from error


def _convert_beats(values: object, convert: Callable[[str, object], dict[str, Any]]) -> dict[str, Any]:
    """Check beat detectors and signal quality, and convert the names of the detectors."""
    beats = _check_mapping("beats", values, ["detector", "quality"])
    if beats.keys() != {"detector", "quality"}:
        raise AuraError("beats hold detector and quality, or nothing")
    quality = dict(_check_mapping("beats.quality", beats["quality"], None))
    second = quality.pop("second_detector", None)
    checked = {name: _check_number(f"beats.quality.{name}", value) for name, value in quality.items()}
    return {
        "detector": convert("beats.detector", beats["detector"]),
        "quality": {
            **checked,
            "second_detector": None if second is None else convert("beats.quality.second_detector", second),
        },
    }


def _check_mapping(key: str, values: object, allowed: list[str] | None) -> Mapping[str, Any]:
    """Return a mapping, or raise AuraError if it is not one or has a key that is not allowed."""
    if not isinstance(values, Mapping):
        raise AuraError(f"{key} is not a mapping of keys to values")
    for name in values:
        if allowed is not None and name not in allowed:
            raise AuraError(f"there is no key {name!r} in {key}; allowed are: {', '.join(allowed)}")
    return values


def _check_number(key: str, value: object, *, finite: bool = True) -> Any:
    """Return a number, or raise AuraError if the value is not one."""
    if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
        raise AuraError(f"{key}={value!r} is not a number")
    if finite and math.isinf(value):
        raise AuraError(f"{key}={value!r} is not finite")
    return value
