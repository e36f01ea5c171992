"""RR intervals in, a row of features per window out: the one path of training, detection and serving."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd

from aura.errors import AuraError
from aura.features import adaptive, complexity, entropy, frequency_domain, jeppesen, poincare, robust, time_domain
from aura.features.reference import FUNCTIONS, reference
from aura.rr import clean
from aura.types import Floats, Ints, NNSeries, RRSeries
from aura.windows import beats_in_windows, window_ends

Family = Callable[[Floats, Ints, Ints], dict[str, Floats]]
FAMILIES: Mapping[str, Family] = MappingProxyType(
    {
        "time_domain": time_domain.time_domain,
        "poincare": poincare.poincare,
        "entropy": entropy.entropy,
        "frequency_domain": frequency_domain.frequency_domain,
        "robust": robust.robust,
        "complexity": complexity.complexity,
        "jeppesen": jeppesen.jeppesen,
    }
)
# Those that look at the clock as well.
TIMED: Mapping[str, Callable[[NNSeries, Floats, Ints, Ints], dict[str, Floats]]] = MappingProxyType(
    {"adaptive": adaptive.adaptive}
)
KNOWN = (*FAMILIES, *TIMED)
ENGINES = ("compiled", "hrv_analysis")


@dataclass(frozen=True, slots=True)
class FeatureSpec:
    """All that decides the numbers in a row of features; a model carries the one it was trained on.

    Parameters
    ----------
    lengths_s
        Families of features in their order, each with the lengths of its windows in seconds.
    step_s
        Time from one window to the next in seconds.
    min_coverage
        Share of a window that NN intervals have to cover for its features to be given.
    low_ms, high_ms, max_change
        Cleaning, see `aura.rr.clean`.
    engine
        ``compiled``, or ``hrv_analysis`` for the same features by that library, window by window, and some hundred
        times slower.
    """

    lengths_s: tuple[tuple[str, tuple[float, ...]], ...]
    step_s: float
    min_coverage: float
    low_ms: float
    high_ms: float
    max_change: float
    engine: str = "compiled"

    def __post_init__(self) -> None:
        """Refuse what cannot be computed."""
        if self.engine not in ENGINES:
            raise AuraError(f"features.engine={self.engine}; allowed are {', '.join(ENGINES)}")
        for family, lengths_s in self.lengths_s:
            if family not in KNOWN:
                raise AuraError(f"no feature family is called {family!r}; there are {', '.join(KNOWN)}")
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
        return {**asdict(self), "lengths_s": {family: list(lengths) for family, lengths in self.lengths_s}}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "FeatureSpec":
        """Back from what `to_dict` gave."""
        lengths_s = tuple((family, tuple(map(float, lengths))) for family, lengths in values["lengths_s"].items())
        return cls(**{**values, "lengths_s": lengths_s})


def extract(rr: RRSeries, spec: FeatureSpec, *, from_s: float = 0.0) -> pd.DataFrame:
    """Compute the features of all windows of a recording.

    Parameters
    ----------
    rr
        RR intervals as detected, not cleaned.
    spec
        Which features, on which windows.
    from_s
        Time after which the windows end that are wanted.

    Returns
    -------
    DataFrame
        (n_windows, 2 + n_features): ``t_s``, the end of the window; ``coverage``, the share of the longest window that
        NN intervals cover; and a column per feature and window length, such as ``rmssd__60s``, NaN where a window has
        not enough valid beats for a feature to mean anything.

    Examples
    --------
    >>> rr = RRSeries(np.arange(1, 21) * 0.8, np.full(20, 800.0), 16.0)
    >>> spec = FeatureSpec((("time_domain", (10.0,)),), 5.0, 0.5, 300.0, 1800.0, 0.2)
    >>> extract(rr, spec)[["t_s", "mean_nni__10s"]].to_numpy().tolist()
    [[5.0, nan], [10.0, 800.0], [15.0, 800.0]]
    """
    nn = clean(rr, low_ms=spec.low_ms, high_ms=spec.high_ms, max_change=spec.max_change)
    end_s = window_ends(rr.duration_s, spec.step_s)
    return describe(nn, end_s[end_s > from_s], spec)


def describe(nn: NNSeries, end_s: Floats, spec: FeatureSpec) -> pd.DataFrame:
    """Compute the features of windows by their ends, of intervals that are clean; otherwise as `extract`."""
    longest_s = max(length_s for _, lengths_s in spec.lengths_s for length_s in lengths_s)
    columns: dict[str, Floats] = {"t_s": end_s, "coverage": _windows(nn, end_s, longest_s)[2]}
    for family, lengths_s in spec.lengths_s:
        for length_s in lengths_s:
            first, stop, coverage = _windows(nn, end_s, length_s)
            # To within the rounding of sums: half of ten seconds is five, not less.
            stop = np.where(coverage >= spec.min_coverage - 1e-9, stop, first)
            if family in TIMED:
                found = TIMED[family](nn, end_s, first, stop)
            else:
                compute = FAMILIES[family] if spec.engine == "compiled" else reference(family)
                found = compute(nn.nn_ms, first, stop)
            for name, column in found.items():
                column[~np.isfinite(column)] = np.nan
                columns[f"{name}__{length_s:g}s"] = column
    return pd.DataFrame(columns, copy=False)


def feature_names(frame: pd.DataFrame) -> list[str]:
    """Columns of `extract` that are features: not the time, nor how much of a window there is."""
    return [name for name in frame.columns if name not in ("t_s", "coverage", "label")]


def _windows(nn: NNSeries, end_s: Floats, length_s: float) -> tuple[Ints, Ints, Floats]:
    """First and one past the last interval of each window, and the share of it that they cover.

    The first interval counts whole, though it began before the window.
    """
    first, stop = beats_in_windows(nn.t_s, end_s, length_s)
    covered_ms = np.concatenate(([0.0], np.cumsum(nn.nn_ms)))
    share: Floats = np.minimum((covered_ms[stop] - covered_ms[first]) / (length_s * 1000.0), 1.0)
    return first, stop, share
