"""The process that ``mlflow run`` starts: the run that MLflow opened for it, and the folder it was called in."""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from time import sleep

from aura.core.paths import PROJECT

RUN_ID = "MLFLOW_RUN_ID"
# MLflow clones a git address into such a folder, which nobody looks at again.
CLONE = re.compile(r"tmp\w{8}")
# Between two looks at a run that is to end.
POLL_S = 0.5


def is_started_by_mlflow() -> bool:
    """Return whether ``mlflow run`` started this process."""
    return RUN_ID in os.environ


def work_where_called() -> Path | None:
    """Change to the folder in which ``mlflow run ADDRESS`` was called, and return it; None if the project is no clone.

    Otherwise the workspace and the detections would be lost in the clone, and the paths of the caller not be found.
    """
    temporary = Path(tempfile.gettempdir()).resolve()
    is_clone = PROJECT.is_relative_to(temporary) and CLONE.fullmatch(PROJECT.relative_to(temporary).parts[0])
    if not is_started_by_mlflow() or not is_clone:
        return None
    import psutil

    for process in psutil.Process().parents():
        folder = Path(process.cwd())
        if not folder.is_relative_to(temporary / PROJECT.relative_to(temporary).parts[0]):
            os.chdir(folder)
            return folder
    return None


def discard_run() -> None:
    """Delete the run that MLflow opened for this process, unless a stage has used it.

    ``mlflow run`` sets the status of the run after this process has ended, and fails if the run is deleted. So another
    process waits for that.
    """
    run_id = os.environ.pop(RUN_ID, None)
    if run_id is not None:
        null = subprocess.DEVNULL
        command = [sys.executable, "-m", __name__, run_id]
        subprocess.Popen(command, stdin=null, stdout=null, stderr=null, start_new_session=True)


def delete_ended_run(run_id: str) -> None:
    """Delete a run once its status is final."""
    import mlflow

    client = mlflow.MlflowClient()
    while client.get_run(run_id).info.status == "RUNNING":
        sleep(POLL_S)
    client.delete_run(run_id)


def move_run(experiment_id: str) -> None:
    """Replace the run that MLflow opened for this process by one in another experiment.

    The stage logs its parameters itself, and those of MLproject only once.
    """
    import mlflow

    client, run_id = mlflow.MlflowClient(), os.environ[RUN_ID]
    opened = client.get_run(run_id)
    moved = client.create_run(experiment_id, start_time=opened.info.start_time, tags=opened.data.tags)
    discard_run()
    os.environ[RUN_ID] = moved.info.run_id


if __name__ == "__main__":
    delete_ended_run(sys.argv[1])
