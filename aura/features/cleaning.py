"""RR to NN intervals, window by window: which were left out, which replaced, and how much of a window is left."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from aura.core.arrays import Bools, Floats, Ints
from aura.core.series import RRSeries
from aura.features.windows import NNWindows, beats_in_windows


@dataclass(frozen=True, slots=True, eq=False)
class CleanWindows:
    """Windows after cleaning.

    Parameters
    ----------
    windows
        Their NN intervals.
    coverage
        (n_windows,) share of each window that intervals cover which the cleaning left as they were. The first interval
        counts whole, though it began before the window.
    corrected
        (n_windows,) share of the RR intervals of each window that were left out or replaced; NaN where there is none.
    """

    windows: NNWindows
    coverage: Floats
    corrected: Floats


PS_PER_MS = 1e9
Cleaned = Callable[[Floats, float], CleanWindows]


def gap_aware(rr: RRSeries, keep: Bools) -> Cleaned:
    """Clean once per recording: what `aura.ecg.intervals.clean` leaves out is left out of the windows.

    The features of a window are those of the intervals that are left in it, side by side, as hrv-analysis computes
    them of the same list: a difference between two intervals can be one across a gap.

    Parameters
    ----------
    rr
        All intervals of a recording.
    keep
        (n_intervals,) those that are left, as `aura.ecg.intervals.is_normal` says.

    Returns
    -------
    callable
        Gives the windows of a length, by their ends.
    """
    t_s, nn_ms = rr.t_s[keep], rr.rr_ms[keep]
    # Of the intervals before each one, how many are left.
    left = np.concatenate(([0], np.cumsum(keep)))
    # In whole picoseconds, whose sums are exact: the same window has the same coverage wherever a recording begins.
    covered_ps = np.concatenate(([0], np.cumsum(np.round(nn_ms * PS_PER_MS).astype(np.int64))))

    def of(end_s: Floats, length_s: float) -> CleanWindows:
        first_rr, stop_rr = beats_in_windows(rr.t_s, end_s, length_s)
        n_rr, first, stop = stop_rr - first_rr, left[first_rr], left[stop_rr]
        return CleanWindows(
            NNWindows(t_s, nn_ms, end_s, first, stop),
            _share((covered_ps[stop] - covered_ps[first]) / PS_PER_MS, length_s * 1000.0),
            _share(n_rr - (stop - first), n_rr),
        )

    return of


def hrv_analysis(rr: RRSeries, *, low_ms: float, high_ms: float, max_change: float) -> Cleaned:
    """Clean each window by itself, as the original system did with hrv-analysis.

    Intervals out of range are replaced by straight lines between their neighbours, then so are ectopic ones by Malik's
    rule; at the ends of a window the nearest one is repeated. The first interval of a window is compared with none, one
    after a gap with the one before the gap. A window without any interval in range is empty.

    Parameters
    ----------
    rr
        All intervals of a recording.
    low_ms, high_ms, max_change
        As in `aura.ecg.intervals.clean`.

    Returns
    -------
    callable
        Gives the windows of a length, by their ends.
    """
    from aura.features.kernels_cleaning import clean_windows

    def of(end_s: Floats, length_s: float) -> CleanWindows:
        first_rr, stop_rr = beats_in_windows(rr.t_s, end_s, length_s)
        t_s, nn_ms, first, stop, covered_ms, n_replaced = clean_windows(
            rr.t_s, rr.rr_ms, first_rr, stop_rr, low_ms, high_ms, max_change
        )
        return CleanWindows(
            NNWindows(t_s, nn_ms, end_s, first, stop),
            _share(covered_ms, length_s * 1000.0),
            _share(n_replaced, stop_rr - first_rr),
        )

    return of


def _share(part: Floats | Ints, whole: Ints | float) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        share: Floats = np.minimum(part / whole, 1.0)
    return share
