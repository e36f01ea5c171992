"""Features relative to the person's own trailing baseline: the last 10 s against the last minutes."""

import numpy as np

from aura.core.arrays import Floats, Ints
from aura.features.compiling import kernel
from aura.features.family import Family
from aura.features.kernels import ROUNDING, compute_axes, compute_sum, compute_variation, fit_slope
from aura.features.windows import NNWindows

# Length of a piece, and of the stretch whose slope is taken.
PIECE_S, RISE_S = 10.0, 30.0
# Fewest intervals of a piece, of the baseline, and of a slope; fewest pieces that define a spread.
MIN_PIECE, MIN_BASELINE, MIN_RISE, MIN_PIECES = 4, 10, 5, 5
# Values that `describe_piece` writes, in its order.
COMPARED = ("mean_hr", "sdnn", "rmssd", "csi", "Modified_csi")
N_COMPARED = 5
COLUMNS = (*(f"{name}_ratio" for name in COMPARED), *(f"{name}_z" for name in COMPARED), "hr_slope")


def adaptive(windows: NNWindows) -> dict[str, Floats]:
    """Compare the last 10 s before the end of a window with the whole window, its trailing baseline.

    Parameters
    ----------
    windows
        NN intervals, and which of them are in which window; the window is the baseline.

    Returns
    -------
    dict
        (n_windows,) features. For mean_hr, sdnn, rmssd, csi and Modified_csi each: ``_ratio``, the value of the last
        10 s divided by that of the baseline (for the heart rate: Vandecasteele 2017, doi:10.3390/s17102338), and
        ``_z``, the distance of the last 10 s from the mean of the earlier 10-s pieces of the baseline, in standard
        deviations, from at least 5 pieces with a value. And hr_slope, the rise of the heart rate over the last 30 s in
        bpm per second. NaN for fewer than 4 intervals in a piece, 5 in the last 30 s, or 10 in the baseline, and if all
        pieces are equal.
    """
    columns = compute_columns(windows.t_s, windows.nn_ms, windows.end_s, windows.first, windows.stop)
    return dict(zip(COLUMNS, columns, strict=True))


@kernel()
def describe_piece(nn: Floats, bpm: Floats, out: Floats) -> None:
    """Write mean heart rate, sdnn, rmssd, csi and modified csi of at least 4 intervals; NaN if undefined."""
    n = len(nn)
    mean, squares, sum_squares, difference_squares = compute_variation(nn)
    across, along = compute_axes(n, mean, squares, difference_squares)
    defined = across > 0 and along >= 0
    out[0] = compute_sum(bpm) / n
    out[1] = np.sqrt(squares / (n - 1))
    out[2] = np.sqrt(sum_squares / (n - 1))
    out[3] = along / across if defined else np.nan
    out[4] = 4.0 * along * along / across if defined else np.nan


@kernel()
def find_after(t_s: Floats, at: int, stop: int, after_s: float) -> int:
    """Return the index of the first interval in ``[at, stop)`` after a time; ``stop`` if there is none."""
    while at < stop and t_s[at] <= after_s:
        at += 1
    return at


@kernel()
def cut_pieces(t_s: Floats, now_s: float, first: int, stop: int, begins: Ints) -> int:
    """Cut a window into pieces of 10 s, backwards from its end; return the number of pieces.

    ``begins`` receives the first interval of each piece. On entry it holds those of an earlier window, or zeros. The
    last piece may be shorter, or empty.
    """
    n_pieces = int((now_s - t_s[first]) / PIECE_S) + 2
    for i in range(n_pieces - 1, -1, -1):
        begins[i] = find_after(t_s, max(begins[i], begins[i + 1], first), stop, now_s - (i + 1) * PIECE_S)
    return n_pieces


@kernel()
def describe_pieces(
    nn_ms: Floats, bpm: Floats, stop: int, begins: Ints, cached: Ints, values: Floats, rows: Ints
) -> int:
    """Describe all pieces of a window that are long enough; return how many there are.

    ``rows`` receives their rows of ``values``. Most pieces are those of an earlier window and are not computed again.
    """
    n = 0
    for begin in begins:
        if stop - begin >= MIN_PIECE:
            # Later pieces begin and stop later, so the sum is unique among the pieces of a window.
            row = (begin + stop) & (len(cached) - 1)
            if cached[row, 0] != begin or cached[row, 1] != stop:
                cached[row, 0], cached[row, 1] = begin, stop
                describe_piece(nn_ms[begin:stop], bpm[begin:stop], values[row])
            rows[n] = row
            n += 1
        stop = begin
    return n


@kernel()
def compute_spread(values: Floats, rows: Ints, out: Floats) -> None:
    """Write the count, mean and standard deviation of the five values over some rows, to (3, 5)."""
    out[:] = 0.0
    # All five side by side, since each addition waits for the one before it.
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


@kernel()
def compute_columns(t_s: Floats, nn_ms: Floats, end_s: Floats, first: Ints, stop: Ints) -> Floats:
    """Return the (11, n_windows) features in the order of `COLUMNS`."""
    out = np.full((2 * N_COMPARED + 1, len(stop)), np.nan)
    if not len(stop) or not len(t_s):
        return out
    longest, longest_s = (stop - first).max(), (end_s - t_s[np.minimum(first, len(t_s) - 1)]).max()
    bpm = 60000.0 / nn_ms
    # At least one row per piece of a window, and a power of two, for which a remainder is quick.
    n_cached = 1 << int(np.ceil(np.log2(2 * longest + 1)))
    cached, values = np.full((n_cached, 2), -1), np.empty((n_cached, N_COMPARED))
    rows, base, of_pieces = np.empty(longest, dtype=np.int64), np.empty(N_COMPARED), np.empty((3, N_COMPARED))
    begins, rise = np.zeros(int(max(longest_s, 0.0) / PIECE_S) + 3, dtype=np.int64), 0
    for window in range(len(stop)):
        begin, end, now_s = first[window], stop[window], end_s[window]
        rise = find_after(t_s, max(rise, begin), end, now_s - RISE_S)
        if end - rise >= MIN_RISE:
            out[2 * N_COMPARED, window] = fit_slope(t_s[rise:end], bpm[rise:end])
        if end - begin < MIN_BASELINE:
            continue
        n_pieces = cut_pieces(t_s, now_s, begin, end, begins)
        if end - begins[0] < MIN_PIECE:
            continue
        n = describe_pieces(nn_ms, bpm, end, begins[:n_pieces], cached, values, rows)
        describe_piece(nn_ms[begin:end], bpm[begin:end], base)
        now = values[rows[0]]
        compute_spread(values, rows[1:n], of_pieces)
        for i in range(N_COMPARED):
            count, mean, deviation = of_pieces[:, i]
            if base[i] > ROUNDING:
                out[i, window] = now[i] / base[i]
            if count >= MIN_PIECES and deviation > ROUNDING * max(abs(mean), 1.0):
                out[N_COMPARED + i, window] = (now[i] - mean) / deviation
    return out


FAMILY = Family(
    name="adaptive",
    compute=adaptive,
    columns=COLUMNS,
    min_intervals=MIN_BASELINE,
    # The window is the baseline.
    lengths_s=(300.0,),
    # Six pieces: the last 10 s, and the fewest before them that define a spread.
    min_length_s=60.0,
    equal_to="its definition, written again in the tests with hrv-analysis",
    sources=("10.3390/s17102338",),
    notes=("The last 10 s need 4 intervals, and the last 30 s 5 for `hr_slope`.",),
    position=90,
)
