"""Event scores over thresholds, and the choice of a threshold."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from aura.detection.alarms import Alarms
from aura.evaluation.results import ScoredRecording, count_events, raise_alarms
from aura.evaluation.scoring import FALSE_ALARM_RATE, RATIOS, EventRules, pool

N_THRESHOLDS = 60


def compute_event_curve(recordings: Sequence[ScoredRecording], alarms: Alarms, rules: EventRules) -> pd.DataFrame:
    """Compute the event scores at each of several thresholds, the same for all recordings.

    Returns
    -------
    DataFrame
        A row per threshold, rising: ``threshold`` and `RATIOS`.
    """
    scores = np.concatenate([r.score for r in recordings])
    # Alarms are rare: most of the useful thresholds lie among the highest scores.
    quantiles = 1 - np.geomspace(0.5, 1e-4, N_THRESHOLDS)
    rows = []
    for threshold in np.unique(np.nanquantile(scores, quantiles)):
        if threshold > 0:
            raised = raise_alarms(recordings, alarms, float(threshold))
            counts = pool(count_events(recordings, raised, rules))
            rows.append({"threshold": float(threshold), **counts.ratios()})
    return pd.DataFrame(rows, columns=["threshold", *RATIOS])


def choose_threshold(curve: pd.DataFrame, max_false_alarms_per_24h: float) -> float:
    """Choose the threshold with the highest sensitivity within a limit of false alarms per 24 h of assessed time.

    Among equals it takes the one with the fewest false alarms. If no threshold keeps to the limit, it takes the one
    with the fewest false alarms. An empty curve gives infinity: the detector never raises an alarm.
    """
    if not len(curve):
        return float("inf")
    within = curve[curve[FALSE_ALARM_RATE] <= max_false_alarms_per_24h]
    if not len(within):
        within = curve[curve[FALSE_ALARM_RATE] == curve[FALSE_ALARM_RATE].min()]
    ordered = within.sort_values(["sensitivity", FALSE_ALARM_RATE, "threshold"], ascending=[False, True, False])
    return float(ordered["threshold"].iloc[0])


def read_operating_point(curve: pd.DataFrame, threshold: float) -> dict[str, float]:
    """Return the event scores of a curve at a threshold; zeros if the detector never raises an alarm."""
    rows = curve[curve["threshold"] == threshold]
    if not len(rows):
        return dict.fromkeys(RATIOS, 0.0)
    return {name: float(rows[name].fillna(0.0).iloc[0]) for name in RATIOS}
