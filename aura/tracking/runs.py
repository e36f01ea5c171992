"""Open runs in MLflow, and find them again."""

import logging
import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from threading import Timer
from typing import TYPE_CHECKING, Any

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
# The stages say themselves what they do; MLflow adds a bar per file that it reads, and an address per run.
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")

import mlflow
import pandas as pd
import yaml
from filelock import FileLock
from mlflow.exceptions import MlflowException

from aura import __version__
from aura.config import summary
from aura.config.disclosure import public, public_error
from aura.config.schema import Config
from aura.core.errors import AuraError
from aura.core.paths import INSTALLED, PROJECT
from aura.evaluation.scoring import RATIOS
from aura.tracking import project
from aura.tracking.open_runs import lock_run, runs_folder, settle_dead
from aura.tracking.outages import RETRIES, explain_outages

if TYPE_CHECKING:
    from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

if "MLFLOW_LOGGING_LEVEL" not in os.environ:
    # Else MLflow adds a line for each table that it creates.
    logging.getLogger("mlflow").setLevel(logging.WARNING)
# Id of the experiment in which MLflow logs if none is named.
DEFAULT_EXPERIMENT = "0"
# Use of the machine is logged by stages that last longer than this.
MONITOR_AFTER_S = 60.0
MONITOR_EVERY_S = 10.0
# MLflow's page that compares runs opens on the metric that was logged first; here that is the score.
UNMONITORED = ("train", "trial")


@contextmanager
def stage_run(
    stage: str, config: Config, *, parent: str | None = None, name: str | None = None
) -> Iterator[mlflow.ActiveRun]:
    """Open the run of a stage, and log what every stage logs.

    A run that ``mlflow run`` opened for this process is adopted. Inside the run of another stage, this run is a child.
    First, runs of this machine and workspace whose process was killed are marked KILLED.

    Parameters
    ----------
    stage
        Name of the stage.
    config
        Configuration, which is logged as a file; what matters of it, as parameters.
    parent
        Run of which this one is a child, if it is not the active run.
    name
        Name of the run, if it is not made of the stage and its settings.
    """
    name = name or summary.name_run(stage, config)
    with (
        _open_run(config, name) as active,
        nullcontext() if stage in UNMONITORED else _monitor(active.info.run_id),
        _log_end(config),
    ):
        _log_start(stage, config, parent=parent, name=name)
        yield active


@contextmanager
def group_run(name: str, configs: Sequence[Config]) -> Iterator[None]:
    """Open a run of which the runs inside it are children: the jobs of a multirun."""
    jobs = "\n".join(f"- {summary.name_run('job', config)}" for config in configs)
    with _open_run(configs[0], name):
        mlflow.set_tags({"mlflow.runName": name, "aura.stage": "multirun", "mlflow.note.content": jobs} | _git_tags())
        with _log_end(configs[0]):
            yield


@contextmanager
def _open_run(config: Config, name: str) -> Iterator[mlflow.ActiveRun]:
    """Open a run, or adopt the one that ``mlflow run`` opened; inside another run, open a child."""
    is_nested = mlflow.active_run() is not None
    open_runs = runs_folder(Path(config.workspace))
    with explain_outages(is_nested=is_nested):
        if not is_nested and not project.is_started_by_mlflow():
            connect(config)
            choose_experiment(config)
        elif not is_nested and is_in_default_experiment():
            # Without --experiment-name, mlflow run logs where the command line logs.
            project.move_run(choose_experiment(config))
        if not is_nested:
            settle_killed(config)
        with (
            mlflow.start_run(run_name=name, nested=is_nested, log_system_metrics=False) as active,
            lock_run(open_runs, active.info.run_id),
        ):
            yield active


def _log_start(stage: str, config: Config, *, parent: str | None, name: str) -> None:
    """Log tags and configuration of the active run."""
    tags = {
        # The name is set again, since an adopted run has a random one.
        "mlflow.runName": name,
        # The default source is a path of this machine.
        "mlflow.source.name": f"aura {stage}",
        "mlflow.note.content": summary.describe_run(stage, config, software()),
        "aura.stage": stage,
        "aura.corpus": config.dataset.name,
    }
    if "experiments" in config.choices:
        tags["aura.experiment"] = config.choices["experiments"]
    if config.baseline and stage == "train":
        tags["aura.baseline"] = config.baseline
    mlflow.set_tags(tags | _git_tags())
    if parent is not None:
        set_parent(parent)
    mlflow.log_params(summary.list_parameters(stage, config))
    mlflow.log_text(yaml.safe_dump(public(config), sort_keys=False), "config.yaml")


def describe(stage: str, config: Config, result: str, model_id: str | None = None) -> None:
    """Put the result before the description of the active run, and describe its model in the same words."""
    note = {"mlflow.note.content": summary.describe_run(stage, config, software(), result)}
    mlflow.set_tags(note)
    if model_id is not None:
        mlflow.MlflowClient().set_logged_model_tags(model_id, note)


@contextmanager
def _monitor(run_id: str) -> Iterator[None]:
    """Log the use of the machine, if the block lasts long enough for that to matter."""
    started: list[SystemMetricsMonitor] = []

    def start() -> None:
        # Imported when it is needed, as few stages last so long.
        from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

        started.append(SystemMetricsMonitor(run_id, sampling_interval=MONITOR_EVERY_S))
        started[0].start()

    timer = Timer(MONITOR_AFTER_S, start)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()
        for monitor in started:
            monitor.finish()


@contextmanager
def _log_end(config: Config) -> Iterator[None]:
    """Log how the active run ends, if an error ends it."""
    try:
        yield
    except MlflowException:
        # The server will not accept the end of this run, nor of the runs around it, so none of them waits again.
        os.environ[RETRIES] = "0"
        raise
    except AuraError as error:
        mlflow.set_tag("aura.error", public_error(error, config))
        raise
    except KeyboardInterrupt:
        mlflow.end_run("KILLED")
        raise


@contextmanager
def resumed(run_id: str) -> Iterator[None]:
    """Log to a run that this process or another one opened before."""
    active = mlflow.active_run()
    if active is not None and active.info.run_id == run_id:
        yield
        return
    with mlflow.start_run(run_id=run_id, nested=True):
        yield


def set_parent(run_id: str) -> None:
    """Make the active run a child of another."""
    mlflow.set_tag("mlflow.parentRunId", run_id)


def exists(run_id: str) -> bool:
    """Return whether the tracking server has a run, and it is not deleted."""
    try:
        return bool(mlflow.get_run(run_id).info.lifecycle_stage == "active")
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return False
        raise


def is_beside(run_id: str) -> bool:
    """Return whether a run is in the experiment of the active run."""
    if not exists(run_id):
        return False
    active, other = (mlflow.get_run(each).info.experiment_id for each in (active_id(), run_id))
    return bool(active == other)


def has_artifact(run_id: str, file: str) -> bool:
    """Return whether a run exists and has logged a file."""
    return exists(run_id) and any(item.path == file for item in mlflow.MlflowClient().list_artifacts(run_id))


def kill(run_id: str | None) -> None:
    """Mark a run as killed, which it could not do itself; do nothing if the server does not answer."""
    if run_id is not None:
        with suppress(MlflowException):
            mlflow.MlflowClient().set_terminated(run_id, "KILLED")


def settle_killed(config: Config) -> None:
    """Mark the runs of this machine and workspace whose process was killed."""
    settle_dead(runs_folder(Path(config.workspace)), _mark_killed)


def _mark_killed(run_id: str) -> bool:
    """Mark a run whose process has ended as killed; return False if the tracking server does not have it."""
    if not exists(run_id):
        return False
    client = mlflow.MlflowClient()
    if client.get_run(run_id).info.status == "RUNNING":
        client.set_terminated(run_id, "KILLED")
        print(f"run {run_id} is marked KILLED: its process has ended")
    return True


def find_baselines(test_digest: str) -> pd.DataFrame:
    """Find the scores of baselines on the same test recordings: a row per baseline, from its newest run."""
    experiment = mlflow.get_run(active_id()).info.experiment_id
    runs = mlflow.search_runs(
        [experiment],
        filter_string=f"params.`test.digest` = '{test_digest}' and tags.`aura.baseline` != '' and status = 'FINISHED'",
        order_by=["attributes.start_time DESC"],
        output_format="list",
    )
    rows: dict[str, dict[str, Any]] = {}
    for run in runs:
        name = run.data.tags["aura.baseline"]
        scores = {score: run.data.metrics.get(f"event_{score}", float("nan")) for score in RATIOS}
        rows.setdefault(name, {"baseline": name, **scores, "run_id": run.info.run_id})
    return pd.DataFrame(rows.values(), columns=["baseline", *RATIOS, "run_id"])


def active_id() -> str:
    """Return the id of the active run."""
    active = mlflow.active_run()
    assert active is not None
    return str(active.info.run_id)


def connect(config: Config) -> None:
    """Use the tracking server of the environment, or else of the configuration."""
    uri = os.environ.get("MLFLOW_TRACKING_URI")
    mlflow.set_tracking_uri(uri or config.tracking.uri)
    if uri is None:
        # MLflow exports it to the environment; the next run of this process may have another configuration.
        os.environ.pop("MLFLOW_TRACKING_URI", None)


def is_in_default_experiment() -> bool:
    """Return whether the run that MLflow opened for this process is in its experiment ``Default``."""
    run = mlflow.get_run(os.environ[project.RUN_ID])
    return bool(run.info.experiment_id == DEFAULT_EXPERIMENT and run.info.lifecycle_stage == "active")


def _experiment_name(config: Config) -> str:
    return os.environ.get("MLFLOW_EXPERIMENT_NAME") or config.tracking.experiment


def choose_experiment(config: Config) -> str:
    """Use the experiment of the environment, or else of the configuration, and return its id."""
    name = _experiment_name(config)
    database = mlflow.get_tracking_uri().partition("sqlite:///")[2]
    # If two processes create the tables of a new SQLite file at once, one fails.
    with FileLock(f"{database}.lock") if database else nullcontext():
        if database and mlflow.get_experiment_by_name(name) is None:
            # Store artifacts beside the database, not in the working folder.
            artifacts = Path(database).resolve().with_name("mlruns")
            mlflow.create_experiment(name, artifact_location=artifacts.as_uri())
        return str(mlflow.set_experiment(name).experiment_id)


@cache
def software() -> str:
    """Return the version of Aura, with its commit if that is known."""
    tags = _git_tags()
    changed = ", changed since" if tags.get("aura.git_dirty") == "true" else ""
    commit = f" (commit {tags['aura.git_commit'][:12]}{changed})" if tags else ""
    return f"aura {__version__}{commit}"


def today() -> str:
    """Return the present date in UTC."""
    return f"{datetime.now(UTC):%Y-%m-%d}"


def _git_tags() -> dict[str, str]:
    """Return the commit of the code and whether it was changed since; empty outside a checkout or an image."""
    # An image states in its environment which commit it was built from.
    revision = os.environ.get("AURA_REVISION")
    image_tags = {"aura.git_commit": revision} if revision else {}
    try:
        # A repository around an installation, or around a copy of the code, is not that of Aura.
        if INSTALLED or Path(_git("rev-parse", "--show-toplevel")) != PROJECT:
            return image_tags
        commit = _git("rev-parse", "HEAD")
        return {"aura.git_commit": commit, "aura.git_dirty": str(bool(_git("status", "--porcelain"))).lower()}
    except (OSError, subprocess.CalledProcessError):
        return image_tags


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(PROJECT), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
