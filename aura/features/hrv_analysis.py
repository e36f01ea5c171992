"""Compute features with hrv-analysis itself, window by window: the reference of the compiled engine."""

import warnings
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from aura.core.arrays import Floats
from aura.features.family import Family
from aura.features.windows import NNWindows


@cache
def import_hrvanalysis() -> Any:
    """Import hrv-analysis, which takes seconds, without a warning of nolds on Python 3.11."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="pkg_resources is deprecated", category=UserWarning)
        import hrvanalysis as library
    return library


def reference(family: Family) -> Callable[[NNWindows], dict[str, Floats]]:
    """Return a function that computes a family with hrv-analysis and has the signature of the family's own."""

    def compute(windows: NNWindows) -> dict[str, Floats]:
        first, stop = windows.first, windows.stop
        # hrv-analysis returns further columns.
        columns = {name: np.full(len(first), np.nan) for name in family.list_columns({})}
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            # For constant intervals some features are undefined: the library warns and returns NaN or infinity.
            warnings.simplefilter("ignore", RuntimeWarning)
            # In windows shorter than 64 s, Welch's segment is the whole window.
            warnings.filterwarnings("ignore", message="nperseg", category=UserWarning)
            for window in np.flatnonzero(stop - first >= family.min_intervals):
                nn = windows.nn_ms[first[window] : stop[window]]
                values = {key: value for name in family.hrv_analysis for key, value in _call(name, nn).items()}
                for name, column in columns.items():
                    column[window] = values[name]
        return columns

    return compute


def _call(name: str, nn_ms: Floats) -> dict[str, float]:
    values: dict[str, float] = getattr(import_hrvanalysis(), name)(nn_ms)
    return values
