"""Time domain features that single wrong beats do not spoil, equal to those of NeuroKit2."""

from aura.core.arrays import Floats
from aura.features.windows import NNWindows


def robust(windows: NNWindows) -> dict[str, Floats]:
    """Describe the intervals of windows by their order.

    Parameters
    ----------
    windows
        NN intervals and which of them are in which window.

    Returns
    -------
    dict
        (n_windows,) features, missing on fewer than 3 intervals: median absolute deviation, times 1.4826, and as a
        share of the median; interquartile range; 20th and 80th percentile; sdnn as a share of rmssd (Sollers 2007); and
        the triangular index, in bins of 1/128 s (Task Force 1996, doi:10.1161/01.CIR.93.5.1043). NeuroKit2 calls them
        MadNN, MCVNN, IQRNN, Prc20NN, Prc80NN, SDRMSSD and HTI.

    Examples
    --------
    >>> import numpy as np
    >>> robust(NNWindows.one(np.array([800.0, 810.0, 790.0, 2000.0])))["mad_nni"]
    array([14.826])
    """
    from aura.features import kernels_further as kernels

    columns = kernels.robust(windows.nn_ms, windows.first, windows.stop)
    return {
        "mad_nni": columns[0],
        "mcv_nni": columns[1],
        "iqr_nni": columns[2],
        "prc20_nni": columns[3],
        "prc80_nni": columns[4],
        "sdnn_rmssd_ratio": columns[5],
        "triangular_index": columns[6],
    }
