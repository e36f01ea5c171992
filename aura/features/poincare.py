"""Poincaré plot features and the cardiac sympathetic and vagal indices made from them."""

from aura.features.reference import hrvanalysis
from aura.types import Floats

MIN_INTERVALS = 4


def poincare(nn_ms: Floats) -> dict[str, float]:
    """Describe the Poincaré plot of one window.

    Parameters
    ----------
    nn_ms
        (n_intervals,) NN intervals in ms, at least `MIN_INTERVALS`.

    Returns
    -------
    dict
        sd1, sd2, ratio_sd2_sd1 (Brennan 2001, doi:10.1109/10.959330); csi, cvi (Toichi 1997,
        doi:10.1016/S0165-1838(96)00112-9); Modified_csi (Jeppesen 2015, doi:10.1016/j.seizure.2014.11.004).
    """
    library = hrvanalysis()
    return {**library.get_poincare_plot_features(nn_ms), **library.get_csi_cvi_features(nn_ms)}
