"""Open runs in MLflow and log to them."""

import logging
import os
import subprocess
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

import mlflow
import numpy as np
import pandas as pd
import yaml
from filelock import FileLock
from mlflow.data.dataset_source_registry import resolve_dataset_source
from mlflow.data.meta_dataset import MetaDataset
from mlflow.exceptions import MlflowException

from aura import __version__
from aura.config.disclosure import public, public_error
from aura.config.schema import Config
from aura.config.scope import dotted
from aura.core.errors import AuraError, OutageError, without_credentials
from aura.core.paths import INSTALLED, PACKAGE, PROJECT
from aura.evaluation.scoring import RATIOS
from aura.serving.requests import SIGNATURE
from aura.tracking import project
from aura.tracking.open_runs import lock_run, runs_folder, settle_dead

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Each request waits half a minute for a server that restarts (refused connections); MLflow's default is four minutes.
# A server that accepts a request has a minute to answer, since it may be uploading a model to an object store.
RETRIES = "MLFLOW_HTTP_REQUEST_MAX_RETRIES"
os.environ.setdefault(RETRIES, "4")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "60")
# Id of the experiment in which MLflow logs if none is named.
DEFAULT_EXPERIMENT = "0"


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
        Configuration, which is logged as dotted parameters and as a file.
    parent
        Run of which this one is a child, if it is not the active run.
    name
        Name of the run, if it is not that of the stage.
    """
    is_nested = mlflow.active_run() is not None
    open_runs = runs_folder(Path(config.workspace))
    logging.getLogger("mlflow.system_metrics").setLevel(logging.WARNING)
    mlflow.set_system_metrics_sampling_interval(1)
    with _explain_outages(is_nested=is_nested):
        if not is_nested and not project.is_started_by_mlflow():
            connect(config)
            _choose_experiment(config)
        elif not is_nested and _is_in_default_experiment():
            # Without --experiment-name, mlflow run logs where the command line logs.
            _choose_experiment(config)
            project.move_run(mlflow.set_experiment(_experiment_name(config)).experiment_id)
        if not is_nested:
            settle_dead(open_runs, _mark_killed)
        with (
            ExitStack() as stack,
            mlflow.start_run(run_name=name or stage, nested=is_nested, log_system_metrics=True) as active,
        ):
            stack.enter_context(lock_run(open_runs, active.info.run_id))
            with _log_end(config):
                _log_start(stage, config, parent=parent, name=name or stage)
                yield active


def _log_start(stage: str, config: Config, *, parent: str | None, name: str) -> None:
    """Log tags and configuration of the active run."""
    # The name is set again, since an adopted run has a random one. The default source is a path of this machine.
    mlflow.set_tags({"mlflow.runName": name, "mlflow.source.name": f"aura {stage}", "aura.stage": stage, **_git_tags()})
    if parent is not None:
        set_parent(parent)
    mlflow.log_params(parameters(config))
    mlflow.log_text(yaml.safe_dump(public(config), sort_keys=False), "config.yaml")
    if config.baseline and stage == "train":
        mlflow.set_tag("aura.baseline", config.baseline)
    if config.question:
        mlflow.set_tag("mlflow.note.content", config.question)


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


def parameters(config: Config) -> dict[str, Any]:
    """Return the values of a configuration that are logged, by dotted key."""
    return dict(dotted(public(config)))


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


@contextmanager
def _explain_outages(*, is_nested: bool) -> Iterator[None]:
    """Turn errors of MLflow into an OutageError; restore the retries after the outermost run."""
    retries = os.environ[RETRIES]
    try:
        yield
    except MlflowException as error:
        text = "does not answer; run the stage again when it does"
        if not is_outage(error):
            text = f"reports an error: {without_credentials(_line(error))}"
        outage = OutageError(f"MLflow at {place()} {text}")
        for note in _collect_notes(error):
            outage.add_note(note)
        raise outage from error
    finally:
        if not is_nested:
            os.environ[RETRIES] = retries


def _collect_notes(error: BaseException | None) -> list[str]:
    """Collect the notes of an error and of the errors before it, which an error at the end of a run would hide."""
    notes: dict[str, None] = {}
    while error is not None:
        notes |= dict.fromkeys(getattr(error, "__notes__", ()))
        error = error.__context__
    return list(notes)


def is_outage(error: MlflowException) -> bool:
    """Return whether a server gave no answer: MLflow then raises its error while it handles one of the connection."""
    return mlflow.get_tracking_uri().startswith("http") and isinstance(error.__context__, OSError)


def _line(error: MlflowException) -> str:
    return " ".join(str(error).split())


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


def log_upstream(run_ids: Mapping[str, str]) -> None:
    """Log the ids of the runs whose output this one reads, by stage."""
    mlflow.set_tags({f"aura.upstream.{stage}": run_id for stage, run_id in run_ids.items()})


def log_params(values: Mapping[str, Any]) -> None:
    """Log parameters of a run that are not in its configuration."""
    mlflow.log_params(dict(values))


def log_metrics(values: Mapping[str, float], step: int | None = None) -> None:
    """Log metrics; NaN is logged as NaN."""
    mlflow.log_metrics(dict(values), step=step)


def log_table(frame: pd.DataFrame, file: str) -> None:
    """Log a table for the artifact viewer; replace an existing one, to which MLflow would append."""
    if any(item.path == file for item in mlflow.MlflowClient().list_artifacts(active_id())):
        mlflow.log_text(frame.to_json(orient="split", index=False, date_format="iso"), file)
    else:
        mlflow.log_table(frame, file)


def log_json(values: Mapping[str, Any], file: str) -> None:
    """Log plain values as a JSON file."""
    mlflow.log_dict(dict(values), file)


def log_text(text: str, file: str) -> None:
    """Log a text as a file."""
    mlflow.log_text(text, file)


def log_files(paths: Sequence[Path], folder: str | None = None) -> None:
    """Log files to a folder of the run, or to its top level."""
    for path in paths:
        mlflow.log_artifact(str(path), folder)


def log_figures(figures: "Mapping[str, Figure]") -> None:
    """Log pictures by name, at the top level: the view that compares runs does not show folders."""
    with warnings.catch_warnings():
        # Characters that the font lacks are drawn as boxes; the tables have the names in full.
        warnings.filterwarnings("ignore", message=r"Glyph \d+ .* missing from font")
        for name, figure in figures.items():
            mlflow.log_figure(figure, f"{name}.png", save_kwargs={"dpi": 110})


def log_dataset(folder: Path, *, name: str, digest: str, recordings: pd.DataFrame, test_digest: str) -> None:
    """Log the data that the model is trained and scored on."""
    with warnings.catch_warnings():
        # MLflow registers its own local source twice.
        warnings.filterwarnings("ignore", message="The specified dataset source can be interpreted in multiple ways")
        # Only the last folders: the whole path would disclose this machine.
        source = resolve_dataset_source("/".join(folder.parts[-2:]))
    dataset = MetaDataset(source=source, name=name, digest=digest)
    mlflow.log_input(dataset, context="training and test")
    mlflow.log_params(
        {
            "data.digest": digest,
            "data.subjects": recordings["subject"].nunique(),
            "data.recordings": len(recordings),
            "data.hours": round(float(recordings["duration_s"].sum() / 3600), 3),
            "data.seizures": int(recordings["n_seizures"].sum()),
            "test.digest": test_digest,
        }
    )


def log_model(folder: Path, requirements: Sequence[str]) -> str:
    """Log a detector that `aura.detection.detector.SeizureDetector.save` wrote.

    Returns
    -------
    str
        Id of the logged model, for `aura.tracking.promotion.register`.
    """
    example = pd.DataFrame({"t_s": np.round(np.arange(1, 13) * 0.8, 3), "rr_ms": np.full(12, 800.0)})
    info = mlflow.pyfunc.log_model(
        name="model",
        loader_module="aura.serving",
        data_path=str(folder),
        code_paths=[str(PACKAGE)],
        signature=SIGNATURE,
        input_example=example,
        pip_requirements=list(requirements),
    )
    return str(info.model_id)


def connect(config: Config) -> None:
    """Use the tracking server of the environment, or else of the configuration."""
    uri = os.environ.get("MLFLOW_TRACKING_URI")
    mlflow.set_tracking_uri(uri or config.tracking.uri)
    if uri is None:
        # MLflow exports it to the environment; the next run of this process may have another configuration.
        os.environ.pop("MLFLOW_TRACKING_URI", None)


def place() -> str:
    """Return the address of the tracking server, without user and password."""
    return without_credentials(mlflow.get_tracking_uri())


def _is_in_default_experiment() -> bool:
    """Return whether the run that MLflow opened for this process is in its experiment ``Default``."""
    run = mlflow.get_run(os.environ[project.RUN_ID])
    return bool(run.info.experiment_id == DEFAULT_EXPERIMENT and run.info.lifecycle_stage == "active")


def _experiment_name(config: Config) -> str:
    return os.environ.get("MLFLOW_EXPERIMENT_NAME") or config.tracking.experiment


def _choose_experiment(config: Config) -> None:
    """Use the experiment of the environment, or else of the configuration."""
    name = _experiment_name(config)
    database = mlflow.get_tracking_uri().partition("sqlite:///")[2]
    # If two processes create the tables of a new SQLite file at once, one fails.
    with FileLock(f"{database}.lock") if database else nullcontext():
        if database and mlflow.get_experiment_by_name(name) is None:
            # Store artifacts beside the database, not in the working folder.
            artifacts = Path(database).resolve().with_name("mlruns")
            mlflow.create_experiment(name, artifact_location=artifacts.as_uri())
        mlflow.set_experiment(name)


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
