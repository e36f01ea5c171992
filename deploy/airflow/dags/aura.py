"""Prepare, featurize, train and import with Airflow 3: from recordings to a registered detector and PostgreSQL.

Each task runs `python -m aura STAGE` in Aura's own environment; the log of the task is the output of the stage. A stage
that failed or was interrupted is retried, and continues. A stage with a wrong setting, or that registered a model
before it failed, is not retried.

Environment variables of Airflow's workers:

| Variable | |
|---|---|
| `AURA_PYTHON` | Python of the environment in which Aura is installed |
| `AURA_WORKSPACE` | folder for the output of the stages, the same on all workers |
| `AURA_DATA` | folder of the recordings, if the form has none |
| `MLFLOW_TRACKING_URI` | tracking server; without it, a file beside Aura's source |
| `AURA_DATABASE` | PostgreSQL; without it, nothing is imported |
"""

import logging
import os
import re
import shlex
import signal
import subprocess
from collections import deque
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from airflow.sdk import Param, chain, dag, task
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException

log = logging.getLogger("aura")

# Exit code of a stage with a wrong setting; a retry would fail too.
WRONG_SETTING = 2
# Line in which train reports the version that it registered, before it draws figures and pages.
VERDICT = re.compile(r" version \S+ is the (champion|challenger): ")
# Number of output lines that are returned.
N_LINES = 100
PARAMS = {
    "dataset": Param(
        "any",
        type="string",
        examples=["any", "bids", "synthetic", "teppe", "tusz15", "tusz20"],
        description="Layouts of the corpus: a file name in conf/dataset",
    ),
    "name": Param(
        "",
        type="string",
        pattern=r"^(\w[\w.-]*)?$",
        description="dataset.name, different for each corpus; empty means the name of the dataset",
    ),
    "root": Param("", type="string", description="Folder of the recordings; empty means AURA_DATA"),
    "words": Param(
        "",
        type="string",
        description="Further overrides for all stages, as on the command line: windows.step_s=2 model.n_estimators=300",
    ),
    "shares": Param(
        4,
        type="integer",
        minimum=1,
        maximum=1000,
        description="Tasks that share the recordings in prepare and featurize",
    ),
    "model_name": Param(
        "",
        type="string",
        pattern=r"^(\w[\w.-]*)?$",
        description="Name of the model in the registry; empty means the name in the configuration, one per corpus",
    ),
    "promote": Param(
        True,
        type="boolean",
        description="Whether a better model becomes the champion; if false, it is registered as MODEL_NAME-candidate",
    ),
}


def environment(params: Mapping[str, Any]) -> dict[str, str]:
    """Return the environment of a stage: that of the worker, without Airflow's variables, with AURA_DATA."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "_AIRFLOW", "PYTHON"))}
    # Output line by line, without delay; progress bars every 10 s.
    own |= {"PYTHONUNBUFFERED": "1", "TQDM_MININTERVAL": "10"}
    own["AURA_DATA"] = params["root"] or own.get("AURA_DATA", "")
    for name in ("AURA_PYTHON", "AURA_WORKSPACE", "AURA_DATA"):
        if not Path(own.get(name, "")).is_absolute():
            alternative = " or the parameter root" if name == "AURA_DATA" else ""
            raise AirflowFailException(f"{name}{alternative} has to be an absolute path, and is {own.get(name, '')!r}")
    return own


def command(stage: str, own: Sequence[str], params: Mapping[str, Any], without: str | None) -> list[str]:
    """Return the command of a stage: the overrides of the form, except those of a group, then its own, which win."""
    try:
        words = shlex.split(params["words"])
    except ValueError as error:
        raise AirflowFailException(f"the parameter words cannot be split into words: {error}") from error
    kept = [word for word in words if re.split(r"[.=]", word.lstrip("+~"))[0] != without]
    name = [f"dataset.name={params['name']}"] if params["name"] else []
    # The folder is given by its variable: it may contain any character, and logs do not show it.
    corpus = [f"dataset={params['dataset']}", *name, "dataset.root=${oc.env:AURA_DATA}"]
    # -P: do not import from the current folder. After --, no word is read as an option.
    return [os.environ["AURA_PYTHON"], "-P", "-m", "aura", stage, "--", shlex.join([*corpus, *kept, *own])]


def run(stage: str, *own: str, params: Mapping[str, Any], without: str | None = None) -> list[str]:
    """Run a stage with the overrides of the form and those of the task.

    Parameters
    ----------
    stage
        Name of the stage.
    own
        Overrides of the task, which win over those of the form.
    params
        Parameters of the form.
    without
        Group whose overrides in the form are left out.

    Returns
    -------
    list of str
        The last lines of its output.

    Raises
    ------
    AirflowFailException
        If a setting is wrong, so that a retry would fail too, or if a version was registered, which is complete.
    AirflowException
        If the stage failed or was interrupted.
    """
    env = environment(params)
    argv = command(stage, own, params, without)
    log.info("aura %s %s", stage, argv[-1])
    lines = deque[str](maxlen=N_LINES)
    registered = False
    with _start(argv, env) as process:
        # SIGTERM to the task is passed on to the stage, which cleans up and exits by itself.
        before = signal.signal(signal.SIGTERM, lambda *_: process.terminate())
        try:
            assert process.stdout is not None
            for line in process.stdout:
                if text := line.rstrip():
                    log.info("%s", text)
                    lines.append(text)
                    registered = registered or VERDICT.search(text) is not None
            code = process.wait()
        finally:
            signal.signal(signal.SIGTERM, before)
            # Airflow's time limit raises inside the loop; then the stage has to be ended.
            process.terminate()
    if code == 0:
        return list(lines)
    how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
    message = f"aura {stage} {how}: {lines[-1] if lines else 'no output'}"
    raise AirflowFailException(message) if code == WRONG_SETTING or registered else AirflowException(message)


def _start(argv: Sequence[str], env: Mapping[str, str]) -> "subprocess.Popen[str]":
    """Start a stage with one pipe for its output and errors."""
    try:
        return subprocess.Popen(
            argv,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
        )
    except OSError as error:
        raise AirflowFailException(f"AURA_PYTHON={argv[0]} cannot be run: {error.strerror}") from error


def name_model(params: Mapping[str, Any]) -> list[str]:
    """Return the override that names the model; empty if the form has no name, since the configuration has one.

    A model that must not be promoted gets another name, and thereby its own champion.
    """
    if params["promote"]:
        return [f"tracking.model_name={params['model_name']}"] if params["model_name"] else []
    return [f"tracking.model_name={params['model_name'] or 'aura-seizure-detector-${dataset.name}'}-candidate"]


@task
def shares(*, params: Mapping[str, Any]) -> list[str]:
    """Return the shares of the recordings; each becomes a task."""
    return [f"{index}/{params['shares']}" for index in range(params["shares"])]


@task(map_index_template="{{ task.op_kwargs['share'] }}")
def run_share(stage: str, share: str, *, params: Mapping[str, Any]) -> None:
    """Run a stage on one share of the recordings; the tasks run in parallel."""
    run(stage, f"partition={share}", "compute=serial", params=params, without="compute")


@task
def write_tables(stage: str, *, params: Mapping[str, Any]) -> None:
    """Write the tables after all shares are done."""
    run(stage, "partition=null", params=params)


@task
def train(*, params: Mapping[str, Any]) -> str:
    """Train, score and register a detector, and return the decision of the registry."""
    lines = run("train", "partition=null", *name_model(params), params=params)
    return next((line for line in reversed(lines) if VERDICT.search(line)), lines[-1])


@task
def promotion(outcome: str, *, params: Mapping[str, Any]) -> None:
    """Log why the version became the champion; skipped if it did not."""
    if not params["promote"]:
        raise AirflowSkipException(f"promotion is switched off; {outcome}")
    verdict = VERDICT.search(outcome)
    if verdict is None or verdict[1] != "champion":
        raise AirflowSkipException(f"not promoted; {outcome}")
    log.info("promoted; %s", outcome)


# The import includes the detections of the champion, new or old.
@task(task_id="import", trigger_rule="none_failed")
def import_recordings(*, params: Mapping[str, Any]) -> None:
    """Import the recordings into PostgreSQL; skipped without AURA_DATABASE."""
    if not os.environ.get("AURA_DATABASE"):
        raise AirflowSkipException("AURA_DATABASE is not set; nothing is imported")
    # In this stage, `model` is an address; in the others, it is the classifier.
    champion = "model=models:/${tracking.model_name}@champion"
    run("import", "partition=null", *name_model(params), champion, params=params, without="model")


@dag(
    dag_id="aura",
    schedule=None,
    start_date=datetime(2026, 1, 1),
    catchup=False,
    # Two simultaneous runs would write the same files.
    max_active_runs=1,
    default_args={"retries": 2, "retry_delay": timedelta(seconds=30)},
    params=PARAMS,
    tags=["aura", "ecg"],
    doc_md=__doc__,
)
def aura() -> None:
    """Chain the stages."""
    parts = shares()
    outcome = train()
    chain(
        run_share.override(task_id="prepare_share").partial(stage="prepare").expand(share=parts),
        write_tables.override(task_id="prepare")("prepare"),
        run_share.override(task_id="featurize_share").partial(stage="featurize").expand(share=parts),
        write_tables.override(task_id="featurize")("featurize"),
        outcome,
        promotion(outcome),
        import_recordings(),
    )


aura()
