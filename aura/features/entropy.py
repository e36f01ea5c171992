"""Entropy features: how predictable one interval is from those before it."""

from aura.types import Floats, Ints


def entropy(nn_ms: Floats, first: Ints, stop: Ints) -> dict[str, Floats]:
    """Sample entropy of windows (Richman and Moorman 2000, doi:10.1152/ajpheart.2000.278.6.H2039).

    Parameters
    ----------
    nn_ms
        (n_intervals,) NN intervals in ms.
    first, stop
        (n_windows,) ``nn_ms[first[i]:stop[i]]`` are the intervals of window i.

    Returns
    -------
    dict
        (n_windows,) sampen, with m=2 and the tolerance of nolds 0.6, which hrv-analysis uses: 0.2 times the standard
        deviation, but for rounding. Missing on fewer than 10 intervals, and where nothing repeats.

    Examples
    --------
    >>> import numpy as np
    >>> entropy(np.tile([800.0, 810.0, 790.0], 10), np.array([0]), np.array([30]))["sampen"] == 0
    array([ True])
    """
    from aura.features import kernels

    return {"sampen": kernels.sample_entropy(nn_ms, first, stop)}
