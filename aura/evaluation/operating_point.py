"""Event scores over thresholds, and the threshold that is chosen."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from aura.detection.alarms import Alarms
from aura.evaluation.results import ScoredRecording, _event_counts
from aura.evaluation.scoring import FALSE_ALARM_RATE, RATIOS, EventRules, pool

N_THRESHOLDS = 60


def event_curve(recordings: Sequence[ScoredRecording], alarms: Alarms, rules: EventRules) -> pd.DataFrame:
    """Event scores over thresholds, the same one for all recordings.

    Returns
    -------
    DataFrame
        A row per threshold, rising: ``threshold`` and `RATIOS`.
    """
    everything = np.concatenate([r.score for r in recordings])
    # Alarms are rare: most of the thresholds worth a look lie among the highest scores.
    quantiles = 1 - np.geomspace(0.5, 1e-4, N_THRESHOLDS)
    rows = []
    for threshold in np.unique(np.nanquantile(everything, quantiles)):
        if threshold > 0:
            found = [alarms.events(r.score, threshold=float(threshold), step_s=r.step_s) for r in recordings]
            rows.append({"threshold": float(threshold), **pool(_event_counts(recordings, found, rules)).ratios()})
    return pd.DataFrame(rows, columns=["threshold", *RATIOS])


def operating_point(curve: pd.DataFrame, max_false_alarms_per_24h: float) -> float:
    """Threshold that finds most events within a limit of false alarms per 24 h of assessed time.

    Of equals it is the one that raises the fewest.

    Where none keeps to the limit it is the one that comes nearest; where no threshold is to be had, there is never an
    alarm.
    """
    if not len(curve):
        return float("inf")
    allowed = curve[curve[FALSE_ALARM_RATE] <= max_false_alarms_per_24h]
    if not len(allowed):
        allowed = curve[curve[FALSE_ALARM_RATE] == curve[FALSE_ALARM_RATE].min()]
    ordered = allowed.sort_values(["sensitivity", FALSE_ALARM_RATE, "threshold"], ascending=[False, True, False])
    return float(ordered["threshold"].iloc[0])
