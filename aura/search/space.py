"""A search space over keys of a configuration, and the overrides that a trial draws from it."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from optuna.trial import BaseTrial, FixedTrial

from aura.core.errors import InvalidInput

RANGE, CHOICES = {"low", "high", "step", "log"}, {"choices"}


@dataclass(frozen=True)
class Keys:
    """What a configuration allows for its keys.

    Parameters
    ----------
    is_searchable
        Whether trials may differ in a key.
    options
        Options of a configuration group; none for a key that is not a group.
    holds_list
        Whether the value of a key is a list.
    """

    is_searchable: Callable[[str], bool]
    options: Callable[[str], Sequence[str]]
    holds_list: Callable[[str], bool]


@dataclass(frozen=True)
class Dimension:
    """A key or group that is searched, and its possible values.

    Parameters
    ----------
    key
        Dotted key of the configuration, or a group.
    values
        ``{low, high, step, log}`` (integers if all numbers are integers), or ``{choices: [...]}``.
    holds_list
        Whether the key holds a list, of which a range sets the only element.
    """

    key: str
    values: Mapping[str, Any]
    holds_list: bool = False

    def __post_init__(self) -> None:
        """Raise if the values are neither a range nor a list of choices."""
        keys, name = set(self.values), f"space.{self.key}"
        is_range = {"low", "high"} <= keys <= RANGE and all(_is_number(self.values[end]) for end in ("low", "high"))
        is_choice = keys == CHOICES and isinstance(self.values["choices"], list) and self.values["choices"]
        if not (is_range or is_choice):
            raise InvalidInput(
                f"{name}={dict(self.values)}; allowed are {{low: 1, high: 9}}, with step or log: true, "
                "and {choices: [...]}"
            )
        if is_range and not self.values["low"] < self.values["high"]:
            raise InvalidInput(f"{name}: low is not below high")
        if is_choice and any(isinstance(choice, dict) for choice in self.values["choices"]):
            raise InvalidInput(f"{name}: choices are words, numbers or lists")
        try:
            self.suggest(FixedTrial({self.key: self.example}))
        except ValueError as error:
            raise InvalidInput(f"{name}: {error}") from error

    def suggest(self, trial: BaseTrial) -> str:
        """Let a trial choose a value, and return the override that sets it."""
        values = dict(self.values)
        if "choices" in values:
            # Optuna stores plain values only; a list becomes its text.
            choice = trial.suggest_categorical(self.key, [_to_word(choice) for choice in values["choices"]])
            return f"{self.key}={choice}"
        number: float
        if all(isinstance(value, int) for value in values.values()):
            number = trial.suggest_int(self.key, **values)
        else:
            number = trial.suggest_float(self.key, **values)
        return f"{self.key}=[{number}]" if self.holds_list else f"{self.key}={number}"

    @property
    def example(self) -> Any:
        """The first choice, or the lowest value."""
        return _to_word(self.values["choices"][0]) if "choices" in self.values else self.values["low"]


@dataclass(frozen=True)
class Space:
    """The dimensions of a search."""

    dimensions: tuple[Dimension, ...]

    @classmethod
    def from_mapping(cls, values: Mapping[str, Mapping[str, Any]] | None, keys: Keys) -> "Space":
        """Build the space from ``{key: {low, high, ...} or {choices: [...]}}``.

        Raises
        ------
        InvalidInput
            If the space is empty, a key must not be searched, or its values are not allowed.
        """
        if not values:
            raise InvalidInput(
                "space is empty: nothing to search; choose an experiment that has one, such as "
                "experiments=window_length, or write sweep.space={...}"
            )
        return cls(tuple(_dimension(key, dimension, keys) for key, dimension in values.items()))

    def example(self) -> dict[str, Any]:
        """Return a value for each key."""
        return {dimension.key: dimension.example for dimension in self.dimensions}

    def suggest(self, trial: BaseTrial) -> list[str]:
        """Let a trial choose a value for each key, and return the overrides."""
        return [dimension.suggest(trial) for dimension in self.dimensions]


def _dimension(key: str, values: Mapping[str, Any], keys: Keys) -> Dimension:
    """Build a dimension; raise if the configuration does not let trials differ in it."""
    if not re.fullmatch(r"[a-z]\w*(\.\w+)*", key):
        raise InvalidInput(f"space.{key}: allowed are keys and groups of the configuration, such as model")
    if not keys.is_searchable(key):
        raise InvalidInput(f"space.{key}: {key} has to be the same in all trials of a sweep")
    dimension = Dimension(key, values, keys.holds_list(key))
    options = keys.options(key)
    # Checked here, since otherwise the sweep would fail at the first trial that draws the unknown option.
    for choice in values.get("choices", ()) if options else ():
        if choice not in options:
            raise InvalidInput(f"space.{key}: there is no {choice}; allowed are {', '.join(options)}")
    return dimension


def _to_word(choice: Any) -> str:
    """Write a choice as on the command line."""
    return json.dumps(choice) if not isinstance(choice, str) else choice


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
