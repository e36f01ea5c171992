"""Entropy features: how predictable one interval is from those before it."""

from aura.features.reference import hrvanalysis
from aura.types import Floats

MIN_INTERVALS = 10


def entropy(nn_ms: Floats) -> dict[str, float]:
    """Sample entropy of one window (Richman and Moorman 2000, doi:10.1152/ajpheart.2000.278.6.H2039).

    Parameters
    ----------
    nn_ms
        (n_intervals,) NN intervals in ms, at least `MIN_INTERVALS`.

    Returns
    -------
    dict
        sampen, with m=2 and the tolerance of the nolds release that hrv-analysis uses.
    """
    features: dict[str, float] = hrvanalysis().get_sampen(nn_ms)
    return features
