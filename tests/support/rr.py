"""RR intervals to extract features of, and the features."""

import numpy as np

from aura.core.series import RRSeries
from aura.features import FeatureSpec

# Every family.
SPEC = FeatureSpec(
    lengths_s=(
        ("time_domain", (10.0, 30.0)),
        ("poincare", (60.0,)),
        ("entropy", (60.0,)),
        ("frequency_domain", (150.0,)),
        ("robust", (30.0,)),
        ("pnn", (30.0,)),
        ("complexity", (60.0,)),
        ("jeppesen", (150.0,)),
        ("adaptive", (120.0,)),
    ),
    step_s=1.0,
    min_coverage=0.5,
    low_ms=300.0,
    high_ms=1800.0,
    max_change=0.2,
    pnn_ms=(20.0,),
)


def heart(n: int, seed: int = 0) -> RRSeries:
    """Make n RR intervals around 800 ms that oscillate, one in twenty of them far too short."""
    rng = np.random.default_rng(seed)
    rr_ms = 800 + 60 * np.sin(np.arange(n) / 4) + rng.normal(0, 30, n)
    rr_ms[rng.integers(0, n, n // 20 + 1)] *= 0.6
    t_s = np.cumsum(rr_ms) / 1000
    return RRSeries(t_s, rr_ms, float(t_s[-1]) + 7.3)
