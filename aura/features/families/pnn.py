"""PNNx: the share of successive differences beyond thresholds of your choice."""

from collections.abc import Sequence

import numpy as np

from aura.core.arrays import Floats
from aura.features.family import Family
from aura.features.windows import NNWindows

MIN_INTERVALS = 3


def pnn(windows: NNWindows, *, pnn_ms: Sequence[float]) -> dict[str, Floats]:
    """Compute PNNx of windows (Mietus 2002, doi:10.1136/heart.88.4.378) for any x.

    Parameters
    ----------
    windows
        NN intervals, and which of them are in which window.
    pnn_ms
        Thresholds in ms; each is a feature.

    Returns
    -------
    dict
        (n_windows,) ``pnni_10`` and so on: the share of successive differences above 10 ms, in %, defined like pnni_20
        and pnni_50 of hrv-analysis. NaN for fewer than 3 intervals.

    Examples
    --------
    >>> pnn(NNWindows.one(np.array([800.0, 808.0, 795.0, 830.0])), pnn_ms=[10, 30])
    {'pnni_10': array([66.66666667]), 'pnni_30': array([33.33333333])}
    """
    first, stop = windows.first, windows.stop
    begin, end = (first.min(), stop.max()) if len(first) else (0, 0)
    difference = np.abs(np.diff(windows.nn_ms[begin:end]))
    n_differences, columns = stop - first - 1, dict[str, Floats]()
    enough = stop - first >= MIN_INTERVALS
    for name, threshold_ms in zip(list_columns(pnn_ms=pnn_ms), pnn_ms, strict=True):
        # Cumulative counts, since successive windows share most of their intervals.
        larger = np.concatenate(([0], np.cumsum(difference > threshold_ms)))
        column = np.full(len(first), np.nan)
        n_larger = larger[stop[enough] - 1 - begin] - larger[first[enough] - begin]
        column[enough] = 100.0 * n_larger / n_differences[enough]
        columns[name] = column
    return columns


def list_columns(*, pnn_ms: Sequence[float]) -> tuple[str, ...]:
    """List the column names for some thresholds in ms."""
    return tuple(f"pnni_{threshold_ms:g}" for threshold_ms in pnn_ms)


FAMILY = Family(
    name="pnn",
    compute=pnn,
    columns=list_columns,
    min_intervals=MIN_INTERVALS,
    lengths_s=(60.0,),
    parameters=("pnn_ms",),
    equal_to="counting",
    sources=("10.1136/heart.88.4.378",),
    notes=("Other thresholds are allowed: `'features.pnn_ms=[5,15]'`.",),
    position=60,
)
