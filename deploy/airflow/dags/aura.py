"""From a folder of recordings to a registered detector, and on into PostgreSQL: the stages of Aura, for Airflow 3.

Each task runs `python -m aura STAGE` in Aura's own environment; the log of the task is what the stage says. A stage
that could not do its work, or was interrupted, is tried again and goes on where it was; one that was asked for in a way
it does not know, or that has registered a model before it failed, fails at once.

Of the environment of Airflow's workers:

| Variable | |
|---|---|
| `AURA_PYTHON` | the python of the environment that Aura is installed in |
| `AURA_WORKSPACE` | folder for what the stages make, the same on all workers |
| `AURA_DATA` | folder of the recordings, where the form names none |
| `MLFLOW_TRACKING_URI` | tracking server; without it a file beside Aura's source |
| `AURA_DATABASE` | PostgreSQL; without it nothing is imported |
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

# Exit code of a stage that was asked for in a way it does not know, which no second try changes.
ASKED_WRONGLY = 2
# What train says of the version that it registered; pictures and pages come after it.
VERDICT = re.compile(r" version \S+ is the (champion|challenger): ")
# Of what a stage said, how much is kept beside the log.
N_LINES = 100
PARAMS = {
    "dataset": Param(
        "any",
        type="string",
        examples=["any", "bids", "synthetic", "teppe", "tusz15", "tusz20"],
        description="Which layouts are looked for: a name of conf/dataset",
    ),
    "name": Param(
        "",
        type="string",
        pattern=r"^(\w[\w.-]*)?$",
        description="dataset.name: each corpus has one of its own; empty is that of the dataset",
    ),
    "root": Param("", type="string", description="Folder of the recordings; empty is AURA_DATA"),
    "words": Param(
        "",
        type="string",
        description="Further words for all stages, as on a command line: windows.step_s=2 model.n_estimators=300",
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
        description="Name of the model in the registry; empty is that of the configuration, each corpus has its own",
    ),
    "promote": Param(
        True,
        type="boolean",
        description="Whether a better model becomes the champion; if not, it is registered as MODEL_NAME-candidate",
    ),
}


def environment(params: Mapping[str, Any]) -> dict[str, str]:
    """Environment of a stage: that of Airflow without what is Airflow's, and with the folder of the recordings."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "_AIRFLOW", "PYTHON"))}
    # Line by line, in the order in which it was said; progress bars now and then.
    own |= {"PYTHONUNBUFFERED": "1", "TQDM_MININTERVAL": "10"}
    own["AURA_DATA"] = params["root"] or own.get("AURA_DATA", "")
    for name in ("AURA_PYTHON", "AURA_WORKSPACE", "AURA_DATA"):
        if not Path(own.get(name, "")).is_absolute():
            also = " or the parameter root" if name == "AURA_DATA" else ""
            raise AirflowFailException(f"{name}{also} has to be an absolute path, and is {own.get(name, '')!r}")
    return own


def command(stage: str, own: Sequence[str], params: Mapping[str, Any], without: str | None) -> list[str]:
    """What runs a stage: the words of the form but for those of a group, then words of its own, which win."""
    try:
        words = shlex.split(params["words"])
    except ValueError as error:
        raise AirflowFailException(f"the parameter words cannot be split into words: {error}") from error
    kept = [word for word in words if re.split(r"[.=]", word.lstrip("+~"))[0] != without]
    name = [f"dataset.name={params['name']}"] if params["name"] else []
    # The folder by its variable: whatever signs are in it, and no log shows it.
    corpus = [f"dataset={params['dataset']}", *name, "dataset.root=${oc.env:AURA_DATA}"]
    # -P: a folder that Airflow happens to be in is no place to import from. What is behind -- can be no option.
    return [os.environ["AURA_PYTHON"], "-P", "-m", "aura", stage, "--", shlex.join([*corpus, *kept, *own])]


def run(stage: str, *own: str, params: Mapping[str, Any], without: str | None = None) -> list[str]:
    """Run a stage, with the words of the form and some of its own.

    Parameters
    ----------
    stage
        Name of the stage.
    own
        Words that the stage gets whatever the form says.
    params
        Of the form.
    without
        Group of which the stage gets no word of the form, where there is one.

    Returns
    -------
    list of str
        The last lines that it said.

    Raises
    ------
    AirflowFailException
        It was asked for in a way it does not know, or has registered a version: another try would not mend it, or
        register one more.
    AirflowException
        It could not do its work, or was interrupted.
    """
    env = environment(params)
    argv = command(stage, own, params, without)
    log.info("aura %s %s", stage, argv[-1])
    try:
        process = subprocess.Popen(
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
    said = deque[str](maxlen=N_LINES)
    registered = False
    with process:
        # Who ends the task ends the stage, which tidies up and exits by itself.
        before = signal.signal(signal.SIGTERM, lambda *_: process.terminate())
        try:
            assert process.stdout is not None
            for line in process.stdout:
                if text := line.rstrip():
                    log.info("%s", text)
                    said.append(text)
                    registered = registered or VERDICT.search(text) is not None
            code = process.wait()
        finally:
            signal.signal(signal.SIGTERM, before)
            # Airflow's own limit of time raises in the middle. Nothing happens to what has ended.
            process.terminate()
    if code == 0:
        return list(said)
    how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
    message = f"aura {stage} {how}: {said[-1] if said else 'it said nothing'}"
    raise AirflowFailException(message) if code == ASKED_WRONGLY or registered else AirflowException(message)


def naming(params: Mapping[str, Any]) -> list[str]:
    """Word that names the model in the registry; none where the form gives no name, as the configuration has one.

    What is not to be promoted has a name of its own, with a champion of its own.
    """
    if params["promote"]:
        return [f"tracking.model_name={params['model_name']}"] if params["model_name"] else []
    return [f"tracking.model_name={params['model_name'] or 'aura-seizure-detector-${dataset.name}'}-candidate"]


@task
def shares(*, params: Mapping[str, Any]) -> list[str]:
    """Shares of the recordings, of which each is a task."""
    return [f"{index}/{params['shares']}" for index in range(params["shares"])]


@task(map_index_template="{{ task.op_kwargs['share'] }}")
def share_of(stage: str, share: str, *, params: Mapping[str, Any]) -> None:
    """Do one share of the recordings; the tasks are what goes on at the same time."""
    run(stage, f"partition={share}", "compute=serial", params=params, without="compute")


@task
def tables_of(stage: str, *, params: Mapping[str, Any]) -> None:
    """Write the tables, when all shares are done."""
    run(stage, "partition=null", params=params)


@task
def train(*, params: Mapping[str, Any]) -> str:
    """Train, score and register a detector; gives what the registry decided."""
    said = run("train", "partition=null", *naming(params), params=params)
    return next((line for line in reversed(said) if VERDICT.search(line)), said[-1])


@task
def promotion(outcome: str, *, params: Mapping[str, Any]) -> None:
    """Say whether the registry has made it the champion, and why; skipped where it has not."""
    if not params["promote"]:
        raise AirflowSkipException(f"not to be promoted; {outcome}")
    verdict = VERDICT.search(outcome)
    if verdict is None or verdict[1] != "champion":
        raise AirflowSkipException(f"not promoted; {outcome}")
    log.info("promoted; %s", outcome)


# What the champion finds is imported as well, be it the new one or the one before.
@task(task_id="import", trigger_rule="none_failed")
def into_database(*, params: Mapping[str, Any]) -> None:
    """Import the recordings into PostgreSQL; skipped where nobody says into which."""
    if not os.environ.get("AURA_DATABASE"):
        raise AirflowSkipException("AURA_DATABASE is not set; nothing is imported")
    # Of this stage, model is an address; of the others, what is trained.
    champion = "model=models:/${tracking.model_name}@champion"
    run("import", "partition=null", *naming(params), champion, params=params, without="model")


@dag(
    dag_id="aura",
    schedule=None,
    start_date=datetime(2026, 1, 1),
    catchup=False,
    # Two at once would write the same files.
    max_active_runs=1,
    default_args={"retries": 2, "retry_delay": timedelta(seconds=30)},
    params=PARAMS,
    tags=["aura", "ecg"],
    doc_md=__doc__,
)
def aura() -> None:
    """Put them in a row."""
    parts = shares()
    outcome = train()
    chain(
        share_of.override(task_id="prepare_share").partial(stage="prepare").expand(share=parts),
        tables_of.override(task_id="prepare")("prepare"),
        share_of.override(task_id="featurize_share").partial(stage="featurize").expand(share=parts),
        tables_of.override(task_id="featurize")("featurize"),
        outcome,
        promotion(outcome),
        into_database(),
    )


aura()
