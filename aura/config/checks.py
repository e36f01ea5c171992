"""Checks of a configuration beyond the types and ranges of its values."""

import inspect
import re
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from hydra.errors import HydraException
from hydra.utils import get_object

from aura.config.schema import Config, DatasetConfig
from aura.core.errors import AuraError, InvalidInput
from aura.core.former_paths import current_path
from aura.corpora.layouts import layout_name, writable_layouts
from aura.detection.components import BEAT_DETECTORS, LABELLINGS, build_labelling
from aura.features.families import FAMILIES
from aura.formats.units import MILLIVOLTS


def check_name(key: str, name: str, longest: int) -> None:
    """Raise AuraError for a name that cannot be a folder or a part of an address."""
    if not re.fullmatch(r"\w[\w.-]*", name):
        raise AuraError(f"{key}={name!r}; allowed are letters and digits, then also . _ and -")
    if len(name) > longest:
        raise AuraError(f"{key} has {len(name)} characters; allowed are {longest}")


def check_dataset(dataset: DatasetConfig) -> None:
    """Raise AuraError for layouts, units, words or a time zone that do not exist."""
    if not dataset.root:
        raise AuraError("dataset.root is empty; give the folder of the recordings")
    if not dataset.layouts or not dataset.channels:
        raise AuraError("dataset.layouts or dataset.channels is empty; see conf/dataset/any.yaml for what there is")
    units = {"dataset.unit": dataset.unit}
    units |= {f"dataset.subject_channels[{i}].unit": entry.unit for i, entry in enumerate(dataset.subject_channels)}
    for key, unit in units.items():
        if unit is not None and unit not in MILLIVOLTS:
            raise AuraError(f"{key}={unit}; allowed are null, {', '.join(MILLIVOLTS)}")
    try:
        dataset.layouts = [layout_name(name) for name in dataset.layouts]
    except InvalidInput as error:
        raise AuraError(f"dataset.{error}") from error
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
    if dataset.synthesis is not None and dataset.synthesis.layout not in writable_layouts():
        allowed = ", ".join(writable_layouts())
        raise AuraError(f"dataset.synthesis.layout={dataset.synthesis.layout}; allowed are {allowed}")


def check_components(config: Config) -> None:
    """Raise AuraError unless a saved model can name the labels and the beat detectors, and the detectors differ."""
    config.labels = LABELLINGS.to_config("labels", config.labels)
    # Raises if a value is out of range.
    build_labelling("labels", config.labels)
    config.detector = BEAT_DETECTORS.to_config("detector", config.detector)
    second = config.quality.second_detector
    if second is not None:
        config.quality.second_detector = BEAT_DETECTORS.to_config("quality.second_detector", second)
        if config.quality.second_detector == config.detector:
            raise AuraError("quality.second_detector is the detector itself, which agrees with itself; name another")


def check_families(config: Config) -> None:
    """Raise AuraError for an unknown family or a wrong list of windows; `FeatureSpec` checks the rest."""
    if config.features.families == ["all"]:
        config.features.families = list(FAMILIES)
    for family in config.features.families:
        if family not in FAMILIES:
            raise AuraError(f"features.families: no family is called {family!r}; allowed are {', '.join(FAMILIES)}")
        lengths_s = config.windows.lengths_s.setdefault(family, list(FAMILIES[family].lengths_s))
        if type(lengths_s) in (int, float):
            lengths_s = config.windows.lengths_s[family] = [lengths_s]
        numbers = isinstance(lengths_s, list) and all(type(length) in (int, float) for length in lengths_s)
        if not numbers or not lengths_s:
            raise AuraError(
                f"windows.lengths_s.{family}={lengths_s}; allowed are window lengths in seconds, such as 60 or [10,60]"
            )
    for family in config.windows.lengths_s:
        if family not in FAMILIES:
            raise AuraError(f"there is no key windows.lengths_s.{family}; allowed are: {', '.join(FAMILIES)}")
    _ = config.feature_spec


def check_target(group: str, values: dict[str, Any], *, free: tuple[str, ...]) -> None:
    """Check the keys of a group against the parameters of its ``_target_``; a former import path becomes today's."""
    if "_target_" not in values:
        raise AuraError(f"{group}._target_ is missing; choose a file of conf/{group}, such as {group}=...")
    values["_target_"] = current_path(str(values["_target_"]))
    target = _import(f"{group}._target_", values["_target_"])
    parameters = inspect.signature(target).parameters
    if any(parameter.kind == inspect.Parameter.VAR_KEYWORD for parameter in parameters.values()):
        # The target takes any parameter, as LightGBM does; its first fit checks them.
        return
    allowed = [name for name in parameters if name not in free]
    for key in values:
        if key != "_target_" and key not in allowed:
            raise AuraError(f"there is no key {group}.{key}; allowed beside it are: {', '.join(allowed) or 'none'}")


def _import(key: str, name: str) -> Any:
    """Import the object with a dotted name."""
    try:
        return get_object(name)
    except (HydraException, ImportError, ValueError) as error:
        extra = "; pip install 'aura-ecg[lightgbm]'" if name.startswith("lightgbm.") else ""
        raise AuraError(f"{key}: {name!r} cannot be imported{extra}") from error
