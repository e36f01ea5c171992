"""Frequency domain features, as hrv-analysis computes them (Task Force 1996, doi:10.1161/01.CIR.93.5.1043)."""

from aura.features.reference import hrvanalysis
from aura.types import Floats

MIN_INTERVALS = 10


def frequency_domain(nn_ms: Floats) -> dict[str, float]:
    """Power of the heart rate variability of one window by frequency.

    Parameters
    ----------
    nn_ms
        (n_intervals,) NN intervals in ms, at least `MIN_INTERVALS`.

    Returns
    -------
    dict
        vlf [.003, .04), lf [.04, .15), hf [.15, .40) Hz in ms², and lf_hf_ratio.
    """
    features = hrvanalysis().get_frequency_domain_features(nn_ms)
    return {name: features[name] for name in ("lf", "hf", "vlf", "lf_hf_ratio")}
