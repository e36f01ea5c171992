"""Time domain features that single wrong beats do not spoil."""

import numpy as np

from aura.core.arrays import Floats, Ints
from aura.features.compiling import kernel
from aura.features.family import Family
from aura.features.kernels import compute_variation, sort_window
from aura.features.windows import NNWindows

MIN_INTERVALS = 3
# Turns the median absolute deviation of a normal distribution into its standard deviation.
MAD_SCALE = 1.4826
# Bin width of the triangular index: 1/128 s.
BIN_MS = 1000.0 / 128
COLUMNS = ("mad_nni", "mcv_nni", "iqr_nni", "prc20_nni", "prc80_nni", "sdnn_rmssd_ratio", "triangular_index")


def robust(windows: NNWindows) -> dict[str, Floats]:
    """Compute order statistics of the intervals of windows.

    Parameters
    ----------
    windows
        NN intervals, and which of them are in which window.

    Returns
    -------
    dict
        (n_windows,) features, NaN for fewer than 3 intervals: median absolute deviation times 1.4826, in ms and as a
        share of the median; interquartile range in ms; 20th and 80th percentile in ms; sdnn as a share of rmssd
        (Sollers 2007); and the triangular index with bins of 1/128 s (Task Force 1996,
        doi:10.1161/01.CIR.93.5.1043). NeuroKit2 calls them MadNN, MCVNN, IQRNN, Prc20NN, Prc80NN, SDRMSSD and HTI.

    Examples
    --------
    >>> robust(NNWindows.one(np.array([800.0, 810.0, 790.0, 2000.0])))["mad_nni"]
    array([14.826])
    """
    return dict(zip(COLUMNS, compute_columns(windows.nn_ms, windows.first, windows.stop), strict=True))


@kernel()
def compute_percentile(ordered: Floats, share: float) -> float:
    """Return a percentile of sorted values by linear interpolation, as numpy does."""
    at = share * (len(ordered) - 1)
    below = int(at)
    if below + 1 >= len(ordered):
        return float(ordered[-1])
    return float(ordered[below] + (at - below) * (ordered[below + 1] - ordered[below]))


@kernel()
def compute_median_deviation(ordered: Floats, median: float) -> float:
    """Return the median absolute deviation of sorted values, walking outwards from the median."""
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


@kernel()
def compute_columns(nn_ms: Floats, first: Ints, stop: Ints) -> Floats:
    """Return the (7, n_windows) features in the order of `COLUMNS`."""
    out = np.full((7, len(first)), np.nan)
    buffer, begin, end = np.empty((stop - first).max() if len(first) else 0), 0, 0
    for window in range(len(first)):
        nn = nn_ms[first[window] : stop[window]]
        n = len(nn)
        if n < MIN_INTERVALS:
            continue
        sort_window(buffer, nn_ms, begin, end, first[window], stop[window])
        begin, end = first[window], stop[window]
        ordered = buffer[:n]
        median = compute_percentile(ordered, 0.5)
        mad = MAD_SCALE * compute_median_deviation(ordered, median)
        # The fullest bin; sorted values fill one bin after the other.
        most, in_bin, bin_of_last = 0, 0, -1.0
        for value in ordered:
            bin_of_this = np.floor(value / BIN_MS)
            in_bin = in_bin + 1 if bin_of_this == bin_of_last else 1
            most = max(most, in_bin)
            bin_of_last = bin_of_this
        _, squares, sum_squares, _ = compute_variation(nn)
        out[0, window] = mad
        out[1, window] = mad / median
        out[2, window] = compute_percentile(ordered, 0.75) - compute_percentile(ordered, 0.25)
        out[3, window] = compute_percentile(ordered, 0.2)
        out[4, window] = compute_percentile(ordered, 0.8)
        if sum_squares > 0:
            out[5, window] = np.sqrt(squares / sum_squares)
        out[6, window] = n / most
    return out


FAMILY = Family(
    name="robust",
    compute=robust,
    columns=COLUMNS,
    min_intervals=MIN_INTERVALS,
    lengths_s=(60.0,),
    equal_to="NeuroKit2",
    sources=("10.1161/01.CIR.93.5.1043",),
    position=50,
)
