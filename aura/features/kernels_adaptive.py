"""The compiled pass of features against a baseline; imported as late as `aura.features.kernels`."""

import numpy as np
from numba import njit

from aura.core.arrays import Floats, Ints
from aura.features.kernels import ROUNDING, axes, sum_of, variation
from aura.features.kernels_further import slope

PIECE_S, RISE_S = 10.0, 30.0
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
def since(t_s: Floats, at: int, stop: int, after_s: float) -> int:
    """First of the intervals before ``stop``, and from ``at`` on, that is later than a time."""
    while at < stop and t_s[at] <= after_s:
        at += 1
    return at


@njit(cache=True, nogil=True)
def pieces_of(t_s: Floats, now_s: float, first: int, stop: int, begins: Ints) -> int:
    """Cut a window into pieces of 10 s, from its end backwards; gives how many there are.

    ``begins`` are where they begin, and have to hold where those of an earlier window did, or zeros. The last may be
    shorter, or empty.
    """
    n_pieces = int((now_s - t_s[first]) / PIECE_S) + 2
    for i in range(n_pieces - 1, -1, -1):
        begins[i] = since(t_s, max(begins[i], begins[i + 1], first), stop, now_s - (i + 1) * PIECE_S)
    return n_pieces


@njit(cache=True, nogil=True)
def recall(nn_ms: Floats, bpm: Floats, stop: int, begins: Ints, known: Ints, values: Floats, rows: Ints) -> int:
    """Have `describe` of all pieces of a window in ``values``, and in which rows; gives how many are long enough.

    Most are those of an earlier window, and are not computed again.
    """
    n = 0
    for begin in begins:
        if stop - begin >= MIN_PIECE:
            # Later pieces begin and stop later, so the sum tells them apart, as long as they are of one window.
            row = (begin + stop) & (len(known) - 1)
            if known[row, 0] != begin or known[row, 1] != stop:
                known[row, 0], known[row, 1] = begin, stop
                describe(nn_ms[begin:stop], bpm[begin:stop], values[row])
            rows[n] = row
            n += 1
        stop = begin
    return n


@njit(cache=True, nogil=True)
def spread(values: Floats, rows: Ints, out: Floats) -> None:
    """How many of some rows have each of the five values of `describe`, their mean, standard deviation, into (3, 5)."""
    out[:] = 0.0
    # All five side by side, as each sum waits for itself.
    for row in rows:
        for i in range(N_COMPARED):
            there = not np.isnan(values[row, i])
            out[0, i] += there
            out[1, i] += values[row, i] if there else 0.0
    for i in range(N_COMPARED):
        out[1, i] /= max(out[0, i], 1.0)
    for row in rows:
        for i in range(N_COMPARED):
            deviation = values[row, i] - out[1, i]
            out[2, i] += 0.0 if np.isnan(deviation) else deviation * deviation
    for i in range(N_COMPARED):
        out[2, i] = np.sqrt(out[2, i] / max(out[0, i] - 1.0, 1.0))


@njit(cache=True, nogil=True)
def adaptive(t_s: Floats, nn_ms: Floats, end_s: Floats, first: Ints, stop: Ints) -> Floats:
    """(11, n_windows) features of `aura.features.families.adaptive`, in its order."""
    out = np.full((2 * N_COMPARED + 1, len(stop)), np.nan)
    if not len(stop) or not len(t_s):
        return out
    longest, longest_s = (stop - first).max(), (end_s - t_s[np.minimum(first, len(t_s) - 1)]).max()
    bpm = 60000.0 / nn_ms
    # Enough rows for all pieces of a window, and a power of two, by which a remainder is soon found.
    n_known = 1 << int(np.ceil(np.log2(2 * longest + 1)))
    known, values = np.full((n_known, 2), -1), np.empty((n_known, N_COMPARED))
    rows, base, of_pieces = np.empty(longest, dtype=np.int64), np.empty(N_COMPARED), np.empty((3, N_COMPARED))
    begins, rise = np.zeros(int(max(longest_s, 0.0) / PIECE_S) + 3, dtype=np.int64), 0
    for window in range(len(stop)):
        begin, end, now_s = first[window], stop[window], end_s[window]
        rise = since(t_s, max(rise, begin), end, now_s - RISE_S)
        if end - rise >= MIN_RISE:
            out[2 * N_COMPARED, window] = slope(t_s[rise:end], bpm[rise:end])
        if end - begin < MIN_BASELINE:
            continue
        n_pieces = pieces_of(t_s, now_s, begin, end, begins)
        if end - begins[0] < MIN_PIECE:
            continue
        n = recall(nn_ms, bpm, end, begins[:n_pieces], known, values, rows)
        describe(nn_ms[begin:end], bpm[begin:end], base)
        now = values[rows[0]]
        spread(values, rows[1:n], of_pieces)
        for i in range(N_COMPARED):
            count, mean, deviation = of_pieces[:, i]
            if base[i] > ROUNDING:
                out[i, window] = now[i] / base[i]
            if count >= MIN_PIECES and deviation > ROUNDING * max(abs(mean), 1.0):
                out[N_COMPARED + i, window] = (now[i] - mean) / deviation
    return out
