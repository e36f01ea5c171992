"""A search space over any key of the configuration, and the overrides that a trial makes of it."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from optuna.trial import BaseTrial, FixedTrial

from aura.config.schema import Config
from aura.config.scope import Scope, scope_of
from aura.core.errors import AuraError
from aura.core.paths import CONF

RANGE, CHOICES = {"low", "high", "step", "log"}, {"choices"}


@dataclass(frozen=True)
class Dimension:
    """A key and what it can be: a range, or choices.

    Parameters
    ----------
    key
        Of the configuration, or a group of it.
    values
        ``{low, high, step, log}``, whole numbers where all of them are, or ``{choices: [...]}``.
    """

    key: str
    values: Mapping[str, Any]

    def __post_init__(self) -> None:
        """Refuse what is no range and no list of choices, and what has to be the same in all trials."""
        if not re.fullmatch(r"[a-z]\w*(\.\w+)*", self.key):
            raise AuraError(f"sweep.space.{self.key}: allowed are keys and groups of the configuration, such as model")
        # What decides who is tested, on what, and how that is counted, or what is of a run and not of a detector.
        if scope_of(Config, self.key) < Scope.SEARCHED:
            raise AuraError(f"sweep.space.{self.key}: {self.key} has to be the same in all trials of a sweep")
        keys = set(self.values)
        ranged = {"low", "high"} <= keys <= RANGE and all(_is_number(self.values[end]) for end in ("low", "high"))
        chosen = keys == CHOICES and isinstance(self.values["choices"], list) and self.values["choices"]
        if not (ranged or chosen):
            raise AuraError(
                f"sweep.space.{self.key}={dict(self.values)}; allowed are {{low: 1, high: 9}}, with step or log: true, "
                "and {choices: [...]}"
            )
        if ranged and not self.values["low"] < self.values["high"]:
            raise AuraError(f"sweep.space.{self.key}: low is not below high")
        if chosen and any(isinstance(choice, dict) for choice in self.values["choices"]):
            raise AuraError(f"sweep.space.{self.key}: choices are words, numbers or lists")
        if chosen and (CONF / self.key).is_dir():
            known = sorted(path.stem for path in (CONF / self.key).glob("*.yaml"))
            # Else the trial that chooses it would be the first to say so.
            for choice in self.values["choices"]:
                if choice not in known:
                    raise AuraError(f"sweep.space.{self.key}: there is no {choice}; allowed are {', '.join(known)}")
        try:
            self.suggest(FixedTrial({self.key: self.first}))
        except ValueError as error:
            raise AuraError(f"sweep.space.{self.key}: {error}") from error

    def suggest(self, trial: BaseTrial) -> str:
        """Have a trial choose, and give the override that sets it."""
        values = dict(self.values)
        if "choices" in values:
            # What Optuna keeps has to be a plain value, which a list is not.
            chosen: Any = trial.suggest_categorical(self.key, [_word(choice) for choice in values["choices"]])
        elif all(isinstance(value, int) for value in values.values()):
            chosen = trial.suggest_int(self.key, **values)
        else:
            chosen = trial.suggest_float(self.key, **values)
        # Lengths of windows are lists.
        return f"{self.key}=[{chosen}]" if self.listed and "choices" not in values else f"{self.key}={chosen}"

    @property
    def first(self) -> Any:
        """Something that it can be."""
        return _word(self.values["choices"][0]) if "choices" in self.values else self.values["low"]

    @property
    def listed(self) -> bool:
        """Whether the key holds a list, of which a range gives the one element."""
        return self.key.startswith("windows.lengths_s.")


@dataclass(frozen=True)
class Space:
    """The dimensions that are searched."""

    dimensions: tuple[Dimension, ...]

    @classmethod
    def of(cls, values: Mapping[str, Mapping[str, Any]] | None) -> "Space":
        """Read it from the configuration."""
        if not values:
            raise AuraError(
                "sweep.space is empty: nothing to search; choose an experiment that has one, such as "
                "experiments=window_length, or write sweep.space={...}"
            )
        return cls(tuple(Dimension(key, dimension) for key, dimension in values.items()))

    def first(self) -> dict[str, Any]:
        """Something that each dimension can be."""
        return {dimension.key: dimension.first for dimension in self.dimensions}

    def suggest(self, trial: BaseTrial) -> list[str]:
        """Overrides of a trial."""
        return [dimension.suggest(trial) for dimension in self.dimensions]


def _word(choice: Any) -> str:
    """A choice as it is written on the command line."""
    return json.dumps(choice) if not isinstance(choice, str) else choice


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
