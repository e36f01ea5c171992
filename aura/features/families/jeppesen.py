"""The indices with which Jeppesen detects seizures (2015, doi:10.1016/j.seizure.2014.11.004)."""

import numpy as np

from aura.core.arrays import Floats, Ints
from aura.features.compiling import kernel
from aura.features.family import Family
from aura.features.kernels import compute_sd1_sd2, fit_slope, replace_sorted
from aura.features.windows import NNWindows

# Intervals of the indices, and of the median filter before them.
N_INDEX, N_MEDIAN = 100, 7
MIN_INTERVALS = N_INDEX + N_MEDIAN - 1
COLUMNS = ("csi100_slope", "modified_csi100_slope")


def jeppesen(windows: NNWindows) -> dict[str, Floats]:
    """Compute CSI and modified CSI of the last 100 intervals of windows, each times the slope of the intervals.

    Parameters
    ----------
    windows
        NN intervals, and which of them are in which window.

    Returns
    -------
    dict
        (n_windows,) csi100_slope of the intervals themselves, and modified_csi100_slope of their trailing medians over
        7 intervals. The slope is that of the medians, without sign: ms per second of their sum. NaN for fewer than 106
        intervals.
    """
    return dict(zip(COLUMNS, compute_columns(windows.nn_ms, windows.first, windows.stop), strict=True))


@kernel()
def filter_median(nn_ms: Floats) -> Floats:
    """Return the trailing median over 7 intervals; NaN for the first 6."""
    out = np.full(len(nn_ms), np.nan)
    ordered = np.sort(nn_ms[:N_MEDIAN])
    for i in range(N_MEDIAN - 1, len(nn_ms)):
        if i >= N_MEDIAN:
            replace_sorted(ordered, nn_ms[i - N_MEDIAN : i - N_MEDIAN + 1], nn_ms[i : i + 1], N_MEDIAN)
        out[i] = ordered[N_MEDIAN // 2]
    return out


@kernel()
def compute_columns(nn_ms: Floats, first: Ints, stop: Ints) -> Floats:
    """Return the (2, n_windows) features in the order of `COLUMNS`."""
    out = np.full((2, len(first)), np.nan)
    if not len(first):
        return out
    begin_of_all = first.min()
    smooth_of_all = filter_median(nn_ms[begin_of_all : stop.max()])
    elapsed_s = np.empty(N_INDEX)
    for window in range(len(first)):
        begin = stop[window] - N_INDEX
        if begin - (N_MEDIAN - 1) < first[window]:
            continue
        smooth = smooth_of_all[begin - begin_of_all : stop[window] - begin_of_all]
        total = 0.0
        for i in range(N_INDEX):
            total += smooth[i]
            elapsed_s[i] = total / 1000.0
        steepness = abs(fit_slope(elapsed_s, smooth))
        across, along = compute_sd1_sd2(nn_ms[begin : stop[window]])
        if across > 0 and along >= 0:
            out[0, window] = along / across * steepness
        across, along = compute_sd1_sd2(smooth)
        if across > 0 and along >= 0:
            out[1, window] = 4.0 * along * along / across * steepness
    return out


FAMILY = Family(
    name="jeppesen",
    compute=jeppesen,
    columns=COLUMNS,
    min_intervals=MIN_INTERVALS,
    # Long enough for 106 intervals at most heart rates.
    lengths_s=(150.0,),
    # 106 intervals at 250 bpm, the fastest heart that the cleaning keeps by default.
    min_length_s=26.0,
    equal_to="its definition, written again in the tests with hrv-analysis",
    sources=("10.1016/j.seizure.2014.11.004",),
    notes=("Both are of the last 100 intervals of the window.",),
    position=80,
)
