"""The tracking server and experiment of a process, for workers of a cluster that log child runs of its run."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import mlflow

from aura.tracking import project, runs


def find_server() -> dict[str, str]:
    """Return the variables by which another process finds the tracking server and experiment of the active run."""
    experiment = mlflow.get_experiment(mlflow.get_run(runs.active_id()).info.experiment_id)
    return {"MLFLOW_TRACKING_URI": mlflow.get_tracking_uri(), "MLFLOW_EXPERIMENT_NAME": experiment.name}


@contextmanager
def logging_to(server: Mapping[str, str]) -> Iterator[None]:
    """Let runs that this process opens be logged to a server that `find_server` found.

    A worker that ``mlflow run`` started with its parent must not adopt the run of the parent.
    """
    names = (*server, project.RUN_ID)
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(server)
    os.environ.pop(project.RUN_ID, None)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
