"""What decides the numbers in a row of features."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any

from aura.core.arrays import Floats
from aura.core.errors import AuraError
from aura.ecg.intervals import HIGH_MS, LOW_MS, MAX_CHANGE
from aura.features.families import (
    adaptive,
    complexity,
    entropy,
    frequency_domain,
    jeppesen,
    pnn,
    poincare,
    robust,
    time_domain,
)
from aura.features.hrv_analysis import FUNCTIONS

FAMILIES: Mapping[str, Callable[..., dict[str, Floats]]] = MappingProxyType(
    {
        "time_domain": time_domain.time_domain,
        "poincare": poincare.poincare,
        "entropy": entropy.entropy,
        "frequency_domain": frequency_domain.frequency_domain,
        "robust": robust.robust,
        "pnn": pnn.pnn,
        "complexity": complexity.complexity,
        "jeppesen": jeppesen.jeppesen,
        "adaptive": adaptive.adaptive,
    }
)
ENGINES = ("compiled", "hrv_analysis")
CLEANINGS = ("gap_aware", "hrv_analysis")
# The windows of the original system, in seconds.
ORIGINAL = (("time_domain", (10.0,)), ("poincare", (60.0,)), ("entropy", (60.0,)), ("frequency_domain", (150.0,)))
# A baseline needs a minute; the 106 intervals of `jeppesen` take at least 26 s at 250 bpm.
MIN_LENGTHS_S = {"adaptive": 60.0, "jeppesen": 26.0}
MAX_LENGTH_S = 86_400.0


@dataclass(frozen=True, slots=True)
class FeatureSpec:
    """All that decides the numbers in a row of features; a model carries the one it was trained on.

    Parameters
    ----------
    lengths_s
        Families of features in their order, each with the lengths of its windows in seconds. The defaults of all
        parameters are the original system's, but for its cleaning.
    step_s
        Time from one window to the next in seconds.
    min_coverage
        Share of a window that NN intervals have to cover for its features to be given.
    low_ms, high_ms, max_change
        Limits of the cleaning, see `aura.ecg.intervals.clean`.
    engine
        ``compiled``, or ``hrv_analysis`` for the same features by that library, window by window, and some hundred
        times slower.
    cleaning
        ``gap_aware`` or ``hrv_analysis``, see `aura.features.cleaning`.
    pnn_ms
        Thresholds of the family ``pnn``, where it is asked for.
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
        """Refuse what cannot be computed."""
        if self.engine not in ENGINES:
            raise AuraError(f"features.engine={self.engine}; allowed are {', '.join(ENGINES)}")
        if self.cleaning not in CLEANINGS:
            raise AuraError(f"cleaning.method={self.cleaning}; allowed are {', '.join(CLEANINGS)}")
        for key, value, low, high in (
            ("windows.step_s", self.step_s, 0.001, 3600),
            ("windows.min_coverage", self.min_coverage, 0, 1),
            ("cleaning.low_ms", self.low_ms, 1, 10_000),
            ("cleaning.high_ms", self.high_ms, 1, 10_000),
            ("cleaning.max_change", self.max_change, 0.01, 10),
        ):
            if not low <= value <= high:
                raise AuraError(f"{key}={value:g} is out of range; allowed is {low:g} to {high:g}")
        if self.low_ms >= self.high_ms:
            raise AuraError("cleaning.low_ms is not below cleaning.high_ms")
        if not self.lengths_s:
            raise AuraError(f"features.families is empty; allowed are {', '.join(FAMILIES)}")
        _check_names("features.families", [family for family, _ in self.lengths_s])
        for family, lengths_s in self.lengths_s:
            self._check_family(family, lengths_s)

    def _check_family(self, family: str, lengths_s: tuple[float, ...]) -> None:
        """Refuse a family that there is not, or windows on which it has nothing to say."""
        if family not in FAMILIES:
            raise AuraError(f"no feature family is called {family!r}; there are {', '.join(FAMILIES)}")
        if self.engine == "hrv_analysis" and family not in FUNCTIONS:
            raise AuraError(f"features.engine=hrv_analysis has no {family}; it has {', '.join(FUNCTIONS)}")
        if not lengths_s:
            raise AuraError(f"windows.lengths_s.{family} is empty; allowed is a list of seconds, such as [60]")
        _check_names(f"windows.lengths_s.{family}", [f"{length_s:g}" for length_s in lengths_s])
        shortest_s = MIN_LENGTHS_S.get(family, 0.0)
        for length_s in lengths_s:
            if not length_s >= self.step_s:
                raise AuraError(
                    f"windows.lengths_s.{family}: a window of {length_s:g} s is shorter than "
                    f"windows.step_s ({self.step_s:g} s); allowed are lengths of at least a step"
                )
            if not shortest_s <= length_s <= MAX_LENGTH_S:
                raise AuraError(
                    f"windows.lengths_s.{family}: a window of {length_s:g} s; allowed are {shortest_s:g} to "
                    f"{MAX_LENGTH_S:g} s"
                )
        if family == "pnn":
            if not self.pnn_ms or not all(1 <= threshold <= self.high_ms for threshold in self.pnn_ms):
                raise AuraError(
                    f"features.pnn_ms={list(self.pnn_ms)}; allowed are thresholds from 1 ms on, such as [10]"
                )
            _check_names("features.pnn_ms", [f"{threshold:g}" for threshold in self.pnn_ms])

    def to_dict(self) -> dict[str, Any]:
        """As plain values for JSON; the order of the families is that of the columns, so it is kept."""
        lengths_s = [[family, list(lengths)] for family, lengths in self.lengths_s]
        return {**asdict(self), "lengths_s": lengths_s, "pnn_ms": list(self.pnn_ms)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "FeatureSpec":
        """Back from what `to_dict` gave."""
        pairs = values["lengths_s"]
        # As the first models had it.
        pairs = pairs.items() if isinstance(pairs, Mapping) else pairs
        lengths_s = tuple((family, tuple(map(float, lengths))) for family, lengths in pairs)
        pnn_ms = tuple(map(float, values.get("pnn_ms", ())))
        return cls(**{**values, "lengths_s": lengths_s, "pnn_ms": pnn_ms})


def _check_names(key: str, names: Sequence[str]) -> None:
    """Refuse a list that names something twice."""
    if len(set(names)) < len(names):
        raise AuraError(f"{key}=[{', '.join(names)}] names something twice")


# What the original system computed.
DEFAULT = FeatureSpec()
