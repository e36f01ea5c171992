"""Draw the pictures of a training, and select the recordings to show."""

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from aura.core.series import RRSeries
from aura.evaluation.recipe import TrainingResult
from aura.evaluation.results import Evaluation
from aura.reports import figures
from aura.reports.figures import Panel

N_TIMELINES = 3
# Time shown before and after an event.
MARGIN_S = 240.0
ReadRR = Callable[[str], RRSeries]


def draw_training(
    result: TrainingResult, curve: pd.DataFrame, scores: Mapping[str, float], importance: pd.DataFrame, read_rr: ReadRR
) -> dict[str, Figure]:
    """Draw the pictures of a training.

    Parameters
    ----------
    result
        The training.
    curve
        Event scores of the test subjects over thresholds.
    scores
        Scores of the test subjects, by name.
    importance
        Table that `aura.learning.importance.compute_importance` returns.
    read_rr
        Reads the RR intervals of a recording by its name.

    Returns
    -------
    dict of Figure
        Pictures by the name under which they are logged.
    """
    evaluation, limit = result.evaluation, result.max_false_alarms_per_24h
    return {
        "sensitivity_false_alarms": figures.draw_false_alarm_curve(curve, result.detector.curve, scores, limit),
        "per_subject": figures.draw_subjects(evaluation.per_subject()),
        "calibration": figures.draw_calibration(evaluation.recordings),
        "latency": figures.draw_latency(evaluation.seizures()),
        "precision_recall": figures.draw_precision_recall(evaluation.recordings),
        "feature_importance": figures.draw_importance(importance),
        "timelines": figures.draw_timelines(_select_most_seizures(evaluation, read_rr)),
        "worst": figures.draw_timelines(_select_worst_errors(evaluation, read_rr)),
    }


def _select_most_seizures(evaluation: Evaluation, read_rr: ReadRR) -> list[Panel]:
    """Select the recordings with the most seizures, each in full."""
    recordings = evaluation.recordings
    ranked = sorted(range(len(recordings)), key=lambda i: (-len(recordings[i].targets), recordings[i].recording))
    return [
        _panel(evaluation, read_rr, i, recordings[i].recording, 0.0, recordings[i].duration_s)
        for i in ranked[:N_TIMELINES]
    ]


def _select_worst_errors(evaluation: Evaluation, read_rr: ReadRR) -> list[Panel]:
    """Select the false alarms with the highest scores, and the longest missed events."""
    alarms, misses = [], []
    for i, (r, raised) in enumerate(zip(evaluation.recordings, evaluation.alarms, strict=True)):
        hits = evaluation.hits(i)
        misses += [(-event.duration_s, i, event) for event, hit in zip(r.targets, hits, strict=True) if not hit]
        for alarm, is_correct in zip(raised, evaluation.correct_alarms(i), strict=True):
            if not is_correct:
                steps = slice(int(alarm.onset_s / r.step_s), int(np.ceil(alarm.end_s / r.step_s)))
                alarms.append((-float(np.nanmax(r.score[steps], initial=0.0)), i, alarm))
    panels = []
    for kind, ranked in (("false alarm", alarms), ("missed", misses)):
        for _, i, event in sorted(ranked, key=lambda entry: entry[:2])[:N_TIMELINES]:
            name, duration_s = evaluation.recordings[i].recording, evaluation.recordings[i].duration_s
            from_s, to_s = max(event.onset_s - MARGIN_S, 0.0), min(event.end_s + MARGIN_S, duration_s)
            panels.append(_panel(evaluation, read_rr, i, f"{kind}, {name}", from_s, to_s))
    return panels


def _panel(evaluation: Evaluation, read_rr: ReadRR, number: int, title: str, from_s: float, to_s: float) -> Panel:
    scored = evaluation.recordings[number]
    return Panel(title, scored, evaluation.alarms[number], read_rr(scored.recording), from_s, to_s)
