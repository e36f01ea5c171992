"""Short names of the parts that a saved model may contain. The table is fixed: no file can name code to import.

A configuration names a part by its import path under ``_target_``. ``detector.json`` names it by its short name under
``name``. Models registered by earlier versions hold import paths, which are aliases of the short names.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any

from aura.core.errors import AuraError, InvalidInput
from aura.core.former_paths import current_path
from aura.ecg import beat_detectors
from aura.ecg.beat_detectors import BeatDetector
from aura.learning.labels import Detection, Forecasting, Labelling

NAME, TARGET = "name", "_target_"


@dataclass(frozen=True)
class Components:
    """Parts of one kind, by short name.

    Parameters
    ----------
    parts
        Function or class of each short name. To add a part, add a line here.
    reserved
        Parameters that the caller passes and a configuration must not set.
    """

    parts: Mapping[str, Callable[..., Any]]
    reserved: tuple[str, ...] = ()

    @property
    def aliases(self) -> dict[str, str]:
        """Short name of each present import path; see `aura.core.former_paths` for former ones."""
        return {self.path(name): name for name in self.parts}

    def path(self, name: str) -> str:
        """Return the import path of a part, as a configuration holds it."""
        part = self.parts[name]
        return f"{part.__module__}.{part.__qualname__}"

    def resolve(self, key: str, values: object) -> tuple[str, dict[str, Any]]:
        """Check a part and its parameters.

        Parameters
        ----------
        key
            Key of the part, for error messages.
        values
            Mapping with the short name under ``name`` or the import path under ``_target_``, and plain parameters.

        Returns
        -------
        name : str
            Short name.
        parameters : dict
            Plain values by parameter name.

        Raises
        ------
        AuraError
            If the part is not in the table, or does not take these parameters.
        """
        if not isinstance(values, Mapping):
            raise AuraError(f"{key}={values!r}; allowed is a mapping with a name")
        parameters = dict(values)
        named = [parameters.pop(field) for field in (NAME, TARGET) if field in parameters]
        if len(named) != 1 or not isinstance(named[0], str):
            raise AuraError(f"{key}.{TARGET} is missing; allowed are {', '.join(self.parts)}")
        name = self.aliases.get(current_path(named[0]), named[0])
        if name not in self.parts:
            raise AuraError(f"{key}.{TARGET}={named[0]}; allowed are {', '.join(self.parts)}")
        self._check_parameters(key, name, parameters)
        return name, parameters

    def to_saved(self, key: str, values: object) -> dict[str, Any]:
        """Return plain values for a file, with the short name."""
        name, parameters = self.resolve(key, values)
        return {NAME: name, **parameters}

    def to_config(self, key: str, values: object) -> dict[str, Any]:
        """Return values as a configuration holds them, with the import path."""
        name, parameters = self.resolve(key, values)
        return {TARGET: self.path(name), **parameters}

    def _check_parameters(self, key: str, name: str, values: Mapping[str, Any]) -> None:
        """Raise AuraError unless the values are the parameters of a part."""
        accepted = inspect.signature(self.parts[name]).parameters
        allowed = [parameter for parameter in accepted if parameter not in self.reserved]
        for parameter, value in values.items():
            if parameter not in allowed:
                raise AuraError(
                    f"there is no key {key}.{parameter}; allowed beside it are: {', '.join(allowed) or 'none'}"
                )
            if not isinstance(value, bool | int | float | str | None):
                raise AuraError(f"{key}.{parameter}={value!r}; allowed is a number, a word, true, false or null")
        for parameter in allowed:
            if accepted[parameter].default is inspect.Parameter.empty and parameter not in values:
                raise AuraError(f"{key}.{parameter} is missing")


BEAT_DETECTORS = Components(beat_detectors.BEAT_DETECTORS, reserved=("ecg_mv", "fs_hz"))
LABELLINGS = Components(MappingProxyType({"detection": Detection, "forecasting": Forecasting}))


def build_beat_detector(key: str, values: object) -> BeatDetector:
    """Build the beat detector that a configuration or a model names."""
    name, parameters = BEAT_DETECTORS.resolve(key, values)
    return partial(BEAT_DETECTORS.parts[name], **parameters)


def build_labelling(key: str, values: object) -> Labelling:
    """Build the labelling that a configuration or a model names."""
    name, parameters = LABELLINGS.resolve(key, values)
    try:
        labelling: Labelling = LABELLINGS.parts[name](**parameters)
    except InvalidInput as error:
        raise AuraError(f"{key}.{error}") from error
    return labelling
