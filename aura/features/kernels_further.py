"""Compiled passes of the further families; imported as late as `aura.features.kernels`."""

import numpy as np
from numba import njit

from aura.core.arrays import Floats, Ints
from aura.features.kernels import ANY_ORDER, replace, sd1_sd2, sort_next, variation

# Makes the median absolute deviation of a normal distribution its standard deviation.
MAD_SCALE = 1.4826
# Width of the bins of the triangular index: 1/128 s.
BIN_MS = 1000.0 / 128
# Intervals of the segments of the fluctuation analysis, and the variance below which one is flat.
SCALES = np.arange(4, 17)
FLAT_MS2 = 1e-8
# Segments of it that are worked on at once.
LANES = 64
# Intervals of Jeppesen's indices, and of the median filter before them.
N_JEPPESEN, N_MEDIAN = 100, 7


@njit(cache=True, nogil=True)
def percentile(ordered: Floats, share: float) -> float:
    """Percentile of sorted values, by straight lines between them, as numpy has it."""
    at = share * (len(ordered) - 1)
    below = int(at)
    if below + 1 >= len(ordered):
        return float(ordered[-1])
    return float(ordered[below] + (at - below) * (ordered[below + 1] - ordered[below]))


@njit(cache=True, nogil=True)
def median_deviation(ordered: Floats, median: float) -> float:
    """Median of how far sorted values are from their median: from the middle, the nearer of both sides by turns."""
    n = len(ordered)
    below = (n - 1) // 2
    above = below + 1
    last = this = 0.0
    for _ in range(n // 2 + 1):
        last = this
        if above == n or (below >= 0 and median - ordered[below] < ordered[above] - median):
            this = median - ordered[below]
            below -= 1
        else:
            this = ordered[above] - median
            above += 1
    return this if n % 2 else last + 0.5 * (this - last)


@njit(cache=True, nogil=True)
def robust(nn_ms: Floats, first: Ints, stop: Ints) -> Floats:
    """(7, n_windows) features of `aura.features.families.robust`, in its order."""
    out = np.full((7, len(first)), np.nan)
    buffer, begin, end = np.empty((stop - first).max() if len(first) else 0), 0, 0
    for window in range(len(first)):
        nn = nn_ms[first[window] : stop[window]]
        n = len(nn)
        if n < 3:
            continue
        sort_next(buffer, nn_ms, begin, end, first[window], stop[window])
        begin, end = first[window], stop[window]
        ordered = buffer[:n]
        median = percentile(ordered, 0.5)
        mad = MAD_SCALE * median_deviation(ordered, median)
        # The fullest bin: what is sorted falls into one bin after the other.
        most, in_bin, bin_of_last = 0, 0, -1.0
        for value in ordered:
            bin_of_this = np.floor(value / BIN_MS)
            in_bin = in_bin + 1 if bin_of_this == bin_of_last else 1
            most = max(most, in_bin)
            bin_of_last = bin_of_this
        _, squares, sum_squares, _ = variation(nn)
        out[0, window] = mad
        out[1, window] = mad / median
        out[2, window] = percentile(ordered, 0.75) - percentile(ordered, 0.25)
        out[3, window] = percentile(ordered, 0.2)
        out[4, window] = percentile(ordered, 0.8)
        if sum_squares > 0:
            out[5, window] = np.sqrt(squares / sum_squares)
        out[6, window] = n / most
    return out


@njit(cache=True, nogil=True, fastmath=ANY_ORDER, forceinline=True)
def slope(t_s: Floats, values: Floats) -> float:
    """Slope of the straight line with the least squares, per second."""
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


@njit(cache=True, nogil=True, fastmath=ANY_ORDER, forceinline=True)
def detrended_variances(nn: Floats, scale: int, out: Floats) -> None:
    """Variance of the sums of so many intervals, from each one on, around the straight line with the least squares.

    Many segments are worked on at once, so that the innermost loops run several at a time.
    """
    middle = 0.5 * (scale - 1)
    squares = scale * (scale * scale - 1) / 12.0
    total, mean, steepness = np.empty((3, LANES))
    for begin in range(0, len(nn) - scale + 1, LANES):
        n = min(LANES, len(nn) - scale + 1 - begin)
        part, rest = nn[begin:], out[begin : begin + n]
        total[:], mean[:], steepness[:], rest[:] = 0.0, 0.0, 0.0, 0.0
        for i in range(scale):
            for k in range(n):
                # Whatever is taken from all intervals changes only the line; so near to nothing, sums lose no digits.
                total[k] += part[k + i] - part[k]
                mean[k] += total[k] / scale
                steepness[k] += (i - middle) / squares * total[k]
        total[:] = 0.0
        for i in range(scale):
            for k in range(n):
                total[k] += part[k + i] - part[k]
                deviation = total[k] - mean[k] - steepness[k] * (i - middle)
                rest[k] += deviation * deviation / scale


@njit(cache=True, nogil=True)
def dfa_alpha1(nn_ms: Floats, first: Ints, stop: Ints) -> Floats:
    """(n_windows,) short-term exponent of detrended fluctuation analysis."""
    out = np.full(len(first), np.nan)
    if not len(first):
        return out
    fluctuations = np.full((len(first), len(SCALES)), np.nan)
    # By the first interval of a segment: many windows have it, and what it varies by does not depend on them.
    begin_of_all = first.min()
    nn_of_all = nn_ms[begin_of_all : stop.max()]
    variances = np.empty(len(nn_of_all))
    for i in range(len(SCALES)):
        scale = SCALES[i]
        detrended_variances(nn_of_all, scale, variances)
        for window in range(len(first)):
            if stop[window] - first[window] <= SCALES[-1]:
                continue
            total, count = 0.0, 0
            for begin in range(first[window], stop[window] - scale, scale // 2):
                variance = variances[begin - begin_of_all]
                # Segments without any do not count, as in NeuroKit2.
                if variance > FLAT_MS2:
                    total += variance
                    count += 1
            if count:
                fluctuations[window, i] = 0.5 * np.log2(total / count)
    log_scales = np.log2(SCALES)
    for window in range(len(first)):
        out[window] = slope(log_scales, fluctuations[window])
    return out


@njit(cache=True, nogil=True)
def medians(nn_ms: Floats) -> Floats:
    """Median of each interval and those before it; NaN of the first, which have too few."""
    out = np.full(len(nn_ms), np.nan)
    ordered = np.sort(nn_ms[:N_MEDIAN])
    for i in range(N_MEDIAN - 1, len(nn_ms)):
        if i >= N_MEDIAN:
            replace(ordered, nn_ms[i - N_MEDIAN : i - N_MEDIAN + 1], nn_ms[i : i + 1], N_MEDIAN)
        out[i] = ordered[N_MEDIAN // 2]
    return out


@njit(cache=True, nogil=True)
def jeppesen(nn_ms: Floats, first: Ints, stop: Ints) -> Floats:
    """(2, n_windows) features of `aura.features.families.jeppesen`, in its order."""
    out = np.full((2, len(first)), np.nan)
    if not len(first):
        return out
    begin_of_all = first.min()
    smooth_of_all = medians(nn_ms[begin_of_all : stop.max()])
    elapsed_s = np.empty(N_JEPPESEN)
    for window in range(len(first)):
        begin = stop[window] - N_JEPPESEN
        if begin - (N_MEDIAN - 1) < first[window]:
            continue
        smooth = smooth_of_all[begin - begin_of_all : stop[window] - begin_of_all]
        total = 0.0
        for i in range(N_JEPPESEN):
            total += smooth[i]
            elapsed_s[i] = total / 1000.0
        steepness = abs(slope(elapsed_s, smooth))
        across, along = sd1_sd2(nn_ms[begin : stop[window]])
        if across > 0 and along >= 0:
            out[0, window] = along / across * steepness
        across, along = sd1_sd2(smooth)
        if across > 0 and along >= 0:
            out[1, window] = 4.0 * along * along / across * steepness
    return out
