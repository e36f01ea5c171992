"""The compiled pass of features against a baseline; imported as late as `aura.features.kernels`."""

import numpy as np
from numba import njit

from aura.features.kernels import ROUNDING, axes, sum_of, variation
from aura.features.kernels_further import slope
from aura.types import Floats, Ints

RECENT_S, RISE_S = 10.0, 30.0
# Fewest intervals of a piece, of the baseline, and of a slope; fewest pieces for their spread to mean anything.
MIN_PIECE, MIN_BASELINE, MIN_RISE, MIN_PIECES = 4, 10, 5, 5
N_COMPARED = 5


@njit(cache=True, nogil=True)
def describe(nn: Floats, bpm: Floats, out: Floats) -> None:
    """Mean heart rate, sdnn, rmssd, csi and modified csi of at least 4 intervals; NaN where there is none."""
    n = len(nn)
    mean, squares, sum_squares, difference_squares = variation(nn)
    across, along = axes(n, mean, squares, difference_squares)
    defined = across > 0 and along >= 0
    out[0] = sum_of(bpm) / n
    out[1] = np.sqrt(squares / (n - 1))
    out[2] = np.sqrt(sum_squares / (n - 1))
    out[3] = along / across if defined else np.nan
    out[4] = 4.0 * along * along / across if defined else np.nan


@njit(cache=True, nogil=True)
def since(t_s: Floats, first: int, stop: int, after_s: float) -> int:
    """First of the intervals before ``stop`` that are later than a time."""
    while stop > first and t_s[stop - 1] > after_s:
        stop -= 1
    return stop


@njit(cache=True, nogil=True)
def recall(nn_ms: Floats, bpm: Floats, begin: int, stop: int, known: Ints, values: Floats) -> int:
    """Row of the values that has `describe` of a piece, which many windows share; computed if it is not there yet."""
    # Later pieces begin and stop later, so the sum tells them apart, as long as they are of one window.
    row = (begin + stop) % len(known)
    if known[row, 0] != begin or known[row, 1] != stop:
        known[row, 0], known[row, 1] = begin, stop
        describe(nn_ms[begin:stop], bpm[begin:stop], values[row])
    return row


@njit(cache=True, nogil=True)
def spread(values: Floats, rows: Ints, out: Floats) -> None:
    """Mean and standard deviation of `describe` over the pieces in some rows, into (2, 5); NaN of few."""
    for i in range(N_COMPARED):
        count, mean, squares = 0, 0.0, 0.0
        for row in rows:
            if not np.isnan(values[row, i]):
                count += 1
                mean += values[row, i]
        mean /= max(count, 1)
        for row in rows:
            if not np.isnan(values[row, i]):
                deviation = values[row, i] - mean
                squares += deviation * deviation
        out[0, i] = mean if count >= MIN_PIECES else np.nan
        out[1, i] = np.sqrt(squares / max(count - 1, 1))


@njit(cache=True, nogil=True)
def adaptive(t_s: Floats, nn_ms: Floats, end_s: Floats, first: Ints, stop: Ints) -> Floats:
    """(11, n_windows) features of `aura.features.adaptive`, in its order."""
    out = np.full((2 * N_COMPARED + 1, len(stop)), np.nan)
    longest = (stop - first).max() if len(stop) else 0
    bpm = 60000.0 / nn_ms
    known, values = np.full((2 * longest + 1, 2), -1), np.empty((2 * longest + 1, N_COMPARED))
    rows, base, of_pieces = np.empty(longest, dtype=np.int64), np.empty(N_COMPARED), np.empty((2, N_COMPARED))
    for window in range(len(stop)):
        begin, end, now_s = first[window], stop[window], end_s[window]
        rise = since(t_s, begin, end, now_s - RISE_S)
        if end - rise >= MIN_RISE:
            out[2 * N_COMPARED, window] = slope(t_s[rise:end], bpm[rise:end])
        recent = since(t_s, begin, end, now_s - RECENT_S)
        if end - recent < MIN_PIECE or end - begin < MIN_BASELINE:
            continue
        describe(nn_ms[begin:end], bpm[begin:end], base)
        now = values[recall(nn_ms, bpm, recent, end, known, values)]
        # Pieces of the baseline, backwards from its end; the one at its beginning may be cut by it.
        n_pieces, until, until_s = 0, recent, now_s - RECENT_S
        while until > begin:
            until_s -= RECENT_S
            piece = since(t_s, begin, until, until_s)
            if until - piece >= MIN_PIECE:
                rows[n_pieces] = recall(nn_ms, bpm, piece, until, known, values)
                n_pieces += 1
            until = piece
        spread(values, rows[:n_pieces], of_pieces)
        for i in range(N_COMPARED):
            mean, deviation = of_pieces[0, i], of_pieces[1, i]
            if base[i] > ROUNDING:
                out[i, window] = now[i] / base[i]
            if deviation > ROUNDING * max(abs(mean), 1.0):
                out[N_COMPARED + i, window] = (now[i] - mean) / deviation
    return out
