"""The compiled pass of features against a baseline; imported as late as `aura.features.kernels`."""

import numpy as np
from numba import njit

from aura.features.kernels import ROUNDING, moments, sd1_sd2
from aura.features.kernels_further import slope
from aura.types import Floats, Ints

RECENT_S, RISE_S = 10.0, 30.0
# Fewest intervals of a piece, of the baseline, and of a slope; fewest pieces for their spread to mean anything.
MIN_PIECE, MIN_BASELINE, MIN_RISE, MIN_PIECES = 4, 10, 5, 5
N_COMPARED = 5


@njit(cache=True, nogil=True)
def describe(nn: Floats) -> Floats:
    """(5,) mean heart rate, sdnn, rmssd, csi and modified csi of at least 4 intervals; NaN where there is none."""
    out = np.full(N_COMPARED, np.nan)
    _, squares = moments(nn)
    sum_squares, sum_bpm = 0.0, 0.0
    for value in nn:
        sum_bpm += 60000.0 / value
    for i in range(1, len(nn)):
        sum_squares += (nn[i] - nn[i - 1]) ** 2
    across, along = sd1_sd2(nn)
    out[0] = sum_bpm / len(nn)
    out[1] = np.sqrt(squares / (len(nn) - 1))
    out[2] = np.sqrt(sum_squares / (len(nn) - 1))
    if across > 0 and along >= 0:
        out[3] = along / across
        out[4] = 4.0 * along**2 / across
    return out


@njit(cache=True, nogil=True)
def since(t_s: Floats, first: int, stop: int, after_s: float) -> int:
    """First of the intervals before ``stop`` that are later than a time."""
    while stop > first and t_s[stop - 1] > after_s:
        stop -= 1
    return stop


@njit(cache=True, nogil=True)
def spread(t_s: Floats, nn_ms: Floats, begin: int, stop: int, end_s: float) -> tuple[Floats, Floats]:
    """Mean and standard deviation of `describe` over the pieces of a baseline, backwards from its end; NaN of few."""
    counts, means, squares = np.zeros(N_COMPARED), np.zeros(N_COMPARED), np.zeros(N_COMPARED)
    # The piece at the beginning may be cut by it.
    while stop > begin:
        end_s -= RECENT_S
        piece = since(t_s, begin, stop, end_s)
        if stop - piece >= MIN_PIECE:
            values = describe(nn_ms[piece:stop])
            for i in range(N_COMPARED):
                if not np.isnan(values[i]):
                    # Welford's way of adding up, which loses no digits.
                    counts[i] += 1
                    deviation = values[i] - means[i]
                    means[i] += deviation / counts[i]
                    squares[i] += deviation * (values[i] - means[i])
        stop = piece
    few = counts < MIN_PIECES
    means[few] = np.nan
    return means, np.sqrt(squares / np.maximum(counts - 1, 1))


@njit(cache=True, nogil=True)
def adaptive(t_s: Floats, nn_ms: Floats, end_s: Floats, first: Ints, stop: Ints) -> Floats:
    """(11, n_windows) features of `aura.features.adaptive`, in its order."""
    out = np.full((2 * N_COMPARED + 1, len(stop)), np.nan)
    for window in range(len(stop)):
        begin, end = first[window], stop[window]
        rise = since(t_s, begin, end, end_s[window] - RISE_S)
        if end - rise >= MIN_RISE:
            out[2 * N_COMPARED, window] = slope(t_s[rise:end], 60000.0 / nn_ms[rise:end])
        recent = since(t_s, begin, end, end_s[window] - RECENT_S)
        if end - recent < MIN_PIECE or end - begin < MIN_BASELINE:
            continue
        now, base = describe(nn_ms[recent:end]), describe(nn_ms[begin:end])
        mean, deviation = spread(t_s, nn_ms, begin, recent, end_s[window] - RECENT_S)
        for i in range(N_COMPARED):
            if base[i] > ROUNDING:
                out[i, window] = now[i] / base[i]
            if deviation[i] > ROUNDING * max(abs(mean[i]), 1.0):
                out[N_COMPARED + i, window] = (now[i] - mean[i]) / deviation[i]
    return out
