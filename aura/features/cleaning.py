"""Clean the RR intervals of windows, and report how much of each window is left."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from aura.core.arrays import Bools, Floats, Ints
from aura.core.series import RRSeries
from aura.features.compiling import kernel
from aura.features.windows import NNWindows, find_intervals


@dataclass(frozen=True, slots=True, eq=False)
class CleanWindows:
    """Windows after cleaning.

    Parameters
    ----------
    windows
        Their NN intervals.
    coverage
        (n_windows,) share of each window covered by intervals that the cleaning left unchanged. The first interval
        counts fully, even if it began before the window.
    corrected
        (n_windows,) share of the RR intervals of each window that were dropped or replaced; NaN without intervals.
    """

    windows: NNWindows
    coverage: Floats
    corrected: Floats


PS_PER_MS = 1e9
# Returns the cleaned windows that end at (n_windows,) times, all of one length in seconds.
Cleaner = Callable[[Floats, float], CleanWindows]


def clean_recording(rr: RRSeries, keep: Bools) -> Cleaner:
    """Clean once per recording (``cleaning=gap_aware``): dropped intervals leave gaps in the windows.

    The features of a window are those of its remaining intervals as a list, as hrv-analysis computes them: a difference
    between two neighbours in the list may span a gap.

    Parameters
    ----------
    rr
        All intervals of a recording.
    keep
        (n_intervals,) the intervals to keep, see `aura.ecg.intervals.is_normal`.
    """
    t_s, nn_ms = rr.t_s[keep], rr.rr_ms[keep]
    # Number of kept intervals before each interval.
    n_kept = np.concatenate(([0], np.cumsum(keep)))
    # Sums of whole picoseconds are exact, so the coverage of a window does not depend on where the recording begins.
    covered_ps = np.concatenate(([0], np.cumsum(np.round(nn_ms * PS_PER_MS).astype(np.int64))))

    def clean(end_s: Floats, length_s: float) -> CleanWindows:
        first_rr, stop_rr = find_intervals(rr.t_s, end_s, length_s)
        n_rr, first, stop = stop_rr - first_rr, n_kept[first_rr], n_kept[stop_rr]
        return CleanWindows(
            NNWindows(t_s, nn_ms, end_s, first, stop),
            _divide((covered_ps[stop] - covered_ps[first]) / PS_PER_MS, length_s * 1000.0),
            _divide(n_rr - (stop - first), n_rr),
        )

    return clean


def clean_windows(rr: RRSeries, *, low_ms: float, high_ms: float, max_change: float) -> Cleaner:
    """Clean each window on its own (``cleaning=hrv_analysis``), as the original system did with hrv-analysis.

    Intervals out of range are replaced by linear interpolation, then ectopic intervals by Malik's rule; at the ends of
    a window the nearest interval is repeated. The first interval of a window is not compared with any other, and an
    interval after a gap is compared with the one before the gap. A window without an interval in range is empty.

    Parameters
    ----------
    rr
        All intervals of a recording.
    low_ms, high_ms, max_change
        Limits of the cleaning, see `aura.ecg.intervals.clean_intervals`.
    """

    def clean(end_s: Floats, length_s: float) -> CleanWindows:
        first_rr, stop_rr = find_intervals(rr.t_s, end_s, length_s)
        t_s, nn_ms, first, stop, covered_ms, n_replaced = replace_intervals(
            rr.t_s, rr.rr_ms, first_rr, stop_rr, low_ms, high_ms, max_change
        )
        return CleanWindows(
            NNWindows(t_s, nn_ms, end_s, first, stop),
            _divide(covered_ms, length_s * 1000.0),
            _divide(n_replaced, stop_rr - first_rr),
        )

    return clean


def _divide(part: Floats | Ints, whole: Ints | float) -> Floats:
    """Return a share of at most 1; NaN for a share of nothing."""
    with np.errstate(divide="ignore", invalid="ignore"):
        share: Floats = np.minimum(part / whole, 1.0)
    return share


@kernel()
def interpolate(values: Floats, missing: Bools) -> None:
    """Replace missing values by linear interpolation; at the ends, by the nearest value."""
    last = -1
    for i in range(len(values)):
        if missing[i]:
            continue
        for gap in range(last + 1, i):
            if last < 0:
                values[gap] = values[i]
            else:
                values[gap] = values[last] + (values[i] - values[last]) / (i - last) * (gap - last)
        last = i
    for gap in range(last + 1, len(values)):
        values[gap] = values[last]


@kernel()
def replace_intervals(
    t_s: Floats, rr_ms: Floats, first: Ints, stop: Ints, low_ms: float, high_ms: float, max_change: float
) -> tuple[Floats, Floats, Ints, Ints, Floats, Ints]:
    """Clean each window on its own, see `clean_windows`.

    Return times and intervals of all windows in a row, and the first and one past the last interval of each window;
    then for each window the sum of its unchanged intervals in ms, and the number of its replaced intervals.
    """
    n_windows = len(first)
    total = (stop - first).sum()
    out_s, out_ms = np.empty(total), np.empty(total)
    out_first, out_stop = np.zeros(n_windows, dtype=np.int64), np.zeros(n_windows, dtype=np.int64)
    covered_ms, n_replaced = np.zeros(n_windows), np.zeros(n_windows, dtype=np.int64)
    most = (stop - first).max() if n_windows else 0
    missing, replaced = np.zeros(most + 1, dtype=np.bool_), np.zeros(most + 1, dtype=np.bool_)
    at = 0
    for window in range(n_windows):
        rr = rr_ms[first[window] : stop[window]]
        n = len(rr)
        nn = out_ms[at : at + n]
        nn[:] = rr
        n_missing = 0
        for i in range(n):
            missing[i] = rr[i] < low_ms or rr[i] > high_ms
            replaced[i] = missing[i]
            n_missing += missing[i]
        out_first[window] = out_stop[window] = at
        n_replaced[window] = n_missing
        if n_missing == n:
            continue
        if n_missing > 0:
            interpolate(nn, missing[:n])
        n_ectopic = 0
        missing[0] = False
        for i in range(1, n):
            # The interval after a dropped one is kept untested.
            missing[i] = not missing[i - 1] and abs(nn[i] - nn[i - 1]) > max_change * nn[i - 1]
            n_ectopic += missing[i]
        if n_ectopic > 0:
            interpolate(nn, missing[:n])
        n_replaced[window] = 0
        for i in range(n):
            if replaced[i] or missing[i]:
                n_replaced[window] += 1
            else:
                covered_ms[window] += rr[i]
        out_s[at : at + n] = t_s[first[window] : stop[window]]
        at += n
        out_stop[window] = at
    return out_s[:at], out_ms[:at], out_first, out_stop, covered_ms, n_replaced
