"""Versions to register, and the evaluations that decide which of them is promoted."""

import mlflow
import numpy as np
import pandas as pd

from aura.config.compose import compose
from aura.core.events import Event
from aura.core.provenance import Origin
from aura.detection.alarms import Alarms
from aura.evaluation.results import Evaluation, ScoredRecording, evaluate
from aura.evaluation.scoring import EventRules
from aura.tracking import promotion, registry, runs

ALARMS = Alarms(smoothing_s=0, baseline_s=0, baseline_quantile=0.9, release=1, min_duration_s=0, refractory_s=0)
SEIZURE = Event(1000.0, 40.0)
ORIGIN = Origin("tests", synthetic=False)


def make_evaluation(detected: list[int], false_alarms: int = 0, assessed_s: int = 3600) -> Evaluation:
    """Evaluate twenty recordings of an hour, each of a subject of its own and with one seizure.

    Parameters
    ----------
    detected
        Numbers of the subjects whose seizure is detected, 0 to 19.
    false_alarms
        Number of false alarms in each recording.
    assessed_s
        Seconds of each recording with a probability, from its start.
    """
    recordings = []
    for subject in range(20):
        probability = np.zeros(3600)
        if subject in detected:
            probability[1000:1040] = 0.9
        for number in range(false_alarms):
            probability[1500 + 200 * number] = 0.9
        probability[assessed_s:] = np.nan
        recordings.append(
            ScoredRecording(
                f"r{subject}",
                f"{subject:08d}",
                3600.0,
                (SEIZURE,),
                np.array([np.nan]),
                1.0,
                probability,
                probability,
                0.5,
                np.zeros(3600, dtype=np.int64),
                (SEIZURE,),
            )
        )
    return evaluate(recordings, ALARMS, EventRules())


def refuse_to_score(other: registry.Registered) -> Evaluation:
    """Fail if the champion is scored again although its scores are logged."""
    raise AssertionError("the champion was scored again")


def register_version(name: str, evaluation: Evaluation, digest: str = "same") -> str:
    """Register a version from a run of its own, and promote it if it is better; return its alias."""
    config = compose([f"tracking.model_name={name}", "scoring.max_false_alarms_per_24h=30"])
    with mlflow.start_run(nested=True):
        mlflow.log_param("test.digest", digest)
        runs.log_table(evaluation.per_subject(), "per_subject.json")
        model_id = mlflow.initialize_logged_model(name="model").model_id
        return promotion.register(config, model_id, "# Card", ORIGIN, evaluation, pd.DataFrame(), refuse_to_score)
