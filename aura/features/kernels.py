"""Kernels that several families share.

Three rules keep the digits of a feature independent of the process that compiled it:

- Squares are written ``x * x``. Numba compiles the operator ``**`` once per process, for its first user.
- Functions with sums in any order are put into their callers (``forceinline``). Otherwise the process that compiles
  calls them as they are, and a process that loads the cache calls a copy that was optimised twice.
- Each kernel is cached, so later processes load what the first one compiled.
"""

import numpy as np
from numpy.typing import NDArray

from aura.core.arrays import Floats
from aura.features.compiling import ANY_ORDER, kernel

Marks = NDArray[np.uint8]
Counts = NDArray[np.uint32]
# Values below this share of their scale are rounding.
ROUNDING = 1e-9
# Intervals whose matches are counted at once, and numbers that fit into a vector of most processors.
ROWS, WIDTH = 32, 16


@kernel(fastmath=ANY_ORDER, forceinline=True)
def compute_sum(x: Floats) -> float:
    """Return the sum of the values."""
    total = 0.0
    for i in range(len(x)):
        total += x[i]
    return total


@kernel(fastmath=ANY_ORDER, forceinline=True)
def compute_moments(x: Floats) -> tuple[float, float]:
    """Return the mean, and the sum of squared deviations from it."""
    mean = compute_sum(x) / len(x)
    squares = 0.0
    for i in range(len(x)):
        deviation = x[i] - mean
        squares += deviation * deviation
    return mean, squares


@kernel(fastmath=ANY_ORDER, forceinline=True)
def compute_variation(nn: Floats) -> tuple[float, float, float, float]:
    """Return the mean, and three sums of squares.

    The sums are of the deviations from the mean, of the successive differences, and of the deviations of the
    differences from their own mean.
    """
    n = len(nn)
    mean = compute_sum(nn) / n
    # The differences sum to the last value minus the first.
    mean_difference = (nn[n - 1] - nn[0]) / (n - 1)
    squares, sum_squares, difference_squares = (nn[0] - mean) * (nn[0] - mean), 0.0, 0.0
    for i in range(1, n):
        difference = nn[i] - nn[i - 1]
        deviation, further = nn[i] - mean, difference - mean_difference
        squares += deviation * deviation
        sum_squares += difference * difference
        difference_squares += further * further
    return mean, squares, sum_squares, difference_squares


@kernel()
def compute_axes(n: int, mean: float, squares: float, difference_squares: float) -> tuple[float, float]:
    """Return SD1 and SD2 of the Poincaré plot from sums of squares; SD2 is -1 if it is undefined."""
    across = difference_squares / (n - 2)
    along = 2.0 * squares / (n - 1) - 0.5 * across
    width = np.sqrt(0.5 * across)
    # Intervals that rise evenly have an SD1 of zero, up to the rounding of sums.
    return width if width > ROUNDING * mean else 0.0, np.sqrt(along) if along >= 0 else -1.0


@kernel()
def compute_sd1_sd2(nn: Floats) -> tuple[float, float]:
    """Return SD1 and SD2 of the Poincaré plot of intervals; SD2 is -1 if it is undefined."""
    mean, squares, _, difference_squares = compute_variation(nn)
    return compute_axes(len(nn), mean, squares, difference_squares)


@kernel(fastmath=ANY_ORDER, forceinline=True)
def fit_slope(t_s: Floats, values: Floats) -> float:
    """Return the slope of the least-squares line, per second; NaN if all times are equal."""
    n = len(t_s)
    mean_s, mean = 0.0, 0.0
    for i in range(n):
        mean_s += t_s[i]
        mean += values[i]
    mean_s /= n
    mean /= n
    products, squares = 0.0, 0.0
    for i in range(n):
        products += (t_s[i] - mean_s) * (values[i] - mean)
        squares += (t_s[i] - mean_s) * (t_s[i] - mean_s)
    return products / squares if squares > 0 else np.nan


@kernel()
def replace_sorted(ordered: Floats, old: Floats, new: Floats, n: int) -> int:
    """Replace values in an array of n sorted values, in place; return the new number of values."""
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


@kernel()
def sort_window(ordered: Floats, nn_ms: Floats, begin: int, end: int, first: int, stop: int) -> None:
    """Sort the intervals ``[first, stop)`` into ``ordered``, which holds ``[begin, end)`` of the window before.

    Successive windows share most intervals, so only the difference is replaced.
    """
    if begin <= first < end <= stop:
        replace_sorted(ordered, nn_ms[begin:first], nn_ms[end:stop], end - begin)
    else:
        ordered[: stop - first] = np.sort(nn_ms[first:stop])


@kernel()
def allocate_matches(longest: int) -> tuple[Floats, Marks, Marks, Counts]:
    """Allocate the arrays that `count_matches` writes to, for windows of up to ``longest`` intervals."""
    width = longest + WIDTH
    close = np.empty((ROWS + 2, width + 2), dtype=np.uint8)
    return np.empty(width), close, np.empty((2, width), dtype=np.uint8), np.empty((2, width), dtype=np.uint32)


@kernel()
def count_matches(nn: Floats, tolerance: float, x: Floats, close: Marks, some: Marks, like: Counts) -> None:
    """Count for each template the templates that match it, including itself.

    ``like[0]`` counts templates of 2 intervals, ``like[1]`` those of 3. Two templates match if all their intervals
    differ by at most ``tolerance`` (Chebyshev distance).
    """
    n = len(nn)
    # Pad to whole vectors with NaN, which is close to nothing.
    width = -(-n // WIDTH) * WIDTH
    x[:n], x[n:width] = nn, np.nan
    some_2, some_3, like_2, like_3 = some[0], some[1], like[0], like[1]
    like_2[:width], like_3[:width], close[:, width : width + 2] = 0, 0, 0
    for begin in range(0, n - 1, ROWS):
        n_rows = min(ROWS, n - 1 - begin)
        # One row per interval: which others are close to it. Many rows are written before one is read, since a
        # processor waits if it reads, at another offset, what it has just written.
        for k in range(n_rows + 2):
            row, value = close[k], nn[begin + k] if begin + k < n else np.inf
            for i in range(width):
                row[i] = abs(x[i] - value) <= tolerance
        some_2[:width], some_3[:width] = 0, 0
        for k in range(n_rows):
            first, second, third = close[k], close[k + 1], close[k + 2]
            for i in range(width):
                both = first[i] & second[i + 1]
                some_2[i] += both
                some_3[i] += both & third[i + 2]
        for i in range(width):
            like_2[i] += some_2[i]
            like_3[i] += some_3[i]
