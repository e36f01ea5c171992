"""RR intervals to one row of features per window; training, detection and serving all use this."""

from dataclasses import replace

import numpy as np
import pandas as pd

from aura.core.arrays import Bools, Floats
from aura.core.errors import check_number, check_type
from aura.core.series import RRSeries
from aura.ecg.intervals import is_normal
from aura.features.cleaning import Cleaner, CleanWindows, clean_recording, clean_windows
from aura.features.families import FAMILIES
from aura.features.hrv_analysis import reference
from aura.features.spec import DEFAULT, FeatureSpec
from aura.features.windows import find_intervals, window_ends

# Columns of a row that are not features.
CONTEXT_COLUMNS = ("t_s", "coverage", "corrected")
# Without enough beats in this last part of a window, a row has no features: long windows only know the past.
PRESENT_S = 10.0
# Windows that are computed at once, to bound the memory.
BLOCK = 8192


def extract_features(
    rr: RRSeries, spec: FeatureSpec = DEFAULT, *, from_s: float = 0.0, until_s: float = np.inf
) -> pd.DataFrame:
    """Compute the features of all windows of a recording.

    Parameters
    ----------
    rr
        RR intervals as detected, not cleaned.
    spec
        Which features, on which windows; by default the 27 of the original system.
    from_s, until_s
        Only windows that end after ``from_s`` and up to ``until_s``, in seconds, are computed.

    Returns
    -------
    DataFrame
        (n_windows, 3 + n_features): ``t_s``, the end of the window; ``coverage``, the share of the longest window
        covered by intervals that the cleaning left unchanged; ``corrected``, the share of its intervals that the
        cleaning dropped or replaced (NaN without intervals); and one column per feature and window length, such as
        ``rmssd__60s``. A feature is NaN if its window has too few valid beats to define it. A row has no features if
        intervals cover less than ``spec.min_coverage`` of its last 10 s, so that long windows do not speak for a
        stretch without beats.

    Raises
    ------
    InvalidInput
        For arguments of another type.

    Examples
    --------
    >>> rr = RRSeries(np.arange(1, 21) * 0.8, np.full(20, 800.0), 16.0)
    >>> spec = FeatureSpec((("time_domain", (10.0,)),), step_s=5.0)
    >>> extract_features(rr, spec)[["t_s", "coverage", "mean_nni__10s"]].to_numpy().tolist()
    [[5.0, 0.48, nan], [10.0, 0.96, 800.0], [15.0, 0.96, 800.0]]
    """
    check_type("rr", rr, RRSeries, "an RRSeries, which extract_features cleans itself")
    check_spec(spec)
    check_number("from_s", from_s, "seconds")
    check_number("until_s", until_s, "seconds")
    keep = is_normal(rr, low_ms=spec.low_ms, high_ms=spec.high_ms, max_change=spec.max_change)
    end_s = window_ends(rr.duration_s, spec.step_s)
    return extract_windows(rr, keep, end_s[(end_s > from_s) & (end_s <= until_s)], spec)


def check_spec(spec: object) -> None:
    """Raise InvalidInput unless ``spec`` is a FeatureSpec."""
    check_type("spec", spec, FeatureSpec, "a FeatureSpec")


def list_features(spec: FeatureSpec) -> list[str]:
    """List the names of the features of a specification, in the order of their columns."""
    names = [
        f"{name}__{length_s:g}s"
        for family, lengths_s in spec.lengths_s
        for length_s in lengths_s
        for name in FAMILIES[family].list_columns(spec.parameters(family))
    ]
    # Two families may have the same column, such as pnni_50.
    return list(dict.fromkeys(names))


def feature_names(frame: pd.DataFrame) -> list[str]:
    """List the columns of a feature table that are features: not the time, nor the coverage of the window."""
    return [name for name in frame.columns if name not in CONTEXT_COLUMNS]


def extract_windows(rr: RRSeries, keep: Bools, end_s: Floats, spec: FeatureSpec) -> pd.DataFrame:
    """Compute the features of windows that end at the given times, as `extract_features` does.

    Parameters
    ----------
    rr
        RR intervals as detected.
    keep
        (n_intervals,) which of them are normal.
    end_s
        (n_windows,) ends of the windows in seconds.
    spec
        Which features, on which windows.
    """
    clean = _make_cleaner(rr, keep, spec)
    lengths_s = sorted({length_s for _, lengths_s in spec.lengths_s for length_s in lengths_s})
    names = [*CONTEXT_COLUMNS, *list_features(spec)]
    values = np.empty((len(names), len(end_s)))
    for begin in range(0, len(end_s), BLOCK):
        block = slice(begin, begin + BLOCK)
        columns = _compute_block(
            end_s[block], {length_s: clean(end_s[block], length_s) for length_s in lengths_s}, spec
        )
        for row, name in zip(values, names, strict=True):
            row[block] = np.where(np.isfinite(columns[name]), columns[name], np.nan)
    values[len(CONTEXT_COLUMNS) :, _is_silent(rr, end_s, spec.min_coverage, lengths_s[-1])] = np.nan
    # As one block of memory: a block per column costs more than the features of a single window.
    return pd.DataFrame(values.T, columns=names, copy=False)


def _compute_block(end_s: Floats, cleaned: dict[float, CleanWindows], spec: FeatureSpec) -> dict[str, Floats]:
    """Compute the columns of some windows, which are cleaned for each length."""
    longest = cleaned[max(cleaned)]
    columns = {"t_s": end_s, "coverage": longest.coverage, "corrected": longest.corrected}
    for family, lengths_s in spec.lengths_s:
        for length_s in lengths_s:
            for name, column in _compute_family(family, cleaned[length_s], spec).items():
                columns[f"{name}__{length_s:g}s"] = column
    return columns


def _is_silent(rr: RRSeries, end_s: Floats, min_coverage: float, longest_s: float) -> Bools:
    """(n_windows,) whether intervals, normal or not, cover too little of the last 10 s, such as while a lead is off."""
    length_s = min(PRESENT_S, longest_s)
    first, stop = find_intervals(rr.t_s, end_s, length_s)
    covered_ms = np.concatenate(([0.0], np.cumsum(rr.rr_ms)))
    # Up to the rounding of sums.
    silent: Bools = (covered_ms[stop] - covered_ms[first]) / 1000.0 < (min_coverage - 1e-9) * length_s
    return silent


def _make_cleaner(rr: RRSeries, keep: Bools, spec: FeatureSpec) -> Cleaner:
    """Return the cleaning of a specification."""
    if spec.cleaning == "gap_aware":
        return clean_recording(rr, keep)
    return clean_windows(rr, low_ms=spec.low_ms, high_ms=spec.high_ms, max_change=spec.max_change)


def _compute_family(name: str, clean: CleanWindows, spec: FeatureSpec) -> dict[str, Floats]:
    """Compute the features of a family on the windows that are covered well enough."""
    # Up to the rounding of sums: half of ten seconds is five, not less.
    enough = clean.coverage >= spec.min_coverage - 1e-9
    windows = replace(clean.windows, stop=np.where(enough, clean.windows.stop, clean.windows.first))
    family = FAMILIES[name]
    if spec.engine == "hrv_analysis":
        return reference(family)(windows)
    return family.compute(windows, **spec.parameters(name))
