"""Calibration of probabilities (Platt 1999)."""

from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit

from aura.core.arrays import Floats

# Clip before the logit: more extreme probabilities cannot be estimated from so few windows.
CLOSEST = 1e-4


@dataclass(frozen=True)
class Calibration:
    """A correction of probabilities that keeps their order: a linear function of their log odds (Platt 1999).

    Parameters
    ----------
    slope, intercept
        Of the linear function; the defaults change nothing.

    Examples
    --------
    >>> Calibration(1.0, np.log(0.5))(np.array([0.5, np.nan])).round(3)
    array([0.333,   nan])
    """

    slope: float = 1.0
    intercept: float = 0.0

    def __call__(self, probability: Floats) -> Floats:
        """Correct (n,) probabilities; NaN stays NaN."""
        if self == Calibration():
            return probability
        corrected: Floats = expit(self.slope * log_odds(probability) + self.intercept)
        return corrected


def log_odds(probability: Floats) -> Floats:
    """Return the log odds of probabilities, which are clipped to 0.0001 and 0.9999."""
    odds: Floats = logit(np.clip(probability, CLOSEST, 1 - CLOSEST))
    return odds
