"""The same tables wherever the work is done, and whoever is killed while it is."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import psutil
import pytest

from aura.cli import main
from aura.core.parquet import read_table
from aura.core.paths import PROJECT
from tests.support.project import Project

pytestmark = pytest.mark.integration

N_COPIES = 6


@pytest.fixture(scope="module")
def larger(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The recordings of the small corpus several times over, of as many subjects."""
    root = tmp_path_factory.mktemp("larger")
    for edf in sorted(corpus.rglob("*.edf")):
        for i in range(N_COPIES):
            session = root / f"subject{i}" / "s1"
            session.mkdir(parents=True, exist_ok=True)
            for suffix in (".edf", ".tse_bi"):
                (session / f"night_{edf.stem}{suffix}").hardlink_to(edf.with_suffix(suffix))
    return root


def words(root: Path, workspace: Path, *compute: str) -> list[str]:
    # The slower detector, so that there is time to kill.
    return ["dataset=any", f"dataset.root={root}", f"workspace={workspace}", "detector=neurokit", *compute]


def tables(workspace: Path) -> dict[str, tuple[pd.DataFrame, dict[str, object]]]:
    found = {path.relative_to(workspace).as_posix(): read_table(path) for path in workspace.rglob("*.parquet")}
    # The ids of the runs differ.
    return {name: (frame, {} if "recordings" in name else meta) for name, (frame, meta) in found.items()}


def assert_same(workspace: Path, expected: Path) -> None:
    ours, theirs = tables(workspace), tables(expected)
    assert ours.keys() == theirs.keys()
    for name, (frame, meta) in theirs.items():
        pd.testing.assert_frame_equal(ours[name][0], frame)
        assert ours[name][1] == meta


@pytest.fixture(scope="module")
def undisturbed(larger: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What prepare makes of it in one process."""
    workspace = tmp_path_factory.mktemp("undisturbed")
    assert main(["prepare", *words(larger, workspace, "compute=serial")]) == 0
    return workspace


COMPUTES = [("compute=processes", "compute.workers=2"), ("compute=dask", "compute.workers=2")]


@pytest.mark.parametrize("compute", COMPUTES, ids=["processes", "dask"])
def test_kill_9_of_a_worker_loses_nothing(
    compute: tuple[str, str], larger: Path, undisturbed: Path, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "aura", "prepare", *words(larger, tmp_path, *compute)]
    with subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        while not any(tmp_path.glob("any/prepared-*/rr/*.parquet")):
            assert process.poll() is None, "it ended before it could be disturbed"
            time.sleep(0.002)
        workers = [
            child
            for child in psutil.Process(process.pid).children(recursive=True)
            if any("spawn_main" in word for word in child.cmdline())
        ]
        busiest = max(workers, key=lambda child: sum(child.cpu_times()[:2]))
        os.kill(busiest.pid, signal.SIGKILL)
        assert len(list(tmp_path.glob("any/prepared-*/rr/*.parquet"))) < 12 * N_COPIES
        out, _ = process.communicate(timeout=180)
    assert process.returncode == 0, out
    assert len(list(tmp_path.glob("any/prepared-*/rr/*.parquet"))) == 12 * N_COPIES
    assert_same(tmp_path, undisturbed)


def test_kill_9_of_a_run_leaves_no_worker_behind(larger: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "aura", "prepare", *words(larger, tmp_path, "compute.workers=2")]
    with subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while not any(tmp_path.glob("any/prepared-*/rr/*.parquet")):
            assert process.poll() is None
            time.sleep(0.002)
        children = psutil.Process(process.pid).children(recursive=True)
        assert len(children) >= 2
        process.kill()
    _, alive = psutil.wait_procs(children, timeout=20)
    assert not alive


def test_dask_gives_the_same_features_and_the_same_forest(
    trained: Project, project: Project, run_of: Callable[[str], mlflow.entities.Run]
) -> None:
    on_dask = [word for word in project.overrides if word != "compute=serial"]
    assert main(["train", *on_dask, "compute=dask", "compute.workers=2"]) == 0
    on_cluster = run_of("train").data.metrics
    ours, theirs = tables(project.workspace), tables(trained.workspace)
    assert len(ours) == 2 * 12 + 4
    for name, (frame, meta) in ours.items():
        pd.testing.assert_frame_equal(frame, theirs[name][0])
        assert meta == theirs[name][1]
    assert trained.run("train") == 0
    here = run_of("train").data.metrics
    scores = [name for name in here if not name.startswith("system/")]
    # NaN where a score is of nothing, as where no alarm was raised.
    np.testing.assert_array_equal([on_cluster[name] for name in scores], [here[name] for name in scores])
