"""The parts that a saved model may name: fixed tables of short names, so that no file names code to import.

A configuration names a part by its import path under ``_target_``; ``detector.json`` names it by its short name under
``name``. Models that were registered before hold import paths, which are aliases of the short names.
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
        Function or class of each short name.
    given
        Parameters that the caller of the part passes, so that a configuration cannot.
    """

    parts: Mapping[str, Callable[..., Any]]
    given: tuple[str, ...] = ()

    @property
    def aliases(self) -> dict[str, str]:
        """Short name of each import path; `aura.core.former_paths` has those of earlier versions."""
        return {self.path(name): name for name in self.parts}

    def path(self, name: str) -> str:
        """Import path of a part, as configurations hold it."""
        part = self.parts[name]
        return f"{part.__module__}.{part.__qualname__}"

    def resolve(self, key: str, values: object) -> tuple[str, dict[str, Any]]:
        """Check a part and its parameters.

        Parameters
        ----------
        key
            What to call the part in an error.
        values
            The short name under ``name`` or the import path under ``_target_``, and plain parameters.

        Returns
        -------
        name : str
            Short name.
        parameters : dict
            Of plain values, by name.

        Raises
        ------
        AuraError
            For a part that is not in the table, or parameters that it does not take.
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
        taken = inspect.signature(self.parts[name]).parameters
        allowed = [one for one in taken if one not in self.given]
        for one, value in parameters.items():
            if one not in allowed:
                raise AuraError(f"there is no key {key}.{one}; allowed beside it are: {', '.join(allowed) or 'none'}")
            if not isinstance(value, bool | int | float | str | None):
                raise AuraError(f"{key}.{one}={value!r}; allowed is a number, a word, true, false or null")
        missing = [one for one in allowed if taken[one].default is inspect.Parameter.empty and one not in parameters]
        if missing:
            raise AuraError(f"{key}.{missing[0]} is missing")
        return name, parameters

    def to_saved(self, key: str, values: object) -> dict[str, Any]:
        """Plain values for a file, with the short name."""
        name, parameters = self.resolve(key, values)
        return {NAME: name, **parameters}

    def to_config(self, key: str, values: object) -> dict[str, Any]:
        """Values as a configuration holds them, with the import path."""
        name, parameters = self.resolve(key, values)
        return {TARGET: self.path(name), **parameters}


BEAT_DETECTORS = Components(beat_detectors.BEAT_DETECTORS, given=("ecg_mv", "fs_hz"))
LABELLINGS = Components(MappingProxyType({"detection": Detection, "forecasting": Forecasting}))


def beat_detector(key: str, values: object) -> BeatDetector:
    """Return the beat detector that a configuration or a model names."""
    name, parameters = BEAT_DETECTORS.resolve(key, values)
    return partial(BEAT_DETECTORS.parts[name], **parameters)


def labelling(key: str, values: object) -> Labelling:
    """Return the labelling that a configuration or a model names."""
    name, parameters = LABELLINGS.resolve(key, values)
    try:
        made: Labelling = LABELLINGS.parts[name](**parameters)
    except InvalidInput as error:
        raise AuraError(f"{key}.{error}") from error
    return made
