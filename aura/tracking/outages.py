"""A tracking server that does not answer: how long a stage waits for it, and what it says then."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import mlflow
from mlflow.exceptions import MlflowException

from aura.core.errors import OutageError, without_credentials

# Each request waits half a minute for a server that restarts (refused connections); MLflow's default is four minutes.
# A server that accepts a request has a minute to answer, since it may be uploading a model to an object store.
RETRIES = "MLFLOW_HTTP_REQUEST_MAX_RETRIES"
os.environ.setdefault(RETRIES, "4")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "60")


@contextmanager
def explain_outages(*, is_nested: bool) -> Iterator[None]:
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


def place() -> str:
    """Return the address of the tracking server, without user and password."""
    return without_credentials(mlflow.get_tracking_uri())
