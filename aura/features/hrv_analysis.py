"""The same features by hrv-analysis itself, window by window: what the compiled engine is compared with."""

import warnings
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import numpy as np

from aura.core.arrays import Floats
from aura.features.windows import NNWindows

# Functions of hrv-analysis per family, and the fewest intervals for which what they give means anything.
FUNCTIONS: Mapping[str, tuple[tuple[str, ...], int]] = {
    "time_domain": (("get_time_domain_features",), 3),
    "poincare": (("get_poincare_plot_features", "get_csi_cvi_features"), 4),
    "entropy": (("get_sampen",), 10),
    "frequency_domain": (("get_frequency_domain_features",), 10),
}


@cache
def hrvanalysis() -> Any:
    """Import hrv-analysis (it takes seconds), without the warning of a library under it (nolds on Python 3.11)."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="pkg_resources is deprecated", category=UserWarning)
        import hrvanalysis as library
    return library


def reference(family: str) -> Callable[[NNWindows], dict[str, Floats]]:
    """Give what the engine ``hrv_analysis`` calls for a family, with the parameters of the family's own function."""

    def compute(windows: NNWindows) -> dict[str, Floats]:
        functions, min_intervals = FUNCTIONS[family]
        first, stop = windows.first, windows.stop
        columns = {name: np.full(len(first), np.nan) for name in _names(family)}
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            # Of constant intervals some features are not defined; the libraries warn and give nan or inf.
            warnings.simplefilter("ignore", RuntimeWarning)
            # On windows under 64 s Welch's segment is the whole window.
            warnings.filterwarnings("ignore", message="nperseg", category=UserWarning)
            for window in np.flatnonzero(stop - first >= min_intervals):
                nn = windows.nn_ms[first[window] : stop[window]]
                values = {key: value for name in functions for key, value in _call(name, nn).items()}
                for name, column in columns.items():
                    column[window] = values[name]
        return columns

    return compute


def _call(name: str, nn_ms: Floats) -> dict[str, float]:
    values: dict[str, float] = getattr(hrvanalysis(), name)(nn_ms)
    return values


@cache
def _names(family: str) -> tuple[str, ...]:
    """Names of the features that the compiled engine has, which are fewer than hrv-analysis gives."""
    from aura.features.spec import FAMILIES

    nn_ms = np.tile([800.0, 810.0, 790.0, 805.0], 64)
    return tuple(FAMILIES[family](NNWindows.one(nn_ms)))
