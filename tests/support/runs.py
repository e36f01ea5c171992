"""Runs in the tracking database of the tests."""

from collections.abc import Callable

import mlflow

# Returns the newest run of a stage.
RunOf = Callable[[str], mlflow.entities.Run]


def artifacts(run_id: str, path: str = "") -> set[str]:
    """The paths of a run's artifacts, below a path."""
    entries = mlflow.MlflowClient().list_artifacts(run_id, path or None)
    return {entry.path for entry in entries if not entry.is_dir}.union(
        *(artifacts(run_id, entry.path) for entry in entries if entry.is_dir)
    )
