"""RR intervals in, a row of features per window out: the one path of training, detection and serving."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd

from aura.cleaning import Cleaned, CleanWindows, gap_aware, hrv_analysis
from aura.errors import AuraError
from aura.features import adaptive, complexity, entropy, frequency_domain, jeppesen, pnn, poincare, robust, time_domain
from aura.features.reference import FUNCTIONS, reference
from aura.rr import is_normal
from aura.types import Bools, Floats, RRSeries
from aura.windows import NNWindows, window_ends

Family = Callable[[NNWindows], dict[str, Floats]]
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
# Columns of a row beside its features.
BESIDE = ("t_s", "coverage", "corrected")
# Windows that are worked on together, to bound the memory.
BLOCK = 8192


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
        Limits of the cleaning, see `aura.rr.clean`.
    engine
        ``compiled``, or ``hrv_analysis`` for the same features by that library, window by window, and some hundred
        times slower.
    cleaning
        ``gap_aware`` or ``hrv_analysis``, see `aura.cleaning`.
    pnn_ms
        Thresholds of the family ``pnn``.
    """

    lengths_s: tuple[tuple[str, tuple[float, ...]], ...] = ORIGINAL
    step_s: float = 1.0
    min_coverage: float = 0.5
    low_ms: float = 300.0
    high_ms: float = 1800.0
    max_change: float = 0.2
    engine: str = "compiled"
    cleaning: str = "gap_aware"
    pnn_ms: tuple[float, ...] = (10.0, 30.0)

    def __post_init__(self) -> None:
        """Refuse what cannot be computed."""
        if self.engine not in ENGINES:
            raise AuraError(f"features.engine={self.engine}; allowed are {', '.join(ENGINES)}")
        if self.cleaning not in CLEANINGS:
            raise AuraError(f"cleaning.method={self.cleaning}; allowed are {', '.join(CLEANINGS)}")
        if not all(0 <= threshold < float("inf") for threshold in self.pnn_ms):
            raise AuraError(
                f"features.pnn_ms={list(self.pnn_ms)}; allowed are thresholds from 0 to {self.high_ms:g} ms"
            )
        for family, lengths_s in self.lengths_s:
            if family not in FAMILIES:
                raise AuraError(f"no feature family is called {family!r}; there are {', '.join(FAMILIES)}")
            if self.engine == "hrv_analysis" and family not in FUNCTIONS:
                raise AuraError(f"features.engine=hrv_analysis has no {family}; it has {', '.join(FUNCTIONS)}")
            for length_s in lengths_s:
                if not length_s >= self.step_s > 0:
                    raise AuraError(
                        f"windows.lengths_s.{family}: a window of {length_s:g} s is shorter than "
                        f"windows.step_s ({self.step_s:g} s); allowed are lengths of at least a step"
                    )

    def to_dict(self) -> dict[str, Any]:
        """As plain values for JSON."""
        lengths_s = {family: list(lengths) for family, lengths in self.lengths_s}
        return {**asdict(self), "lengths_s": lengths_s, "pnn_ms": list(self.pnn_ms)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "FeatureSpec":
        """Back from what `to_dict` gave."""
        lengths_s = tuple((family, tuple(map(float, lengths))) for family, lengths in values["lengths_s"].items())
        pnn_ms = tuple(map(float, values.get("pnn_ms", ())))
        return cls(**{**values, "lengths_s": lengths_s, "pnn_ms": pnn_ms})


def extract(rr: RRSeries, spec: FeatureSpec = FeatureSpec(), *, from_s: float = 0.0) -> pd.DataFrame:
    """Compute the features of all windows of a recording.

    Parameters
    ----------
    rr
        RR intervals as detected, not cleaned.
    spec
        Which features, on which windows; the original system's 27, where nothing is said.
    from_s
        Time after which the windows end that are wanted.

    Returns
    -------
    DataFrame
        (n_windows, 3 + n_features): ``t_s``, the end of the window; ``coverage``, the share of the longest window that
        intervals cover which the cleaning left as they were; ``corrected``, the share of its intervals that it did not
        (NaN where there is none); and a column per feature and window length, such as ``rmssd__60s``, NaN where a
        window has not enough valid beats for the feature to be defined.

    Examples
    --------
    >>> rr = RRSeries(np.arange(1, 21) * 0.8, np.full(20, 800.0), 16.0)
    >>> spec = FeatureSpec((("time_domain", (10.0,)),), step_s=5.0)
    >>> extract(rr, spec)[["t_s", "coverage", "mean_nni__10s"]].to_numpy().tolist()
    [[5.0, 0.48, nan], [10.0, 0.96, 800.0], [15.0, 0.96, 800.0]]
    """
    keep = is_normal(rr, low_ms=spec.low_ms, high_ms=spec.high_ms, max_change=spec.max_change)
    end_s = window_ends(rr.duration_s, spec.step_s)
    return describe(rr, keep, end_s[end_s > from_s], spec)


def describe(rr: RRSeries, keep: Bools, end_s: Floats, spec: FeatureSpec) -> pd.DataFrame:
    """Compute the features of windows by their ends, knowing which intervals are normal; otherwise as `extract`."""
    clean = _cleaning(rr, keep, spec)
    n_windows = len(end_s)
    longest_s = max(length_s for _, lengths_s in spec.lengths_s for length_s in lengths_s)
    columns: dict[str, Floats] = {"t_s": end_s, "coverage": np.empty(n_windows), "corrected": np.empty(n_windows)}
    # Once without any window, for the names of the columns where there is none.
    for begin in range(0, n_windows, BLOCK) if n_windows else (0,):
        block = slice(begin, begin + BLOCK)
        longest = clean(end_s[block], longest_s)
        columns["coverage"][block], columns["corrected"][block] = longest.coverage, longest.corrected
        for family, lengths_s in spec.lengths_s:
            for length_s in lengths_s:
                for name, column in _compute(family, clean(end_s[block], length_s), spec).items():
                    whole = columns.setdefault(f"{name}__{length_s:g}s", np.empty(n_windows))
                    whole[block] = np.where(np.isfinite(column), column, np.nan)
    return pd.DataFrame(columns, copy=False)


def feature_names(frame: pd.DataFrame) -> list[str]:
    """Columns of `extract` that are features: not the time, nor how much of a window there is."""
    return [name for name in frame.columns if name not in BESIDE]


def _cleaning(rr: RRSeries, keep: Bools, spec: FeatureSpec) -> Cleaned:
    """Give the windows of any length after cleaning."""
    if spec.cleaning == "gap_aware":
        return gap_aware(rr, keep)
    return hrv_analysis(rr, low_ms=spec.low_ms, high_ms=spec.high_ms, max_change=spec.max_change)


def _compute(family: str, clean: CleanWindows, spec: FeatureSpec) -> dict[str, Floats]:
    """Features of a family on those windows that are covered well enough."""
    # To within the rounding of sums: half of ten seconds is five, not less.
    enough = clean.coverage >= spec.min_coverage - 1e-9
    windows = replace(clean.windows, stop=np.where(enough, clean.windows.stop, clean.windows.first))
    if spec.engine == "hrv_analysis":
        return reference(family)(windows)
    if family == "pnn":
        return pnn.pnn(windows, thresholds_ms=spec.pnn_ms)
    return FAMILIES[family](windows)
