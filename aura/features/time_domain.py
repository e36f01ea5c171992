"""Time domain features, as hrv-analysis computes them (Task Force 1996, doi:10.1161/01.CIR.93.5.1043)."""

from aura.features.reference import hrvanalysis
from aura.types import Floats

MIN_INTERVALS = 3


def time_domain(nn_ms: Floats) -> dict[str, float]:
    """Describe the intervals of one window in the time domain.

    Parameters
    ----------
    nn_ms
        (n_intervals,) NN intervals in ms, at least `MIN_INTERVALS`.

    Returns
    -------
    dict
        hrv-analysis's names; sdsd uses ddof=0 and sdnn ddof=1, as there.
    """
    features: dict[str, float] = hrvanalysis().get_time_domain_features(nn_ms)
    return features
