"""The compiled pass of the frequency domain; imported as late as `aura.features.kernels`."""

import numpy as np
from numba import njit

from aura.core.arrays import Floats, Ints
from aura.features.kernels import ANY_ORDER, sum_of

RATE_HZ = 4.0
# Samples of one of Welch's segments, and of the half of it that the next one shares.
SEGMENT, HALF = 256, 128
FEWEST = 10
# Segments, and rows, that are multiplied with each other at once.
ABREAST = 3
# Samples that are written for each interval, more where it is longer.
AT_LEAST = 4


@njit(cache=True, nogil=True, fastmath={"contract"}, forceinline=True)
def interpolate(nn: Floats, x: Floats) -> int:
    """Intervals, joined by straight lines from the first beat on, sampled at 4 Hz into ``x``; gives how many there are.

    ``x`` has room for `AT_LEAST` samples more than there are.
    """
    total_ms, begin_s = nn[0], nn[0] / 1000.0
    last_s, i = 0.0, 0
    for beat in range(1, len(nn)):
        total_ms += nn[beat]
        t_s = total_ms / 1000.0 - begin_s
        slope = (nn[beat] - nn[beat - 1]) / (t_s - last_s)
        value, rise = slope * (i / RATE_HZ - last_s) + nn[beat - 1], slope / RATE_HZ
        stop = int(t_s * RATE_HZ) + 1
        # Most intervals have fewer; what is too much, the next one writes over. To ask how many costs more.
        for k in range(AT_LEAST):
            x[i + k] = value + k * rise
        for k in range(AT_LEAST, stop - i):
            x[i + k] = value + k * rise
        i, last_s = stop, t_s
    return int(np.ceil(last_s * RATE_HZ))


@njit(cache=True, nogil=True, fastmath=ANY_ORDER, forceinline=True)
def fold(x: Floats, length: int, weights: Floats, even: Floats, odd: Floats) -> None:
    """Sums and differences of the samples as far before and after the middle of a segment, without mean, tapered.

    The first sample is left out: it has no weight.
    """
    mean = sum_of(x[:length]) / length
    even[0], odd[0] = (x[HALF] - mean) * weights[HALF], 0.0
    for i in range(1, HALF):
        after, before = (x[HALF + i] - mean) * weights[HALF + i], (x[HALF - i] - mean) * weights[HALF - i]
        even[i], odd[i] = after + before, after - before


@njit(cache=True, nogil=True, fastmath=ANY_ORDER, forceinline=True)
def sum_of_squares(x: Floats, rows: Floats, first: int, stop: int) -> float:
    """Add up the squares of the products of (3, 128) values and some rows, of which there are a multiple of 3."""
    x_0, x_1, x_2 = x[0], x[1], x[2]
    total = 0.0
    # Nine products at once: whatever is read is used three times, and all sums stay in the processor.
    for row in range(first, stop, ABREAST):
        a, b, c = rows[row], rows[row + 1], rows[row + 2]
        a_0, a_1, a_2, b_0, b_1, b_2, c_0, c_1, c_2 = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
        for i in range(HALF):
            a_0, a_1, a_2 = a_0 + a[i] * x_0[i], a_1 + a[i] * x_1[i], a_2 + a[i] * x_2[i]
            b_0, b_1, b_2 = b_0 + b[i] * x_0[i], b_1 + b[i] * x_1[i], b_2 + b[i] * x_2[i]
            c_0, c_1, c_2 = c_0 + c[i] * x_0[i], c_1 + c[i] * x_1[i], c_2 + c[i] * x_2[i]
        total += a_0 * a_0 + a_1 * a_1 + a_2 * a_2
        total += b_0 * b_0 + b_1 * b_1 + b_2 * b_2
        total += c_0 * c_0 + c_1 * c_1 + c_2 * c_2
    return total


@njit(cache=True, nogil=True)
def band_power(nn_ms: Floats, first: Ints, stop: Ints, rows: Floats, edges: Ints) -> Floats:
    """(n_bands, n_windows) power of each window.

    ``rows`` is (n_rows, 128), what segments are multiplied by: their sums by those from an edge on, their differences
    by those from the next one on, band after band.
    """
    n_bands = len(edges) // 2
    out = np.full((n_bands, len(first)), np.nan)
    if not len(first):
        return out
    begin_of_all = first.min()
    elapsed_ms = np.concatenate((np.zeros(1), np.cumsum(nn_ms[begin_of_all : stop.max()])))
    longest_ms = (elapsed_ms[stop - begin_of_all] - elapsed_ms[first - begin_of_all]).max()
    # What is beyond a short segment has no weight, but has to be a number.
    x = np.zeros(int(longest_ms / 1000.0 * RATE_HZ) + SEGMENT + AT_LEAST)
    weights, even, odd = np.zeros(SEGMENT), np.empty((ABREAST, HALF)), np.empty((ABREAST, HALF))
    length_of_weights = 0
    for window in range(len(first)):
        if stop[window] - first[window] < FEWEST:
            continue
        n = interpolate(nn_ms[first[window] : stop[window]], x)
        length, n_segments = min(n, SEGMENT), max((n - HALF) // (SEGMENT - HALF), 1)
        if length != length_of_weights:
            weights[:length], weights[length:] = 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(length) / length), 0.0
            length_of_weights = length
        out[:, window] = 0.0
        for segment in range(0, n_segments, ABREAST):
            for i in range(ABREAST):
                if segment + i < n_segments:
                    fold(x[(segment + i) * (SEGMENT - HALF) :], length, weights, even[i], odd[i])
                else:
                    even[i], odd[i] = 0.0, 0.0
            for band in range(n_bands):
                sums, differences, stop_of_band = edges[2 * band], edges[2 * band + 1], edges[2 * band + 2]
                out[band, window] += sum_of_squares(even, rows, sums, differences)
                out[band, window] += sum_of_squares(odd, rows, differences, stop_of_band)
        # One side of the spectrum, averaged over the segments.
        out[:, window] *= 2.0 / (RATE_HZ * np.dot(weights, weights) * n_segments)
    return out
