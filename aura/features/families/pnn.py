"""The share of successive differences beyond thresholds of one's own."""

from collections.abc import Sequence

import numpy as np

from aura.core.arrays import Floats
from aura.features.windows import NNWindows


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
    first, stop = windows.first, windows.stop
    begin, end = (first.min(), stop.max()) if len(first) else (0, 0)
    difference = np.abs(np.diff(windows.nn_ms[begin:end]))
    n_differences, columns = stop - first - 1, dict[str, Floats]()
    enough = n_differences >= 2
    for threshold_ms in thresholds_ms:
        # How many there are up to each interval; most windows share most of theirs.
        larger = np.concatenate(([0], np.cumsum(difference > threshold_ms)))
        column = np.full(len(first), np.nan)
        n_larger = larger[stop[enough] - 1 - begin] - larger[first[enough] - begin]
        column[enough] = 100.0 * n_larger / n_differences[enough]
        columns[f"pnni_{threshold_ms:g}"] = column
    return columns
