"""What `mlflow run` does: parameters, the experiment, wrong keys, and an address of git."""

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from time import monotonic, sleep

import mlflow
import pytest

from aura.core.paths import PROJECT
from tests.support.checkout import copy_checkout

pytestmark = [pytest.mark.integration, pytest.mark.slow]
WITHIN_S = 60


@pytest.fixture(params=["", "#projects/aura"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Serve the project, or a repository that has it in a folder, as a bare repository."""
    bare, repository = tmp_path / "served" / "aura.git", tmp_path / "copy"
    copy = copy_checkout(repository / request.param.removeprefix("#"))
    for name in ("MLproject", "conda.yaml"):
        shutil.copy(PROJECT / name, copy)
    who = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
    for words in (["init", "-b", "served"], ["add", "."], [*who, "commit", "-m", "test"]):
        subprocess.run(["git", *words], cwd=repository, check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["git", "clone", "--quiet", "--bare", repository, bare], check=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = ["git", "daemon", f"--base-path={bare.parent}", "--export-all", "--listen=127.0.0.1", f"--port={port}"]
    daemon = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        yield f"git://127.0.0.1:{port}/aura.git{request.param}"
    finally:
        daemon.terminate()
        daemon.wait()


def call(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Call `mlflow run` in a folder, without what this process has set."""
    env = {key: value for key, value in os.environ.items() if not key.startswith("MLFLOW_")}
    env["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{env['PATH']}"
    command = [sys.executable, "-m", "mlflow", "run", *words, "--env-manager", "local"]
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=300)


def test_a_git_address_works_where_it_is_called(address: str, tmp_path: Path) -> None:
    folder = tmp_path / "called"
    folder.mkdir()
    # `python -m aura` of the clone, with a parameter of MLproject and one that it does not declare.
    words = (address, "-v", "served", "-e", "synthesize", "-P", "root=corpus")
    small = ("subjects=2", "seizures_per_subject=1", "eeg_channels=1")
    done = call(folder, *words, *(word for key in small for word in ("-P", f"dataset.synthesis.{key}")))
    assert done.returncode == 0, done.stderr
    assert f"paths are relative to {folder}" in done.stdout
    assert list((folder / "corpus").rglob("*.edf"))

    refused = call(folder, address, "-v", "served", "-e", "prepare", "-P", "roots=corpus")
    assert refused.returncode == 1
    assert "aura prepare: there is no key roots;" in refused.stderr
    client = mlflow.MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
    # Neither the stage that logs nothing nor the wrong key leaves a run.
    deadline = monotonic() + WITHIN_S
    while client.search_runs(["0"]) and monotonic() < deadline:
        sleep(0.5)
    assert client.search_runs(["0"]) == []


def test_runs_are_logged_where_the_command_line_logs(address: str, tmp_path: Path) -> None:
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus" / "empty.edf").touch()
    done = call(tmp_path, address, "-v", "served", "-e", "prepare", "-P", "dataset=any", "-P", "root=corpus")
    # The only recording cannot be read, so the stage fails, and its run says why.
    assert done.returncode == 1, done.stdout
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("aura")
    assert experiment is not None, done.stderr
    (run,) = client.search_runs([experiment.experiment_id])
    assert (run.info.run_name, run.info.status) == ("prepare", "FAILED")
    assert "aura.error" in run.data.tags
