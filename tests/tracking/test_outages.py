"""A tracking server that is gone, and runs whose process is gone."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import mlflow
import pytest

from aura.config.compose import compose
from aura.core.errors import OutageError
from aura.tracking import logs, registry, runs
from aura.tracking.open_runs import lock_run, runs_folder, settle_dead
from tests.support.project import Project

pytestmark = pytest.mark.integration

OPEN_AND_WAIT = """
import sys, time
from aura.tracking import runs
from aura.config.compose import compose
config = compose(sys.argv[1:])
with runs.stage_run("main", config) as outer, runs.stage_run("train", config) as inner:
    print(outer.info.run_id, inner.info.run_id, flush=True)
    time.sleep(600)
"""


@pytest.fixture
def gone(monkeypatch: pytest.MonkeyPatch) -> str:
    """Address of a tracking server that has ended; waiting for it is cut short, as the tests below count attempts."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        uri = f"http://127.0.0.1:{free.getsockname()[1]}"
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "0")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_JITTER", "0")
    return uri


def test_waiting_for_a_server_takes_half_a_minute_by_default() -> None:
    code = "from aura.tracking import runs; from mlflow.environment_variables import {0}; print({0}.get())"
    command = [sys.executable, "-c", code.format("MLFLOW_HTTP_REQUEST_MAX_RETRIES")]
    kept = {key: value for key, value in os.environ.items() if not key.startswith("MLFLOW_HTTP")}
    # urllib3 waits 0, 4, 8 and 16 s between these, plus up to a second each; refused connections take no time.
    assert subprocess.run(command, env=kept, capture_output=True, check=True).stdout == b"4\n"
    theirs = kept | {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "9"}
    assert subprocess.run(command, env=theirs, capture_output=True, check=True).stdout == b"9\n"


def leave(uri: str) -> None:
    """Have the server gone, as far as this process can tell, and log something."""
    mlflow.set_tracking_uri(uri)
    logs.log_metrics({"roc_auc": 0.5})


def test_a_stage_waits_once_for_a_server_that_dies(
    trained: Project, gone: str, tracking_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The request of the stage is repeated; the ends of its run and of the run around it are tried once."""
    config, retries = compose(trained.overrides), os.environ[runs.RETRIES]
    allowed: list[str] = []
    request = mlflow.utils.rest_utils._get_http_response_with_retries

    def counted(method: str, url: str, max_retries: int, *more: object, **named: object) -> object:
        allowed.append(f"{max_retries} for {url.rpartition('/')[2]}")
        return request(method, url, max_retries, *more, **named)

    monkeypatch.setattr(mlflow.utils.rest_utils, "_get_http_response_with_retries", counted)
    try:
        with (
            pytest.raises(OutageError, match=f"MLflow at {gone} does not answer; run the stage again when it does"),
            runs.stage_run("main", config),
            runs.stage_run("train", config) as active,
        ):
            leave(gone)
    finally:
        mlflow.set_tracking_uri(tracking_uri)
    assert allowed[0] == f"{retries} for log-batch"
    assert all(one.startswith("0 for ") for one in allowed[1:])
    assert os.environ[runs.RETRIES] == retries
    # Nobody could say so at the time; the next stage does.
    with runs.stage_run("check", config):
        assert mlflow.get_run(active.info.run_id).info.status == "KILLED"


def test_an_unreachable_server_is_not_reported_as_a_missing_model(gone: str, tracking_uri: str) -> None:
    mlflow.set_tracking_uri(gone)
    try:
        with pytest.raises(OutageError, match="does not answer"):
            registry.load("models:/aura-seizure-detector@champion")
    finally:
        mlflow.set_tracking_uri(tracking_uri)


def status(run_id: str) -> str:
    return str(mlflow.get_run(run_id).info.status)


def test_the_next_stage_marks_runs_of_killed_processes_and_no_active_ones(tracking_uri: str, tmp_path: Path) -> None:
    words = [f"workspace={tmp_path}"]
    processes = [
        subprocess.Popen([sys.executable, "-c", OPEN_AND_WAIT, *words], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    try:
        killed, alive = ([*process.stdout.readline().split()] for process in processes if process.stdout)
        processes[0].send_signal(signal.SIGKILL)
        processes[0].wait()
        # In a folder of another machine nobody here knows who is alive.
        elsewhere = mlflow.MlflowClient().create_run(mlflow.get_run(killed[0]).info.experiment_id).info.run_id
        foreign = runs_folder(tmp_path).with_name("another-machine") / f"{elsewhere}.run"
        foreign.parent.mkdir()
        foreign.touch()
        with runs.stage_run("check", compose(words)):
            assert [status(run_id) for run_id in killed] == ["KILLED", "KILLED"]
            assert [status(run_id) for run_id in alive] == ["RUNNING", "RUNNING"]
            assert status(elsewhere) == "RUNNING"
        left = {path.stem for path in runs_folder(tmp_path).iterdir()}
        assert left == set(alive)
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def test_an_ended_run_leaves_no_lock_and_a_failed_one_keeps_its_status(tracking_uri: str, tmp_path: Path) -> None:
    config = compose([f"workspace={tmp_path}"])
    with runs.stage_run("check", config):
        pass
    assert not list(runs_folder(tmp_path).iterdir())
    with pytest.raises(ValueError, match="broken"), runs.stage_run("check", config) as failed:
        raise ValueError("broken")
    with runs.stage_run("check", config):
        assert status(failed.info.run_id) == "FAILED"
    assert not list(runs_folder(tmp_path).iterdir())


def test_a_run_of_another_tracking_server_is_left_to_it(tracking_uri: str, tmp_path: Path) -> None:
    (tmp_path / "0123.run").touch()
    settle_dead(tmp_path, runs._mark_killed)
    assert (tmp_path / "0123.run").exists()


def test_a_read_only_workspace_costs_only_the_lock(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    began = time.monotonic()
    with lock_run(tmp_path / "file" / "below", "0123"):
        assert time.monotonic() - began < 5
