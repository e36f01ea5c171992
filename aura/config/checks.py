"""What a configuration may hold, beyond its types."""

import inspect
from collections.abc import Mapping
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from hydra.errors import HydraException
from hydra.utils import get_object

from aura.config.schema import Config, DatasetConfig
from aura.core.errors import AuraError
from aura.core.former_paths import current_path
from aura.corpora.layouts.writing import PLACES
from aura.detection.components import BEAT_DETECTORS, LABELLINGS, build_labelling
from aura.features.spec import FAMILIES
from aura.formats.units import MILLIVOLTS

# What a number may be, beyond its type.
RANGES: Mapping[str, tuple[float, float]] = {
    "dataset.min_seizure_s": (0.1, 60),
    "quality.flat_mv": (0, 1),
    "quality.max_mv": (0.1, 1_000),
    "quality.min_agreement": (0, 1),
    "prepare.max_failed_share": (0, 1),
    "train.folds": (2, 100),
    "sweep.n_trials": (1, 1_000_000),
    "train.interictal_per_ictal": (0.1, 1_000_000),
    "scoring.tolerance_before_s": (0, 3_600),
    "scoring.tolerance_after_s": (0, 3_600),
    "scoring.merge_gap_s": (0, 3_600),
    "scoring.max_event_s": (1, 604_800),
    "tracking.champion_confidence": (0.5, 1),
    "scoring.max_false_alarms_per_24h": (0, 86_400),
    "dataset.synthesis.subjects": (2, 10_000),
    "dataset.synthesis.hours_per_subject": (0.1, 1_000),
    "dataset.synthesis.recording_minutes": (10, 1_440),
    "dataset.synthesis.seizures_per_subject": (1, 100),
    "dataset.synthesis.arousals_per_hour": (0, 100),
    "dataset.synthesis.exercises_per_hour": (0, 20),
    "dataset.synthesis.eeg_channels": (0, 23),
    "seed": (0, 2**32 - 1),
}


def check_ranges(config: Config) -> None:
    """Raise AuraError for a number that is out of its range."""
    for key, (low, high) in RANGES.items():
        value = lookup(config, key)
        if value is not None and not low <= value <= high:
            raise AuraError(f"{key}={value:g} is out of range; allowed is {low:g} to {high:g}")


def check_dataset(dataset: DatasetConfig) -> None:
    """Layouts and channels that there are."""
    if not dataset.root:
        raise AuraError("dataset.root is empty; give the folder of the recordings")
    if not dataset.layouts or not dataset.channels:
        raise AuraError("dataset.layouts or dataset.channels is empty; see conf/dataset/any.yaml for what there is")
    units = {"dataset.unit": dataset.unit}
    units |= {f"dataset.subject_channels[{i}].unit": one.unit for i, one in enumerate(dataset.subject_channels)}
    for key, unit in units.items():
        if unit is not None and unit not in MILLIVOLTS:
            raise AuraError(f"{key}={unit}; allowed are null, {', '.join(MILLIVOLTS)}")
    for layout in dataset.layouts:
        _import("dataset.layouts", layout)
    both = {*dataset.words.seizure} & {*dataset.words.background}
    if both or not all(word.strip() for word in (*dataset.words.seizure, *dataset.words.background)):
        raise AuraError("dataset.words: each word stands for seizure or for background, and none is empty")
    if dataset.timezone is not None:
        try:
            ZoneInfo(dataset.timezone)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise AuraError(
                f"dataset.timezone={dataset.timezone} is not a time zone; allowed are names such as Europe/Paris"
            ) from error
    if dataset.synthesis is not None and dataset.synthesis.layout not in PLACES:
        raise AuraError(f"dataset.synthesis.layout={dataset.synthesis.layout}; allowed are {', '.join(PLACES)}")


def check_components(config: Config) -> None:
    """Labels and beat detectors that a saved model can name; two detectors that can disagree."""
    config.labels = LABELLINGS.to_config("labels", config.labels)
    # Refuses values that are out of range.
    build_labelling("labels", config.labels)
    config.detector = BEAT_DETECTORS.to_config("detector", config.detector)
    second = config.quality.second_detector
    if second is not None:
        config.quality.second_detector = BEAT_DETECTORS.to_config("quality.second_detector", second)
        if config.quality.second_detector == config.detector:
            raise AuraError("quality.second_detector is the detector itself, which agrees with itself; name another")


def check_families(config: Config) -> None:
    """Every family known, with a list of windows; the rest is for `FeatureSpec` to say."""
    for family in config.features.families:
        if family not in FAMILIES:
            raise AuraError(f"features.families: no family is called {family!r}; allowed are {', '.join(FAMILIES)}")
        lengths_s = config.windows.lengths_s.get(family)
        if not isinstance(lengths_s, list) or not lengths_s or not all(_is_number(length) for length in lengths_s):
            raise AuraError(
                f"windows.lengths_s.{family}={lengths_s}; allowed is a list of window lengths in seconds, such as [60]"
            )
    for family in config.windows.lengths_s:
        if family not in FAMILIES:
            raise AuraError(f"there is no key windows.lengths_s.{family}; allowed are: {', '.join(FAMILIES)}")
    _ = config.feature_spec


def check_target(group: str, values: dict[str, Any], *, free: tuple[str, ...]) -> None:
    """Check the keys of a group against what its ``_target_`` takes; a former ``_target_`` becomes that of today."""
    if "_target_" not in values:
        raise AuraError(f"{group}._target_ is missing; choose a file of conf/{group}, such as {group}=...")
    values["_target_"] = current_path(str(values["_target_"]))
    target = _import(f"{group}._target_", values["_target_"])
    parameters = inspect.signature(target).parameters
    if any(parameter.kind == inspect.Parameter.VAR_KEYWORD for parameter in parameters.values()):
        # It takes what it does not name, as LightGBM does; the first fit shows what is wrong.
        return
    allowed = [name for name in parameters if name not in free]
    for key in values:
        if key != "_target_" and key not in allowed:
            raise AuraError(f"there is no key {group}.{key}; allowed beside it are: {', '.join(allowed) or 'none'}")


def _import(key: str, name: str) -> Any:
    """What a dotted name stands for."""
    try:
        return get_object(name)
    except (HydraException, ImportError, ValueError) as error:
        extra = "; pip install 'aura-ecg[lightgbm]'" if name.startswith("lightgbm.") else ""
        raise AuraError(f"{key}: {name!r} cannot be imported{extra}") from error


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def lookup(config: object, key: str) -> Any:
    """Value under a dotted key; None where a part of the way is None."""
    for name in key.split("."):
        config = getattr(config, name) if config is not None else None
    return config
