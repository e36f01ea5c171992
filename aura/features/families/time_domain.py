"""Time domain features, equal to those of hrv-analysis (Task Force 1996, doi:10.1161/01.CIR.93.5.1043)."""

from aura.core.arrays import Floats
from aura.features.windows import NNWindows


def time_domain(windows: NNWindows) -> dict[str, Floats]:
    """Describe the intervals of windows in the time domain.

    Parameters
    ----------
    windows
        NN intervals and which of them are in which window.

    Returns
    -------
    dict
        (n_windows,) features by hrv-analysis's names, in ms, % and bpm; missing on fewer than 3 intervals. sdsd uses
        ddof=0 and sdnn ddof=1, as there.

    Examples
    --------
    >>> import numpy as np
    >>> time_domain(NNWindows.one(np.array([800.0, 810.0, 790.0])))["mean_nni"]
    array([800.])
    """
    from aura.features import kernels

    columns = kernels.time_domain(windows.nn_ms, windows.first, windows.stop)
    return {
        "mean_nni": columns[0],
        "sdnn": columns[1],
        "sdsd": columns[2],
        "nni_50": columns[3],
        "pnni_50": columns[4],
        "nni_20": columns[5],
        "pnni_20": columns[6],
        "rmssd": columns[7],
        "median_nni": columns[8],
        "range_nni": columns[9],
        "cvsd": columns[10],
        "cvnni": columns[11],
        "mean_hr": columns[12],
        "max_hr": columns[13],
        "min_hr": columns[14],
        "std_hr": columns[15],
    }
