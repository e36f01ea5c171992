"""Frequency domain features, equal to those of hrv-analysis (Task Force 1996, doi:10.1161/01.CIR.93.5.1043)."""

from functools import cache

import numpy as np

from aura.types import Floats
from aura.windows import NNWindows

# In Hz, as the original system had them.
BANDS_HZ = {"vlf": (0.003, 0.04), "lf": (0.04, 0.15), "hf": (0.15, 0.40)}
N_GRID = 4096
N_FFT = 512
# Windows that are transformed together, to bound the memory.
BLOCK = 128


def frequency_domain(windows: NNWindows) -> dict[str, Floats]:
    """Power of the heart rate variability of windows by frequency.

    Welch's method on the intervals, joined by straight lines and sampled at 4 Hz from the window's first beat on:
    segments of 64 s, half overlapping, tapered by a Hann window, and integrated over each band on a grid of 4096
    points. That is linear in the autocorrelation of a segment, which an FFT of 512 points has without loss; so one
    matrix of weights gives the same as the grid.

    Parameters
    ----------
    windows
        NN intervals and which of them are in which window.

    Returns
    -------
    dict
        (n_windows,) lf, hf, vlf in ms², and lf_hf_ratio; missing on fewer than 10 intervals.
    """
    from aura.features import kernels

    counts = kernels.n_segments(windows.nn_ms, windows.first, windows.stop)
    power = np.full((len(BANDS_HZ), len(counts)), np.nan)
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(kernels.SEGMENT) / kernels.SEGMENT)
    blocks = [slice(begin, begin + BLOCK) for begin in range(0, len(counts), BLOCK)]
    # Zeros behind the segments, as the transform wants them; made once, as fresh memory costs as much as the transform.
    most = max((counts[block].sum() for block in blocks), default=0)
    parts, spectra = np.zeros((most, N_FFT)), np.empty((most, N_FFT // 2 + 1), dtype=np.complex128)
    for block in blocks:
        n = counts[block].sum()
        if not n:
            continue
        scale = kernels.segments(
            windows.nn_ms, windows.first[block], windows.stop[block], counts[block], hann, parts[:n]
        )
        spectrum = np.fft.rfft(parts[:n], axis=1, out=spectra[:n]).view(np.float64)
        power[:, block] = kernels.band_power(spectrum, _weights(), counts[block], scale)
    vlf, lf, hf = power
    with np.errstate(divide="ignore", invalid="ignore"):
        return {"lf": lf, "hf": hf, "vlf": vlf, "lf_hf_ratio": lf / hf}


@cache
def _weights() -> Floats:
    """(3, 2 * 257) what the squares of the real and the imaginary part of each bin of the FFT give to each band."""
    from aura.features.kernels import RATE_HZ, SEGMENT

    grid_hz = np.arange(N_GRID // 2 + 1) * RATE_HZ / N_GRID
    lags = np.arange(-SEGMENT + 1, SEGMENT)
    weights = np.empty((len(BANDS_HZ), 2 * (N_FFT // 2 + 1)))
    for band, (low_hz, high_hz) in enumerate(BANDS_HZ.values()):
        inside_hz = grid_hz[(grid_hz >= low_hz) & (grid_hz < high_hz)]
        # By the trapezoidal rule the ends count half.
        trapezoid = np.full(len(inside_hz), RATE_HZ / N_GRID)
        trapezoid[[0, -1]] /= 2
        of_lag = np.cos(2 * np.pi * np.outer(lags, inside_hz) / RATE_HZ) @ trapezoid
        of_bin = np.cos(2 * np.pi * np.outer(np.arange(N_FFT // 2 + 1), lags) / N_FFT) @ of_lag / N_FFT
        # Bins between the first and the last stand for two.
        of_bin[1:-1] *= 2
        weights[band] = np.repeat(of_bin, 2)
    return weights
