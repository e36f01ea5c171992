"""The specification of a feature table."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from numbers import Real
from types import MappingProxyType
from typing import Any

from aura.core.errors import InvalidInput, check_range, check_type, quote
from aura.ecg.intervals import HIGH_MS, LOW_MS, MAX_CHANGE
from aura.features.families import FAMILIES

ENGINES = ("compiled", "hrv_analysis")
CLEANINGS = ("gap_aware", "hrv_analysis")
# The families and windows of the original system, in seconds.
ORIGINAL = tuple(
    (name, FAMILIES[name].lengths_s) for name in ("time_domain", "poincare", "entropy", "frequency_domain")
)
MAX_LENGTH_S = 86_400.0
# Smallest and largest value of each number of a specification.
RANGES: Mapping[str, tuple[float, float]] = MappingProxyType(
    {
        "step_s": (0.001, 3600),
        "min_coverage": (0, 1),
        "low_ms": (1, 10_000),
        "high_ms": (1, 10_000),
        "max_change": (0.01, 10),
    }
)


@dataclass(frozen=True, slots=True)
class FeatureSpec:
    """All that decides the numbers of a feature table; a model keeps the specification it was trained on.

    The defaults are those of the original system, except for its cleaning.

    Parameters
    ----------
    lengths_s
        Feature families in the order of their columns, each with its window lengths in seconds: pairs, or a mapping.
    step_s
        Time from one window to the next in seconds.
    min_coverage
        Share of a window that NN intervals must cover; below it the features are NaN.
    low_ms, high_ms, max_change
        Limits of the cleaning, see `aura.ecg.intervals.clean_intervals`.
    engine
        ``compiled``, or ``hrv_analysis`` for the same features by that library, window by window and some hundred
        times slower.
    cleaning
        ``gap_aware`` or ``hrv_analysis``, see `aura.features.cleaning`.
    pnn_ms
        Thresholds in ms of the family ``pnn``; empty without it.

    Raises
    ------
    InvalidInput
        For a value that is not allowed; the message starts with the name of the parameter.
    """

    lengths_s: tuple[tuple[str, tuple[float, ...]], ...] = ORIGINAL
    step_s: float = 1.0
    min_coverage: float = 0.5
    low_ms: float = LOW_MS
    high_ms: float = HIGH_MS
    max_change: float = MAX_CHANGE
    engine: str = "compiled"
    cleaning: str = "gap_aware"
    pnn_ms: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        """Validate, and turn lists into tuples."""
        for name, choice, allowed in (("engine", self.engine, ENGINES), ("cleaning", self.cleaning, CLEANINGS)):
            if not isinstance(choice, str) or choice not in allowed:
                raise InvalidInput(
                    f"{name}={choice if isinstance(choice, str) else quote(choice)}; allowed are {', '.join(allowed)}"
                )
        for name, (low, high) in RANGES.items():
            check_range(name, getattr(self, name), low, high)
        if self.low_ms >= self.high_ms:
            raise InvalidInput("low_ms is not below high_ms")
        object.__setattr__(self, "lengths_s", _freeze_lengths(self.lengths_s))
        object.__setattr__(self, "pnn_ms", _freeze_numbers("pnn_ms", self.pnn_ms, "[10]"))
        if not self.lengths_s:
            raise InvalidInput(f"lengths_s is empty; allowed are {', '.join(FAMILIES)}")
        _check_unique("lengths_s", [family for family, _ in self.lengths_s])
        for family, lengths_s in self.lengths_s:
            self._check_family(family, lengths_s)

    def _check_family(self, family: str, lengths_s: tuple[float, ...]) -> None:
        """Raise unless the family exists, in this engine, and accepts these windows."""
        if family not in FAMILIES:
            raise InvalidInput(f"lengths_s: no feature family is called {family!r}; allowed are {', '.join(FAMILIES)}")
        if self.engine == "hrv_analysis" and not FAMILIES[family].hrv_analysis:
            allowed = ", ".join(name for name, declared in FAMILIES.items() if declared.hrv_analysis)
            raise InvalidInput(f"engine=hrv_analysis has no {family}; it has {allowed}")
        if not lengths_s:
            raise InvalidInput(f"lengths_s.{family} is empty; allowed is a list of seconds, such as [60]")
        _check_unique(f"lengths_s.{family}", [f"{length_s:g}" for length_s in lengths_s])
        shortest_s = FAMILIES[family].min_length_s
        for length_s in lengths_s:
            if not length_s >= self.step_s:
                raise InvalidInput(
                    f"lengths_s.{family}: a window of {length_s:g} s is shorter than "
                    f"step_s ({self.step_s:g} s); allowed are lengths of at least a step"
                )
            if not shortest_s <= length_s <= MAX_LENGTH_S:
                raise InvalidInput(
                    f"lengths_s.{family}: a window of {length_s:g} s; allowed are {shortest_s:g} to {MAX_LENGTH_S:g} s"
                )
        if "pnn_ms" in FAMILIES[family].parameters:
            if not self.pnn_ms or not all(1 <= threshold <= self.high_ms for threshold in self.pnn_ms):
                raise InvalidInput(f"pnn_ms={list(self.pnn_ms)}; allowed are thresholds from 1 ms on, such as [10]")
            _check_unique("pnn_ms", [f"{threshold:g}" for threshold in self.pnn_ms])

    def parameters(self, family: str) -> dict[str, tuple[float, ...]]:
        """Return the parameters that the functions of a family take."""
        if not isinstance(family, str) or family not in FAMILIES:
            raise InvalidInput(f"family={quote(family)} is no feature family; allowed are {', '.join(FAMILIES)}")
        return {name: getattr(self, name) for name in FAMILIES[family].parameters}

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON; families stay in the order of their columns."""
        lengths_s = [[family, list(lengths)] for family, lengths in self.lengths_s]
        return {**asdict(self), "lengths_s": lengths_s, "pnn_ms": list(self.pnn_ms)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "FeatureSpec":
        """Return the specification that `to_dict` described; the first models stored ``lengths_s`` as a mapping."""
        check_type("values", values, Mapping, "a mapping, as to_dict returns")
        names = [field.name for field in fields(cls)]
        if "lengths_s" not in values or not all(name in names for name in values):
            raise InvalidInput(
                f"values has the keys {', '.join(map(str, values)) or 'none'}; lengths_s is needed, allowed are "
                f"{', '.join(names)}"
            )
        return cls(**values)


def _freeze_lengths(lengths_s: Any) -> tuple[tuple[str, tuple[float, ...]], ...]:
    """Turn pairs or a mapping into tuples."""
    pairs = list(lengths_s.items()) if isinstance(lengths_s, Mapping) else lengths_s
    example = "such as {'entropy': [60]}"
    if not isinstance(pairs, list | tuple):
        raise InvalidInput(f"lengths_s={quote(lengths_s)}; allowed are window lengths in seconds by family, {example}")
    frozen = []
    for pair in pairs:
        if not (isinstance(pair, list | tuple) and len(pair) == 2 and isinstance(pair[0], str)):
            raise InvalidInput(f"lengths_s has {quote(pair)}; allowed are pairs of a family and its lengths, {example}")
        frozen.append((pair[0], _freeze_numbers(f"lengths_s.{pair[0]}", pair[1], "[60]")))
    return tuple(frozen)


def _freeze_numbers(name: str, values: Any, example: str) -> tuple[float, ...]:
    """Turn a sequence of numbers into a tuple."""
    if not isinstance(values, list | tuple) or not all(
        isinstance(value, Real) and not isinstance(value, bool) for value in values
    ):
        raise InvalidInput(f"{name}={quote(values)}; allowed is a list of numbers, such as {example}")
    return tuple(map(float, values))


def _check_unique(name: str, values: Sequence[str]) -> None:
    """Raise InvalidInput if a value occurs twice."""
    if len(set(values)) < len(values):
        raise InvalidInput(f"{name}=[{', '.join(values)}] names something twice")


# The features of the original system.
DEFAULT = FeatureSpec()
