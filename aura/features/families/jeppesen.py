"""The indices with which Jeppesen detects seizures (2015, doi:10.1016/j.seizure.2014.11.004)."""

from aura.core.arrays import Floats
from aura.features.windows import NNWindows


def jeppesen(windows: NNWindows) -> dict[str, Floats]:
    """CSI and modified CSI of the last 100 intervals of windows, each times how steep these are.

    Parameters
    ----------
    windows
        NN intervals and which of them are in which window.

    Returns
    -------
    dict
        (n_windows,) csi100_slope, of the intervals as they are, and modified_csi100_slope, of the median of each and
        the 6 before it. Steepness is that of these medians: the size of the slope of a straight line through them, in
        ms per second of their sum. Missing on fewer than 106 intervals.
    """
    from aura.features import kernels_further as kernels

    columns = kernels.jeppesen(windows.nn_ms, windows.first, windows.stop)
    return {"csi100_slope": columns[0], "modified_csi100_slope": columns[1]}
