"""RR intervals in, a row of features per window out: the one path of training, detection and serving."""

from dataclasses import replace

import numpy as np
import pandas as pd

from aura.core.arrays import Bools, Floats
from aura.core.errors import AuraError
from aura.core.series import RRSeries
from aura.ecg.intervals import is_normal
from aura.features.cleaning import Cleaned, CleanWindows, gap_aware, hrv_analysis
from aura.features.families.pnn import pnn
from aura.features.hrv_analysis import reference
from aura.features.spec import DEFAULT, FAMILIES, FeatureSpec
from aura.features.windows import beats_in_windows, window_ends

# Columns of a row beside its features.
BESIDE = ("t_s", "coverage", "corrected")
# What the present is: of a row that has no beats in it, the longer windows know the past alone.
PRESENT_S = 10.0
# Windows that are worked on together, to bound the memory.
BLOCK = 8192


def extract(rr: RRSeries, spec: FeatureSpec = DEFAULT, *, from_s: float = 0.0, until_s: float = np.inf) -> pd.DataFrame:
    """Compute the features of all windows of a recording.

    Parameters
    ----------
    rr
        RR intervals as detected, not cleaned.
    spec
        Which features, on which windows; the original system's 27, where nothing is said.
    from_s, until_s
        Time after which, and up to which, the windows end that are wanted.

    Returns
    -------
    DataFrame
        (n_windows, 3 + n_features): ``t_s``, the end of the window; ``coverage``, the share of the longest window that
        intervals cover which the cleaning left as they were; ``corrected``, the share of its intervals that it did not
        (NaN where there is none); and a column per feature and window length, such as ``rmssd__60s``, NaN where a
        window has not enough valid beats for the feature to be defined, or where intervals cover less than
        ``spec.min_coverage`` of the last 10 s, so that long windows do not speak for a stretch without beats.

    Examples
    --------
    >>> rr = RRSeries(np.arange(1, 21) * 0.8, np.full(20, 800.0), 16.0)
    >>> spec = FeatureSpec((("time_domain", (10.0,)),), step_s=5.0)
    >>> extract(rr, spec)[["t_s", "coverage", "mean_nni__10s"]].to_numpy().tolist()
    [[5.0, 0.48, nan], [10.0, 0.96, 800.0], [15.0, 0.96, 800.0]]
    """
    if not isinstance(rr, RRSeries) or not isinstance(spec, FeatureSpec):
        raise AuraError(
            f"extract takes an RRSeries, which it cleans itself, and a FeatureSpec; "
            f"these are {type(rr).__name__} and {type(spec).__name__}"
        )
    keep = is_normal(rr, low_ms=spec.low_ms, high_ms=spec.high_ms, max_change=spec.max_change)
    end_s = window_ends(rr.duration_s, spec.step_s)
    return describe(rr, keep, end_s[(end_s > from_s) & (end_s <= until_s)], spec)


def names_of(spec: FeatureSpec) -> list[str]:
    """Names of the features of a specification, in the order of their columns."""
    return feature_names(extract(RRSeries(np.zeros(0), np.zeros(0), 0.0), spec))


def describe(rr: RRSeries, keep: Bools, end_s: Floats, spec: FeatureSpec) -> pd.DataFrame:
    """Compute the features of windows by their ends, knowing which intervals are normal; otherwise as `extract`."""
    clean = _cleaning(rr, keep, spec)
    n_windows = len(end_s)
    all_lengths_s = sorted({length_s for _, lengths_s in spec.lengths_s for length_s in lengths_s})
    names, values = list[str](), np.empty((0, 0))
    # Once without any window, for the names of the columns where there is none.
    for begin in range(0, n_windows, BLOCK) if n_windows else (0,):
        block = slice(begin, begin + BLOCK)
        cleaned = {length_s: clean(end_s[block], length_s) for length_s in all_lengths_s}
        longest = cleaned[all_lengths_s[-1]]
        columns = {"t_s": end_s[block], "coverage": longest.coverage, "corrected": longest.corrected}
        for family, lengths_s in spec.lengths_s:
            for length_s in lengths_s:
                for name, column in _compute(family, cleaned[length_s], spec).items():
                    columns[f"{name}__{length_s:g}s"] = column
        if not names:
            names, values = list(columns), np.empty((len(columns), n_windows))
        for row, column in zip(values, columns.values(), strict=True):
            row[block] = np.where(np.isfinite(column), column, np.nan)
    values[len(BESIDE) :, _is_silent(rr, end_s, spec.min_coverage, all_lengths_s[-1])] = np.nan
    # In one piece: a piece per column costs more than the features of a single window.
    return pd.DataFrame(values.T, columns=names, copy=False)


def _is_silent(rr: RRSeries, end_s: Floats, min_coverage: float, longest_s: float) -> Bools:
    """(n_windows,) whether intervals, normal or not, cover too little of the last 10 s, as of a lead that is off."""
    length_s = min(PRESENT_S, longest_s)
    first, stop = beats_in_windows(rr.t_s, end_s, length_s)
    covered_ms = np.concatenate(([0.0], np.cumsum(rr.rr_ms)))
    # To within the rounding of sums.
    silent: Bools = (covered_ms[stop] - covered_ms[first]) / 1000.0 < (min_coverage - 1e-9) * length_s
    return silent


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
        return pnn(windows, thresholds_ms=spec.pnn_ms)
    return FAMILIES[family](windows)
