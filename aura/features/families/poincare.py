"""Poincaré plot features and the cardiac sympathetic and vagal indices made from them."""

import numpy as np

from aura.core.arrays import Floats
from aura.features.windows import NNWindows


def poincare(windows: NNWindows) -> dict[str, Floats]:
    """Describe the Poincaré plots of windows.

    Parameters
    ----------
    windows
        NN intervals and which of them are in which window.

    Returns
    -------
    dict
        (n_windows,) features by hrv-analysis's names: sd1, sd2, ratio_sd2_sd1 (Brennan 2001, doi:10.1109/10.959330);
        csi, cvi (Toichi 1997, doi:10.1016/S0165-1838(96)00112-9); Modified_csi (Jeppesen 2015,
        doi:10.1016/j.seizure.2014.11.004). Missing on fewer than 4 intervals, and where all are the same.

    Examples
    --------
    >>> poincare(NNWindows.one(np.array([800.0, 810.0, 790.0, 805.0])))["sd1"].round(2)
    array([13.39])
    """
    from aura.features import kernels

    sd1, sd2 = kernels.poincare(windows.nn_ms, windows.first, windows.stop)
    with np.errstate(divide="ignore", invalid="ignore"):
        return {
            "sd1": sd1,
            "sd2": sd2,
            "ratio_sd2_sd1": sd2 / sd1,
            "csi": (4 * sd2) / (4 * sd1),
            "cvi": np.log10((4 * sd2) * (4 * sd1)),
            "Modified_csi": (4 * sd2) ** 2 / (4 * sd1),
        }
