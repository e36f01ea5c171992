"""Compiled passes over all windows of a recording. Importing this imports numba, so it is left to the first use."""

import numpy as np
from numba import njit

from aura.core.arrays import Floats, Ints

ROUNDING = 1e-9
# Sums may be added up in any order, so several at a time; numba does that in loops over indices, not over values.
# Squares are written as products: numba compiles the operator ** once per process, in the way of whoever was first to
# use it, and then the last digit depends on what else was imported. For the same reason these functions are put into
# those that call them: else the process that compiles calls them as they are, and those that load it a copy that the
# compiler has had in its hands twice.
ANY_ORDER = {"reassoc", "contract"}


@njit(cache=True, nogil=True, fastmath=ANY_ORDER, forceinline=True)
def sum_of(x: Floats) -> float:
    """Sum of some values."""
    total = 0.0
    for i in range(len(x)):
        total += x[i]
    return total


@njit(cache=True, nogil=True, fastmath=ANY_ORDER, forceinline=True)
def moments(x: Floats) -> tuple[float, float]:
    """Mean, and sum of the squares of what deviates from it."""
    mean = sum_of(x) / len(x)
    squares = 0.0
    for i in range(len(x)):
        deviation = x[i] - mean
        squares += deviation * deviation
    return mean, squares


@njit(cache=True, nogil=True)
def replace(ordered: Floats, old: Floats, new: Floats, n: int) -> int:
    """Take some of n sorted values out and put others in, in place; gives how many there are then."""
    for value in old:
        n -= 1
        for i in range(np.searchsorted(ordered[: n + 1], value), n):
            ordered[i] = ordered[i + 1]
    for value in new:
        i = n
        while i > 0 and ordered[i - 1] > value:
            ordered[i] = ordered[i - 1]
            i -= 1
        ordered[i] = value
        n += 1
    return n


@njit(cache=True, nogil=True)
def sort_next(ordered: Floats, nn_ms: Floats, begin: int, end: int, first: int, stop: int) -> None:
    """Sort the intervals of a window, where those from begin to end, of the window before, are sorted: few change."""
    if begin <= first < end <= stop:
        replace(ordered, nn_ms[begin:first], nn_ms[end:stop], end - begin)
    else:
        ordered[: stop - first] = np.sort(nn_ms[first:stop])


@njit(cache=True, nogil=True)
def time_domain(nn_ms: Floats, first: Ints, stop: Ints) -> Floats:
    """(16, n_windows) features of `aura.features.families.time_domain`, in its order."""
    out = np.full((16, len(first)), np.nan)
    if not len(first):
        return out
    buffer, differences = np.empty((2, (stop - first).max()))
    begin, end, begin_of_all = 0, 0, first.min()
    bpm_of_all = 60000.0 / nn_ms[begin_of_all : stop.max()]
    for window in range(len(first)):
        nn = nn_ms[first[window] : stop[window]]
        n = len(nn)
        if n < 3:
            continue
        mean, squares = moments(nn)
        difference = differences[: n - 1]
        sum_squares, over_50, over_20 = 0.0, 0, 0
        for i in range(n - 1):
            value = nn[i + 1] - nn[i]
            difference[i] = value
            sum_squares += value * value
            over_50 += abs(value) > 50
            over_20 += abs(value) > 20
        _, difference_squares = moments(difference)
        mean_bpm, bpm_squares = moments(bpm_of_all[first[window] - begin_of_all : stop[window] - begin_of_all])
        sort_next(buffer, nn_ms, begin, end, first[window], stop[window])
        begin, end = first[window], stop[window]
        ordered = buffer[:n]
        median = 0.5 * (ordered[(n - 1) // 2] + ordered[n // 2])
        sdnn = np.sqrt(squares / (n - 1))
        rmssd = np.sqrt(sum_squares / (n - 1))
        out[0, window] = mean
        out[1, window] = sdnn
        out[2, window] = np.sqrt(difference_squares / (n - 1))
        out[3, window] = over_50
        out[4, window] = 100.0 * over_50 / (n - 1)
        out[5, window] = over_20
        out[6, window] = 100.0 * over_20 / (n - 1)
        out[7, window] = rmssd
        out[8, window] = median
        out[9, window] = ordered[-1] - ordered[0]
        out[10, window] = rmssd / mean
        out[11, window] = sdnn / mean
        out[12, window] = mean_bpm
        out[13, window] = 60000.0 / ordered[0]
        out[14, window] = 60000.0 / ordered[-1]
        out[15, window] = np.sqrt(bpm_squares / n)
    return out


@njit(cache=True, nogil=True, fastmath=ANY_ORDER, forceinline=True)
def variation(nn: Floats) -> tuple[float, float, float, float]:
    """Mean, squares of what deviates from it, squares of the differences, squares of what deviates from their mean."""
    n = len(nn)
    mean = sum_of(nn) / n
    # Differences add up to the whole way.
    mean_difference = (nn[n - 1] - nn[0]) / (n - 1)
    squares, sum_squares, difference_squares = (nn[0] - mean) * (nn[0] - mean), 0.0, 0.0
    for i in range(1, n):
        difference = nn[i] - nn[i - 1]
        deviation, further = nn[i] - mean, difference - mean_difference
        squares += deviation * deviation
        sum_squares += difference * difference
        difference_squares += further * further
    return mean, squares, sum_squares, difference_squares


@njit(cache=True, nogil=True)
def axes(n: int, mean: float, squares: float, difference_squares: float) -> tuple[float, float]:
    """Width and length of the Poincaré plot of what varies so; the length is -1 where there is none."""
    across = difference_squares / (n - 2)
    along = 2.0 * squares / (n - 1) - 0.5 * across
    width = np.sqrt(0.5 * across)
    # Intervals that rise evenly have none, but for the rounding of sums.
    return width if width > ROUNDING * mean else 0.0, np.sqrt(along) if along >= 0 else -1.0


@njit(cache=True, nogil=True)
def sd1_sd2(nn: Floats) -> tuple[float, float]:
    """Width and length of the Poincaré plot of some intervals; the length is -1 where there is none."""
    mean, squares, _, difference_squares = variation(nn)
    return axes(len(nn), mean, squares, difference_squares)


@njit(cache=True, nogil=True)
def poincare(nn_ms: Floats, first: Ints, stop: Ints) -> Floats:
    """(2, n_windows) sd1 and sd2."""
    out = np.full((2, len(first)), np.nan)
    for window in range(len(first)):
        nn = nn_ms[first[window] : stop[window]]
        n = len(nn)
        if n < 4:
            continue
        across, along = sd1_sd2(nn)
        out[0, window] = across
        if along >= 0:
            out[1, window] = along
    return out
