"""The share of successive differences beyond thresholds of one's own."""

from collections.abc import Sequence

import numpy as np

from aura.types import Floats
from aura.windows import NNWindows


def pnn(windows: NNWindows, *, thresholds_ms: Sequence[float]) -> dict[str, Floats]:
    """PNNx of windows (Mietus 2002, doi:10.1136/heart.88.4.378), for any x.

    Parameters
    ----------
    windows
        NN intervals and which of them are in which window.
    thresholds_ms
        Differences in ms, each of which gives a feature.

    Returns
    -------
    dict
        (n_windows,) ``pnni_10`` and so on, the share of the differences between successive intervals that are larger
        than 10 ms, in %, as pnni_20 and pnni_50 of hrv-analysis are. Missing on fewer than 3 intervals.

    Examples
    --------
    >>> pnn(NNWindows.one(np.array([800.0, 808.0, 795.0, 830.0])), thresholds_ms=[10, 30])
    {'pnni_10': array([66.66666667]), 'pnni_30': array([33.33333333])}
    """
    from aura.features import kernels_further as kernels

    thresholds = np.asarray(thresholds_ms, dtype=np.float64)
    columns = kernels.pnn(windows.nn_ms, windows.first, windows.stop, thresholds)
    return {f"pnni_{threshold:g}": column for threshold, column in zip(thresholds, columns, strict=True)}
