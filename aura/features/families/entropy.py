"""Entropy features: how predictable one interval is from those before it."""

from aura.core.arrays import Floats
from aura.features.windows import NNWindows


def entropy(windows: NNWindows) -> dict[str, Floats]:
    """Sample entropy of windows (Richman and Moorman 2000, doi:10.1152/ajpheart.2000.278.6.H2039).

    Parameters
    ----------
    windows
        NN intervals and which of them are in which window.

    Returns
    -------
    dict
        (n_windows,) sampen, with m=2 and the tolerance of nolds 0.6, which hrv-analysis uses: 0.2 times the standard
        deviation, but for rounding. Missing on fewer than 10 intervals, and where nothing repeats.

    Examples
    --------
    >>> import numpy as np
    >>> entropy(NNWindows.one(np.tile([800.0, 810.0, 790.0], 10)))["sampen"] == 0
    array([ True])
    """
    from aura.features import kernels_entropy

    return {"sampen": kernels_entropy.sample_entropy(windows.nn_ms, windows.first, windows.stop)}
