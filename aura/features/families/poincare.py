"""Features of the Poincaré plot, and the cardiac sympathetic and vagal indices made from them."""

import numpy as np

from aura.core.arrays import Floats, Ints
from aura.features.compiling import kernel
from aura.features.family import Family
from aura.features.kernels import compute_sd1_sd2
from aura.features.windows import NNWindows

MIN_INTERVALS = 4


def poincare(windows: NNWindows) -> dict[str, Floats]:
    """Compute the features of the Poincaré plots of windows.

    Parameters
    ----------
    windows
        NN intervals, and which of them are in which window.

    Returns
    -------
    dict
        (n_windows,) features under hrv-analysis's names: sd1 and sd2 in ms, ratio_sd2_sd1 (Brennan 2001,
        doi:10.1109/10.959330); csi, cvi (Toichi 1997, doi:10.1016/S0165-1838(96)00112-9); Modified_csi in ms (Jeppesen
        2015, doi:10.1016/j.seizure.2014.11.004). NaN for fewer than 4 intervals, and if all are equal.

    Examples
    --------
    >>> poincare(NNWindows.one(np.array([800.0, 810.0, 790.0, 805.0])))["sd1"].round(2)
    array([13.39])
    """
    sd1, sd2 = compute_columns(windows.nn_ms, windows.first, windows.stop)
    with np.errstate(divide="ignore", invalid="ignore"):
        return {
            "sd1": sd1,
            "sd2": sd2,
            "ratio_sd2_sd1": sd2 / sd1,
            "csi": (4 * sd2) / (4 * sd1),
            "cvi": np.log10((4 * sd2) * (4 * sd1)),
            "Modified_csi": (4 * sd2) ** 2 / (4 * sd1),
        }


@kernel()
def compute_columns(nn_ms: Floats, first: Ints, stop: Ints) -> Floats:
    """Return sd1 and sd2 of each window, (2, n_windows)."""
    out = np.full((2, len(first)), np.nan)
    for window in range(len(first)):
        nn = nn_ms[first[window] : stop[window]]
        n = len(nn)
        if n < MIN_INTERVALS:
            continue
        across, along = compute_sd1_sd2(nn)
        out[0, window] = across
        if along >= 0:
            out[1, window] = along
    return out


FAMILY = Family(
    name="poincare",
    compute=poincare,
    columns=("sd1", "sd2", "ratio_sd2_sd1", "csi", "cvi", "Modified_csi"),
    min_intervals=MIN_INTERVALS,
    lengths_s=(60.0,),
    hrv_analysis=("get_poincare_plot_features", "get_csi_cvi_features"),
    equal_to="hrv-analysis",
    sources=("10.1109/10.959330", "10.1016/S0165-1838(96)00112-9", "10.1016/j.seizure.2014.11.004"),
    notes=(
        "Ratios by zero are infinite in hrv-analysis and NaN here, in both engines.",
        "For intervals that rise or fall evenly, `sd1` is rounding alone, and hrv-analysis returns ratios of 10¹⁴; the "
        "compiled engine returns NaN.",
    ),
    position=20,
)
