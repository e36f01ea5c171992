"""Find a finished run that trained the same model, so that it need not be trained again."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import mlflow

from aura.config.schema import Config
from aura.tracking import project, runs, versions
from aura.tracking.open_runs import lock_run, runs_folder
from aura.tracking.outages import explain_outages


@dataclass(frozen=True, slots=True)
class FinishedRun:
    """A run of train that ended well and whose model exists.

    Parameters
    ----------
    run_id, date
        Id of the run, and the day in UTC on which it ended.
    model_id
        Id of the logged model; empty if the run logs none, as with ``split=personal``.
    metrics
        Metrics of the run.
    """

    run_id: str
    date: str
    model_id: str
    metrics: dict[str, float]


def mark(fingerprint: str) -> None:
    """Note on the active run by which fingerprint `find` finds it."""
    mlflow.set_tag(versions.FINGERPRINT, fingerprint)


def find(config: Config, fingerprint: str, *, has_model: bool) -> FinishedRun | None:
    """Find the newest finished run with a fingerprint, in the experiment in which the next run would be logged.

    Parameters
    ----------
    config
        Configuration with the tracking server and the experiment.
    fingerprint
        Fingerprint that `mark` noted.
    has_model
        Whether such a run logs a model. A run whose model was deleted is passed over.
    """
    with explain_outages(is_nested=mlflow.active_run() is not None):
        found = mlflow.MlflowClient().search_runs(
            [_find_experiment(config)],
            f"tags.`{versions.FINGERPRINT}` = '{fingerprint}' and attributes.status = 'FINISHED'",
            order_by=["attributes.start_time DESC"],
        )
        for run in found:
            model_ids = [output.model_id for output in run.outputs.model_outputs] if run.outputs else []
            usable = [model_id for model_id in model_ids if versions.has_logged_model(model_id)]
            if usable or not has_model:
                date = f"{datetime.fromtimestamp(run.info.end_time / 1000, UTC):%Y-%m-%d}"
                return FinishedRun(run.info.run_id, date, usable[0] if usable else "", dict(run.data.metrics))
    return None


def find_version(config: Config, fingerprint: str) -> str | None:
    """Describe the registered version with a fingerprint; None if there is none."""
    with explain_outages(is_nested=mlflow.active_run() is not None):
        version = versions.find(config.tracking.model_name, fingerprint)
        return None if version is None else versions.describe(version)


@contextmanager
def reopened(config: Config, run_id: str) -> Iterator[None]:
    """Log to a finished run, for example what its registration decides."""
    is_nested = mlflow.active_run() is not None
    with explain_outages(is_nested=is_nested):
        if not is_nested:
            runs.settle_killed(config)
        with runs.resumed(run_id), lock_run(runs_folder(Path(config.workspace)), run_id):
            yield


def _find_experiment(config: Config) -> str:
    """Return the id of the experiment in which the next run of this process would be logged."""
    active = mlflow.active_run()
    if active is not None:
        return str(active.info.experiment_id)
    if not project.is_started_by_mlflow():
        runs.connect(config)
    elif not runs.is_in_default_experiment():
        return str(mlflow.get_run(os.environ[project.RUN_ID]).info.experiment_id)
    return runs.choose_experiment(config)
