"""The compiled pass of the cleaning that is done window by window; imported as late as `aura.features.kernels`."""

import numpy as np
from numba import njit

from aura.types import Bools, Floats, Ints


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
    """Clean each window by itself, as `aura.cleaning.hrv_analysis` says.

    Gives the windows one after the other: times, intervals, and which of them are whose; and of each window the sum of
    the intervals that were left as they were, and the number of those that were replaced.
    """
    n_windows = len(first)
    total = (stop - first).sum()
    out_s, out_ms = np.empty(total), np.empty(total)
    out_first, out_stop = np.zeros(n_windows, dtype=np.int64), np.zeros(n_windows, dtype=np.int64)
    covered_ms, n_replaced = np.zeros(n_windows), np.zeros(n_windows, dtype=np.int64)
    at = 0
    for window in range(n_windows):
        rr = rr_ms[first[window] : stop[window]]
        n = len(rr)
        replaced = (rr < low_ms) | (rr > high_ms)
        n_replaced[window] = replaced.sum()
        out_first[window] = out_stop[window] = at
        if n_replaced[window] == n:
            continue
        nn = out_ms[at : at + n]
        nn[:] = rr
        interpolate(nn, replaced)
        ectopic = np.zeros(n, dtype=np.bool_)
        for i in range(1, n):
            # The interval after one that is left out is kept untested.
            ectopic[i] = not ectopic[i - 1] and abs(nn[i] - nn[i - 1]) > max_change * nn[i - 1]
        interpolate(nn, ectopic)
        replaced |= ectopic
        n_replaced[window] = replaced.sum()
        for i in range(n):
            if not replaced[i]:
                covered_ms[window] += rr[i]
        out_s[at : at + n] = t_s[first[window] : stop[window]]
        at += n
        out_stop[window] = at
    return out_s[:at], out_ms[:at], out_first, out_stop, covered_ms, n_replaced
