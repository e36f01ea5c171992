"""Frequency domain features, equal to those of hrv-analysis (Task Force 1996, doi:10.1161/01.CIR.93.5.1043)."""

from functools import cache

import numpy as np

from aura.core.arrays import Floats, Ints
from aura.features.windows import NNWindows

# In Hz, as the original system had them.
BANDS_HZ = {"vlf": (0.003, 0.04), "lf": (0.04, 0.15), "hf": (0.15, 0.40)}
N_GRID = 4096
# Share of a band's power, in white noise, that its rows may leave out.
NOTHING = 1e-13


def frequency_domain(windows: NNWindows) -> dict[str, Floats]:
    """Power of the heart rate variability of windows by frequency.

    Welch's method on the intervals, joined by straight lines and sampled at 4 Hz from the window's first beat on:
    segments of 64 s, half overlapping, tapered by a Hann window, and integrated over each band on a grid of 4096
    points. That is a quadratic form of the samples, and as bands are narrow, one of few squares (Slepian 1978,
    doi:10.1002/j.1538-7305.1978.tb02104.x), which give the same as the grid.

    Parameters
    ----------
    windows
        NN intervals and which of them are in which window.

    Returns
    -------
    dict
        (n_windows,) lf, hf, vlf in ms², and lf_hf_ratio; missing on fewer than 10 intervals.
    """
    from aura.features import kernels_frequency as kernels

    vlf, lf, hf = kernels.band_power(windows.nn_ms, windows.first, windows.stop, *_rows())
    with np.errstate(divide="ignore", invalid="ignore"):
        return {"lf": lf, "hf": hf, "vlf": vlf, "lf_hf_ratio": lf / hf}


@cache
def _rows() -> tuple[Floats, Ints]:
    """What the sums and the differences of a segment are multiplied by, band after band; and where each begins."""
    from aura.features.kernels_frequency import ABREAST, HALF, RATE_HZ

    grid_hz = np.arange(N_GRID // 2 + 1) * RATE_HZ / N_GRID
    lags, blocks = np.arange(2 * HALF), list[Floats]()
    i, j = np.ogrid[:HALF, :HALF]
    for low_hz, high_hz in BANDS_HZ.values():
        inside_hz = grid_hz[(grid_hz >= low_hz) & (grid_hz < high_hz)]
        # By the trapezoidal rule the ends count half.
        trapezoid = np.full(len(inside_hz), RATE_HZ / N_GRID)
        trapezoid[[0, -1]] /= 2
        # Not by a matrix product, whose last digits depend on how many threads the library has.
        of_lag = (np.cos(2 * np.pi * np.outer(lags, inside_hz) / RATE_HZ) * trapezoid).sum(axis=1)
        for sign in (1, -1):
            rows = _factor((of_lag[abs(i - j)] + sign * of_lag[i + j]) / 2)
            blocks.append(np.pad(rows, ((0, -len(rows) % ABREAST), (0, 0))))
    return np.concatenate(blocks), np.cumsum([0, *map(len, blocks)])


def _factor(form: Floats) -> Floats:
    """Rows by which x @ form @ x is ((rows @ x) ** 2).sum(): Cholesky's method, the largest pivot first."""
    rows, rest = np.zeros((0, len(form))), form.diagonal().copy()
    while rest.sum() > NOTHING * form.trace():
        pivot = rest.argmax()
        # Added up one after the other: no digit depends on how many threads a library has.
        row = form[pivot] - sum(before * before[pivot] for before in rows)
        row /= np.sqrt(row[pivot])
        rows, rest = np.vstack((rows, row)), rest - row * row
    return rows
