"""A key that is searched, and its possible values, in the words of Optuna."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import BaseTrial

from aura.core.errors import InvalidInput

NUMBER = ("low", "high", "step", "log")
# Words that each type of a dimension takes, as the suggest methods of Optuna.
TYPES = {"float": NUMBER, "int": NUMBER, "categorical": ("choices",)}
WORDS = ("type", *NUMBER, "choices", "when")
EXAMPLES = "{type: int, low: 1, high: 9} or {type: categorical, choices: [a, b]}"


@dataclass(frozen=True)
class Keys:
    """What a configuration allows for its keys.

    Parameters
    ----------
    sections
        Sections and groups whose keys may be searched.
    exists
        Whether the section of a key exists.
    is_searchable
        Whether trials may differ in a key.
    options
        Options of a configuration group; none for a key that is not a group.
    holds_list
        Whether the value of a key is a list.
    """

    sections: Sequence[str]
    exists: Callable[[str], bool]
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
    distribution
        Its possible values. Optuna stores plain values only, so a choice is kept as it is written on the command line.
    choices
        The choices themselves; empty for a number.
    when
        Keys of other dimensions, each with its values with which this dimension exists.
    holds_list
        Whether the key holds a list, of which a number sets the only element.
    """

    key: str
    distribution: BaseDistribution
    choices: tuple[Any, ...]
    when: Mapping[str, tuple[str, ...]]
    holds_list: bool = False

    def exists(self, params: Mapping[str, Any]) -> bool:
        """Return whether a trial with these values of earlier dimensions has this one."""
        return all(params.get(key) in values for key, values in self.when.items())

    def draw(self, trial: BaseTrial) -> Any:
        """Let a trial choose a value."""
        match self.distribution:
            case CategoricalDistribution(choices=choices):
                return trial.suggest_categorical(self.key, choices)
            case IntDistribution(low=low, high=high, step=step, log=log):
                return trial.suggest_int(self.key, low, high, step=step, log=log)
            case FloatDistribution(low=low, high=high, step=step, log=log):
                return trial.suggest_float(self.key, low, high, step=step, log=log)
        raise TypeError(self.distribution)

    def to_override(self, value: Any) -> str:
        """Return the override that sets a drawn value."""
        return f"{self.key}=[{value}]" if self.holds_list and not self.choices else f"{self.key}={value}"

    def find(self, value: Any) -> Any:
        """Return what a trial stores for a value of the configuration, or of another trial.

        Raises
        ------
        InvalidInput
            If the value is not one of this dimension.
        """
        if self.choices:
            for choice in self.choices:
                is_same = choice == value and isinstance(choice, bool) == isinstance(value, bool)
                if is_same or to_word(choice) == value:
                    return to_word(choice)
        else:
            number = value[0] if self.holds_list and isinstance(value, list) and len(value) == 1 else value
            if _is_number(number) and (found := self._find_number(number)) is not None:
                return found
        raise InvalidInput(f"{self.key}={to_word(value)}; allowed is {self.describe()}")

    def _find_number(self, number: float) -> float | None:
        """Return the number of the range that this one is, but for rounding; None if there is none."""
        assert isinstance(self.distribution, IntDistribution | FloatDistribution)
        low, high, step = self.distribution.low, self.distribution.high, self.distribution.step
        if not low <= number <= high:
            return None
        if step is not None:
            n_steps = round((number - low) / step)
            if abs(low + n_steps * step - number) > 1e-8 * step:
                return None
        return round(number) if isinstance(self.distribution, IntDistribution) else float(number)

    def describe(self) -> str:
        """Return the possible values in words."""
        if self.choices:
            return f"one of {', '.join(map(to_word, self.choices))}"
        assert isinstance(self.distribution, IntDistribution | FloatDistribution)
        step = self.distribution.step
        steps = f" in steps of {step:g}" if step not in (None, 1) else ""
        return f"{self.distribution.low:g} to {self.distribution.high:g}{steps}"

    def list_values(self) -> list[Any]:
        """Return all possible values, for a grid.

        Raises
        ------
        InvalidInput
            If there are infinitely many.
        """
        match self.distribution:
            case CategoricalDistribution(choices=choices):
                return list(choices)
            case IntDistribution(low=low, high=high, step=step):
                return list(range(low, high + 1, step))
            case FloatDistribution(low=low, high=high, step=float(step)):
                # Rounded, since 3 * 0.1 is not 0.3.
                return [round(low + i * step, 12) for i in range(round((high - low) / step) + 1)]
        raise InvalidInput(f"space.{self.key} has no step; a grid needs step or choices")

    @property
    def example(self) -> Any:
        """The first choice, or the lowest value."""
        return to_word(self.choices[0]) if self.choices else getattr(self.distribution, "low")  # noqa: B009


def to_word(value: Any) -> str:
    """Write a value as on the command line."""
    return json.dumps(value) if not isinstance(value, str) else value


def read_dimension(key: str, words: Any, keys: Keys, before: Mapping[str, Dimension]) -> Dimension:
    """Read the words of a dimension; raise if the configuration does not let trials differ in its key."""
    name = f"space.{key}"
    if not re.fullmatch(r"[a-z]\w*(\.\w+)*", key):
        raise InvalidInput(f"{name}: allowed are keys and groups of the configuration, such as model")
    sections = f"allowed are keys of {', '.join(keys.sections)}"
    if not keys.exists(key):
        raise InvalidInput(f"{name}: there is no key {key}; {sections}")
    if not keys.is_searchable(key):
        raise InvalidInput(f"{name}: {key} has to be the same in all trials of a sweep; {sections}")
    kind = _read_type(name, words)
    when = _read_when(name, words.get("when") or {}, before)
    if kind == "categorical":
        choices = _read_choices(name, words.get("choices"), keys.options(key))
        return Dimension(key, CategoricalDistribution(tuple(map(to_word, choices))), choices, when)
    return Dimension(key, _read_range(name, kind, words), (), when, keys.holds_list(key))


def _read_type(name: str, words: Any) -> str:
    """Return the type of a dimension; raise for words that the type does not take."""
    if not isinstance(words, Mapping):
        raise InvalidInput(f"{name}={words}; write {EXAMPLES}")
    for word in words:
        if word not in WORDS:
            raise InvalidInput(f"{name}: there is no {word}; allowed are {', '.join(WORDS)}")
    kind = words.get("type") or _infer_type(words)
    if kind not in TYPES:
        raise InvalidInput(f"{name}.type={kind}; allowed are {', '.join(TYPES)}")
    for word in words:
        if word not in ("type", "when", *TYPES[kind]):
            raise InvalidInput(f"{name}: type {kind} takes no {word}; allowed are {', '.join(TYPES[kind])}")
    return str(kind)


def _infer_type(words: Mapping[str, Any]) -> str:
    if "choices" in words:
        return "categorical"
    numbers = [words[word] for word in ("low", "high", "step") if word in words]
    return "int" if all(isinstance(number, int) for number in numbers) else "float"


def _read_range(name: str, kind: str, words: Mapping[str, Any]) -> IntDistribution | FloatDistribution:
    """Read the numbers of a range."""
    for word in ("low", "high"):
        if word not in words:
            raise InvalidInput(f"{name} has no {word}; write {EXAMPLES}")
    for word in ("low", "high", "step"):
        number = words.get(word)
        if word in words and not (_is_number(number) and (kind == "float" or isinstance(number, int))):
            raise InvalidInput(f"{name}.{word}={number}; allowed are {'' if kind == 'float' else 'whole '}numbers")
    log = words.get("log", False)
    if not isinstance(log, bool):
        raise InvalidInput(f"{name}.log={log}; allowed are true, false")
    low, high, step = words["low"], words["high"], words.get("step")
    if not low < high:
        raise InvalidInput(f"{name}: low is not below high ({low} and {high})")
    if step and abs(round((high - low) / step) * step - (high - low)) > 1e-8 * step:
        raise InvalidInput(f"{name}: high={high} is no whole number of steps of {step} above low={low}")
    try:
        if kind == "int":
            return IntDistribution(low, high, log=log, step=1 if step is None else step)
        return FloatDistribution(low, high, log=log, step=step)
    except ValueError as error:
        raise InvalidInput(f"{name}: {' '.join(str(error).split())}") from error


def _read_choices(name: str, choices: Any, options: Sequence[str]) -> tuple[Any, ...]:
    """Read the choices of a key, which are options if the key is a group."""
    if not isinstance(choices, list) or not choices:
        raise InvalidInput(f"{name}.choices={choices}; allowed are lists such as [a, b]")
    if any(isinstance(choice, dict) for choice in choices):
        raise InvalidInput(f"{name}: choices are words, numbers or lists")
    # Checked here, since otherwise the sweep would fail at the first trial that draws the unknown option.
    for choice in choices if options else ():
        if choice not in options:
            raise InvalidInput(f"{name}: there is no {choice}; allowed are {', '.join(options)}")
    return tuple(choices)


def _read_when(name: str, when: Any, before: Mapping[str, Dimension]) -> dict[str, tuple[str, ...]]:
    """Read the conditions of a dimension: a choice, or a list of choices, of dimensions before it."""
    if not isinstance(when, Mapping):
        raise InvalidInput(f"{name}.when={when}; write {{model: random_forest}}")
    conditions = {}
    for key, given in when.items():
        if key not in before or not before[key].choices:
            allowed = ", ".join(other for other, dimension in before.items() if dimension.choices) or "none"
            raise InvalidInput(f"{name}.when.{key}: allowed are keys with choices before this one: {allowed}")
        try:
            conditions[key] = tuple(
                before[key].find(value) for value in (given if isinstance(given, list) else [given])
            )
        except InvalidInput as error:
            raise InvalidInput(f"{name}.when.{error}") from error
        if not conditions[key]:
            raise InvalidInput(f"{name}.when.{key} is empty; allowed is {before[key].describe()}")
    return conditions


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
