"""The compiled pass of the cleaning that is done window by window; imported as late as `aura.features.kernels`."""

import numpy as np
from numba import njit

from aura.core.arrays import Bools, Floats, Ints


@njit(cache=True, nogil=True)
def interpolate(values: Floats, missing: Bools) -> None:
    """Replace what is missing by straight lines between what is not; at the ends, by the next that is there."""
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


@njit(cache=True, nogil=True)
def clean_windows(
    t_s: Floats, rr_ms: Floats, first: Ints, stop: Ints, low_ms: float, high_ms: float, max_change: float
) -> tuple[Floats, Floats, Ints, Ints, Floats, Ints]:
    """Clean each window by itself, as `aura.features.cleaning.hrv_analysis` says.

    Gives the windows one after the other: times, intervals, and which of them are whose; and of each window the sum of
    the intervals that were left as they were, and the number of those that were replaced.
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
            # The interval after one that is left out is kept untested.
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
