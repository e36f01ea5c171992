"""Frequency domain features (Task Force 1996, doi:10.1161/01.CIR.93.5.1043)."""

from functools import cache

import numpy as np

from aura.core.arrays import Floats, Ints
from aura.features.compiling import ANY_ORDER, kernel
from aura.features.family import Family
from aura.features.kernels import compute_sum
from aura.features.windows import NNWindows

MIN_INTERVALS = 10
# Limits of the bands in Hz, as in the original system.
BANDS_HZ = {"vlf": (0.003, 0.04), "lf": (0.04, 0.15), "hf": (0.15, 0.40)}
# Points of the frequency grid on which hrv-analysis integrates.
N_GRID = 4096
# Share of a band's power, for white noise, that the factorisation may leave out.
MAX_LOSS = 1e-13
# Sampling rate of the interpolated intervals.
RATE_HZ = 4.0
# Samples of one of Welch's segments, and of the half that it shares with the next.
SEGMENT, HALF = 256, 128
# Segments, and rows, that are multiplied at once.
ABREAST = 3
# Samples that are written for each interval; longer intervals have more.
MIN_WRITTEN = 4


def frequency_domain(windows: NNWindows) -> dict[str, Floats]:
    """Compute the power of the heart rate variability of windows in three frequency bands.

    Welch's method is applied to the intervals, interpolated linearly and sampled at 4 Hz from the window's first beat:
    segments of 64 s with half overlap, a Hann taper, and integration over each band on a grid of 4096 points. The
    result is a quadratic form of the samples. Since the bands are narrow, it is a sum of few squares (Slepian 1978,
    doi:10.1002/j.1538-7305.1978.tb02104.x), which equals the integral on the grid.

    Parameters
    ----------
    windows
        NN intervals, and which of them are in which window.

    Returns
    -------
    dict
        (n_windows,) lf, hf, vlf in ms², and lf_hf_ratio; NaN for fewer than 10 intervals.
    """
    vlf, lf, hf = compute_band_power(windows.nn_ms, windows.first, windows.stop, *factorise_bands())
    with np.errstate(divide="ignore", invalid="ignore"):
        return {"lf": lf, "hf": hf, "vlf": vlf, "lf_hf_ratio": lf / hf}


@cache
def factorise_bands() -> tuple[Floats, Ints]:
    """Return the (n_rows, 128) factors of the sums and differences of a segment, and the edges between them.

    Each band has two blocks of rows: those of the sums, then those of the differences.
    """
    grid_hz = np.arange(N_GRID // 2 + 1) * RATE_HZ / N_GRID
    lags, blocks = np.arange(2 * HALF), list[Floats]()
    i, j = np.ogrid[:HALF, :HALF]
    for low_hz, high_hz in BANDS_HZ.values():
        inside_hz = grid_hz[(grid_hz >= low_hz) & (grid_hz < high_hz)]
        # The trapezoidal rule gives half weight to both ends.
        trapezoid = np.full(len(inside_hz), RATE_HZ / N_GRID)
        trapezoid[[0, -1]] /= 2
        # Not a matrix product, whose last digits depend on the number of threads.
        by_lag = (np.cos(2 * np.pi * np.outer(lags, inside_hz) / RATE_HZ) * trapezoid).sum(axis=1)
        for sign in (1, -1):
            rows = factorise((by_lag[abs(i - j)] + sign * by_lag[i + j]) / 2)
            blocks.append(np.pad(rows, ((0, -len(rows) % ABREAST), (0, 0))))
    return np.concatenate(blocks), np.cumsum([0, *map(len, blocks)])


def factorise(form: Floats) -> Floats:
    """Return rows with ``x @ form @ x == ((rows @ x) ** 2).sum()``, by Cholesky's method with the largest pivot."""
    rows, rest = np.zeros((0, len(form))), form.diagonal().copy()
    while rest.sum() > MAX_LOSS * form.trace():
        pivot = rest.argmax()
        # Summed one after the other, so that no digit depends on the number of threads.
        row = form[pivot] - sum(before * before[pivot] for before in rows)
        row /= np.sqrt(row[pivot])
        rows, rest = np.vstack((rows, row)), rest - row * row
    return rows


@kernel(fastmath={"contract"}, forceinline=True)
def interpolate(nn: Floats, x: Floats) -> int:
    """Write the intervals, interpolated linearly from the first beat on and sampled at 4 Hz, to ``x``.

    ``x`` needs room for `MIN_WRITTEN` further samples. Return the number of samples.
    """
    total_ms, begin_s = nn[0], nn[0] / 1000.0
    last_s, i = 0.0, 0
    for beat in range(1, len(nn)):
        total_ms += nn[beat]
        t_s = total_ms / 1000.0 - begin_s
        slope = (nn[beat] - nn[beat - 1]) / (t_s - last_s)
        value, rise = slope * (i / RATE_HZ - last_s) + nn[beat - 1], slope / RATE_HZ
        stop = int(t_s * RATE_HZ) + 1
        # Most intervals have fewer samples; the next interval overwrites the excess. A test would cost more.
        for k in range(MIN_WRITTEN):
            x[i + k] = value + k * rise
        for k in range(MIN_WRITTEN, stop - i):
            x[i + k] = value + k * rise
        i, last_s = stop, t_s
    return int(np.ceil(last_s * RATE_HZ))


@kernel(fastmath=ANY_ORDER, forceinline=True)
def fold(x: Floats, length: int, weights: Floats, even: Floats, odd: Floats) -> None:
    """Write the sums and differences of samples at equal distance from a segment's middle, detrended and tapered.

    The first sample has no weight and is left out.
    """
    mean = compute_sum(x[:length]) / length
    even[0], odd[0] = (x[HALF] - mean) * weights[HALF], 0.0
    for i in range(1, HALF):
        after, before = (x[HALF + i] - mean) * weights[HALF + i], (x[HALF - i] - mean) * weights[HALF - i]
        even[i], odd[i] = after + before, after - before


@kernel(fastmath=ANY_ORDER, forceinline=True)
def sum_squared_products(x: Floats, rows: Floats, first: int, stop: int) -> float:
    """Sum the squares of the products of (3, 128) values with the rows ``[first, stop)``, a multiple of 3."""
    x_0, x_1, x_2 = x[0], x[1], x[2]
    total = 0.0
    # Nine products at once: each value read is used three times, and all sums stay in registers.
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


@kernel()
def compute_band_power(nn_ms: Floats, first: Ints, stop: Ints, rows: Floats, edges: Ints) -> Floats:
    """Return the (n_bands, n_windows) power in ms²; ``rows`` and ``edges`` are those of `factorise_bands`."""
    n_bands = len(edges) // 2
    out = np.full((n_bands, len(first)), np.nan)
    if not len(first):
        return out
    begin_of_all = first.min()
    elapsed_ms = np.concatenate((np.zeros(1), np.cumsum(nn_ms[begin_of_all : stop.max()])))
    longest_ms = (elapsed_ms[stop - begin_of_all] - elapsed_ms[first - begin_of_all]).max()
    # Samples beyond a short segment have no weight, but must be finite.
    x = np.zeros(int(longest_ms / 1000.0 * RATE_HZ) + SEGMENT + MIN_WRITTEN)
    weights, even, odd = np.zeros(SEGMENT), np.empty((ABREAST, HALF)), np.empty((ABREAST, HALF))
    length_of_weights = 0
    for window in range(len(first)):
        if stop[window] - first[window] < MIN_INTERVALS:
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
                out[band, window] += sum_squared_products(even, rows, sums, differences)
                out[band, window] += sum_squared_products(odd, rows, differences, stop_of_band)
        # One-sided spectrum, averaged over the segments.
        out[:, window] *= 2.0 / (RATE_HZ * np.dot(weights, weights) * n_segments)
    return out


FAMILY = Family(
    name="frequency_domain",
    compute=frequency_domain,
    columns=("lf", "hf", "vlf", "lf_hf_ratio"),
    min_intervals=MIN_INTERVALS,
    lengths_s=(150.0,),
    hrv_analysis=("get_frequency_domain_features",),
    equal_to="hrv-analysis",
    sources=("10.1161/01.CIR.93.5.1043", "10.1002/j.1538-7305.1978.tb02104.x"),
    position=40,
)
