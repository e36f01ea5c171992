"""Time domain features (Task Force 1996, doi:10.1161/01.CIR.93.5.1043)."""

import numpy as np

from aura.core.arrays import Floats, Ints
from aura.features.compiling import kernel
from aura.features.family import Family
from aura.features.kernels import compute_moments, sort_window
from aura.features.windows import NNWindows

MIN_INTERVALS = 3
COLUMNS = (
    "mean_nni",
    "sdnn",
    "sdsd",
    "nni_50",
    "pnni_50",
    "nni_20",
    "pnni_20",
    "rmssd",
    "median_nni",
    "range_nni",
    "cvsd",
    "cvnni",
    "mean_hr",
    "max_hr",
    "min_hr",
    "std_hr",
)


def time_domain(windows: NNWindows) -> dict[str, Floats]:
    """Compute the time domain features of windows.

    Parameters
    ----------
    windows
        NN intervals, and which of them are in which window.

    Returns
    -------
    dict
        (n_windows,) features under hrv-analysis's names, in ms, % and bpm; NaN for fewer than 3 intervals. As in
        hrv-analysis, sdsd uses ddof=0 and sdnn ddof=1.

    Examples
    --------
    >>> time_domain(NNWindows.one(np.array([800.0, 810.0, 790.0])))["mean_nni"]
    array([800.])
    """
    return dict(zip(COLUMNS, compute_columns(windows.nn_ms, windows.first, windows.stop), strict=True))


@kernel()
def compute_columns(nn_ms: Floats, first: Ints, stop: Ints) -> Floats:
    """Return the (16, n_windows) features in the order of `COLUMNS`."""
    out = np.full((16, len(first)), np.nan)
    if not len(first):
        return out
    buffer, differences = np.empty((2, (stop - first).max()))
    begin, end, begin_of_all = 0, 0, first.min()
    bpm_of_all = 60000.0 / nn_ms[begin_of_all : stop.max()]
    for window in range(len(first)):
        nn = nn_ms[first[window] : stop[window]]
        n = len(nn)
        if n < MIN_INTERVALS:
            continue
        mean, squares = compute_moments(nn)
        difference = differences[: n - 1]
        sum_squares, over_50, over_20 = 0.0, 0, 0
        for i in range(n - 1):
            value = nn[i + 1] - nn[i]
            difference[i] = value
            sum_squares += value * value
            over_50 += abs(value) > 50
            over_20 += abs(value) > 20
        _, difference_squares = compute_moments(difference)
        mean_bpm, bpm_squares = compute_moments(bpm_of_all[first[window] - begin_of_all : stop[window] - begin_of_all])
        sort_window(buffer, nn_ms, begin, end, first[window], stop[window])
        begin, end = first[window], stop[window]
        ordered = buffer[:n]
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


FAMILY = Family(
    name="time_domain",
    compute=time_domain,
    columns=COLUMNS,
    min_intervals=MIN_INTERVALS,
    lengths_s=(10.0,),
    hrv_analysis=("get_time_domain_features",),
    equal_to="hrv-analysis",
    sources=("10.1161/01.CIR.93.5.1043",),
    notes=("hrv-analysis also returns values for 1 or 2 intervals; these are NaN here, in both engines.",),
    position=10,
)
