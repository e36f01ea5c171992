"""Curves of a training by whole steps, which MLflow draws as lines."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from aura.evaluation.recipe import TrainingResult
from aura.evaluation.scoring import FALSE_ALARM_RATE, pool

# Curves over false alarms end at this multiple of the limit.
WIDEST = 4


def trace_thresholds(curve: pd.DataFrame, prefix: str) -> dict[str, dict[int, float]]:
    """Trace F1, sensitivity and false alarms over the threshold in percent.

    Parameters
    ----------
    curve
        Event scores over thresholds, as of `aura.evaluation.operating_point.compute_event_curve`.
    prefix
        First part of the names of the metrics, by which MLflow groups the charts.
    """
    percent = (curve["threshold"] * 100).round().astype("int64").clip(lower=1)
    return {
        f"{prefix}/{name}": dict(zip(percent, curve[name], strict=True))
        for name in ("f1", "sensitivity", FALSE_ALARM_RATE)
    }


def trace_false_alarms(curve: pd.DataFrame, limit: float) -> dict[int, float]:
    """Trace the highest sensitivity at which at most 1, 2, 3 ... false alarms are raised per 24 h of assessed time."""
    steps = range(1, int(np.clip(limit * WIDEST, 1, 200)) + 1)
    reached = {step: curve.loc[curve[FALSE_ALARM_RATE] <= step, "sensitivity"] for step in steps}
    return {step: float(found.max()) for step, found in reached.items() if len(found)}


def trace_folds(result: TrainingResult) -> dict[str, dict[int, float]]:
    """Return the event scores on the test side of each fold, if there are several."""
    if len(result.folds) == 1:
        return {}
    ends = np.cumsum([int(fold.test.sum()) for fold in result.folds])
    parts = [
        pool(result.evaluation.events[end - int(fold.test.sum()) : end]).ratios()
        for end, fold in zip(ends, result.folds, strict=True)
    ]
    return {
        f"fold/event_{name}": {number: ratios[name] for number, ratios in enumerate(parts, start=1)}
        for name in ("f1", "sensitivity", FALSE_ALARM_RATE)
    }


def trace_sizes(sizes: pd.DataFrame) -> Mapping[str, dict[int, float]]:
    """Trace the average precision over the number of trees; nothing for a model that is no forest."""
    curve = dict(zip(sizes["trees"], sizes["average_precision"], strict=True))
    return {"forest_size/average_precision": curve} if curve else {}
