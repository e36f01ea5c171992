"""Compiled passes over all windows of a recording. Importing this imports numba, so it is left to the first use."""

import numpy as np
from numba import njit

from aura.types import Floats, Ints

# Tolerance of nolds 0.6 for m=2, as a share of the standard deviation.
SAMPEN_TOLERANCE = 0.1164 * (0.5627 * np.log(2.0) + 1.3334)
ROUNDING = 1e-9
RATE_HZ = 4.0
SEGMENT, OVERLAP = 256, 128
# Sums may be added up in any order, so several at a time.
ANY_ORDER = {"reassoc", "contract"}


@njit(cache=True, nogil=True)
def moments(x: Floats) -> tuple[float, float]:
    """Mean, and sum of the squares of what deviates from it."""
    mean = 0.0
    for value in x:
        mean += value
    mean /= len(x)
    squares = 0.0
    for value in x:
        squares += (value - mean) ** 2
    return mean, squares


@njit(cache=True, nogil=True)
def time_domain(nn_ms: Floats, first: Ints, stop: Ints) -> Floats:
    """(16, n_windows) features of `aura.features.time_domain`, in its order."""
    out = np.full((16, len(first)), np.nan)
    for window in range(len(first)):
        nn = nn_ms[first[window] : stop[window]]
        n = len(nn)
        if n < 3:
            continue
        mean, squares = moments(nn)
        difference = np.diff(nn)
        _, difference_squares = moments(difference)
        sum_squares, over_50, over_20 = 0.0, 0, 0
        for value in difference:
            sum_squares += value * value
            over_50 += abs(value) > 50
            over_20 += abs(value) > 20
        bpm = 60000.0 / nn
        mean_bpm, bpm_squares = moments(bpm)
        ordered = np.sort(nn)
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


@njit(cache=True, nogil=True, fastmath=ANY_ORDER)
def variation(nn: Floats) -> tuple[float, float, float, float]:
    """Mean, squares of what deviates from it, squares of the differences, squares of what deviates from their mean."""
    n = len(nn)
    mean = 0.0
    for value in nn:
        mean += value
    mean /= n
    # Differences add up to the whole way.
    mean_difference = (nn[n - 1] - nn[0]) / (n - 1)
    squares, sum_squares, difference_squares = (nn[0] - mean) ** 2, 0.0, 0.0
    for i in range(1, n):
        difference = nn[i] - nn[i - 1]
        squares += (nn[i] - mean) ** 2
        sum_squares += difference**2
        difference_squares += (difference - mean_difference) ** 2
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


@njit(cache=True, nogil=True)
def sample_entropy(nn_ms: Floats, first: Ints, stop: Ints) -> Floats:
    """(n_windows,) sample entropy with m=2; missing where no two templates match."""
    out = np.full(len(first), np.nan)
    for window in range(len(first)):
        nn = nn_ms[first[window] : stop[window]]
        n = len(nn)
        if n < 10:
            continue
        _, squares = moments(nn)
        tolerance = SAMPEN_TOLERANCE * np.sqrt(squares / (n - 1))
        matches_2, matches_3 = 0, 0
        # Pairs of intervals by their distance: so the innermost loops have no branches, and run several at a time.
        close = np.empty(n, dtype=np.uint8)
        for lag in range(1, n - 2):
            for i in range(n - lag):
                close[i] = abs(nn[i] - nn[i + lag]) < tolerance
            lag_2, lag_3 = 0, 0
            for i in range(n - 2 - lag):
                both = close[i] & close[i + 1]
                lag_2 += both
                lag_3 += both & close[i + 2]
            matches_2 += lag_2
            matches_3 += lag_3
        if matches_2 > 0 and matches_3 > 0:
            out[window] = -np.log(matches_3 / matches_2)
    return out


@njit(cache=True, nogil=True)
def n_segments(nn_ms: Floats, first: Ints, stop: Ints) -> Ints:
    """(n_windows,) number of Welch's segments of each window; 0 where there are too few intervals."""
    out = np.zeros(len(first), dtype=np.int64)
    for window in range(len(first)):
        if stop[window] - first[window] < 10:
            continue
        total_ms = 0.0
        for value in nn_ms[first[window] : stop[window]]:
            total_ms += value
        # As many samples as np.arange gives from 0 to the last beat.
        n = int(np.ceil((total_ms / 1000.0 - nn_ms[first[window]] / 1000.0) * RATE_HZ))
        out[window] = 1 if n < SEGMENT else (n - OVERLAP) // (SEGMENT - OVERLAP)
    return out


@njit(cache=True, nogil=True)
def segments(nn_ms: Floats, first: Ints, stop: Ints, counts: Ints, hann: Floats, out: Floats) -> Floats:
    """Welch's segments of all windows, one after the other: without their mean, tapered; and what scales them.

    Intervals are joined by straight lines, from the first beat of a window on, and sampled at 4 Hz. ``out`` is
    (n_segments, at least 256); what is beyond 256 stays as it is.
    """
    scale = np.zeros(len(out))
    row = 0
    for window in range(len(first)):
        if counts[window] == 0:
            continue
        nn = nn_ms[first[window] : stop[window]]
        t_s = np.cumsum(nn) / 1000.0
        t_s -= t_s[0]
        n = int(np.ceil(t_s[-1] * RATE_HZ))
        x = np.empty(n)
        x[0] = nn[0]
        i = 1
        for beat in range(1, len(nn)):
            slope = (nn[beat] - nn[beat - 1]) / (t_s[beat] - t_s[beat - 1])
            while i < n and i / RATE_HZ <= t_s[beat]:
                x[i] = slope * (i / RATE_HZ - t_s[beat - 1]) + nn[beat - 1]
                i += 1
        length = min(n, SEGMENT)
        taper = hann
        if length < SEGMENT:
            taper = 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(length) / length)
        power = 0.0
        for value in taper:
            power += value * value
        for segment in range(counts[window]):
            part = x[segment * (SEGMENT - OVERLAP) : segment * (SEGMENT - OVERLAP) + length]
            mean = part.mean()
            for i in range(length):
                out[row, i] = (part[i] - mean) * taper[i]
            out[row, length:SEGMENT] = 0.0
            # One side of the spectrum, averaged over the segments.
            scale[row] = 2.0 / (RATE_HZ * power * counts[window])
            row += 1
    return scale


@njit(cache=True, nogil=True, fastmath=ANY_ORDER)
def band_power(spectrum: Floats, weights: Floats, counts: Ints, scale: Floats) -> Floats:
    """(n_bands, n_windows) power of each window.

    ``spectrum`` is (n_segments, 2 * n_bins), real and imaginary parts by turns; ``weights`` is (n_bands, 2 * n_bins),
    what the square of each gives to a band.
    """
    n_bands, n_bins = weights.shape
    out = np.full((n_bands, len(counts)), np.nan)
    squares = np.empty(n_bins)
    row = 0
    for window in range(len(counts)):
        if counts[window] == 0:
            continue
        squares[:] = 0.0
        for _ in range(counts[window]):
            for k in range(n_bins):
                squares[k] += spectrum[row, k] * spectrum[row, k]
            row += 1
        for band in range(n_bands):
            power = 0.0
            for k in range(n_bins):
                power += squares[k] * weights[band, k]
            # The segments of a window are as long as each other, and scaled alike.
            out[band, window] = power * scale[row - 1]
    return out
