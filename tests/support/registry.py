"""Versions to register, and the evaluations that decide which of them is promoted."""

import os
import signal
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

import mlflow
import numpy as np
import pandas as pd

from aura.config.compose import compose
from aura.config.schema import Config
from aura.core.events import Event
from aura.core.provenance import Origin
from aura.detection.alarms import Alarms
from aura.evaluation.results import Evaluation, ScoredRecording, evaluate
from aura.evaluation.scoring import EventRules
from aura.tracking import logs, promotion, registry

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


def register_active(config: Config, evaluation: Evaluation, fingerprint: str | None = None) -> str:
    """Register the model of the active run, which is another model than any before unless a fingerprint is given."""
    mlflow.log_param("test.digest", "same")
    logs.log_table(evaluation.per_subject(), "per_subject.json")
    with TemporaryDirectory() as folder:
        Path(folder, "MLmodel").write_text("flavors: {}\n")
        model_id = mlflow.initialize_logged_model(name="model").model_id
        mlflow.MlflowClient().log_model_artifacts(model_id, folder)
    mlflow.finalize_logged_model(model_id, "READY")
    candidate = promotion.Candidate(
        model_id, "Card", ORIGIN, evaluation.per_subject(), pd.DataFrame(), fingerprint or uuid4().hex
    )
    return promotion.register(config, candidate, refuse_to_score)


def register_version(name: str, evaluation: Evaluation, fingerprint: str | None = None) -> str:
    """Register a version from a run of its own, and promote it if it is better; return what was decided, in words."""
    config = compose([f"tracking.model_name={name}", "scoring.max_false_alarms_per_24h=30"])
    with mlflow.start_run(nested=True):
        return register_active(config, evaluation, fingerprint)


def aliases(name: str) -> dict[str, str]:
    """The version of each alias of a registered model."""
    registered = mlflow.MlflowClient().get_registered_model(name)
    return {alias: str(version) for alias, version in registered.aliases.items()}


def kill_at(request: str, number: int, when: str) -> None:
    """Kill this process before or after a request to the registry, the first or a later one."""
    send = getattr(mlflow.MlflowClient, request)
    sent: list[int] = []

    def send_and_die(*given: object, **named: object) -> object:
        sent.append(1)
        if len(sent) < number:
            return send(*given, **named)
        try:
            return send(*given, **named) if when == "after" else None
        finally:
            os.kill(os.getpid(), signal.SIGKILL)

    setattr(mlflow.MlflowClient, request, send_and_die)
