"""Shares of the work are the whole of it, and who is asked to end does so at once and goes on later."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import mlflow
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mlflow.entities import RunStatus

from aura.core.errors import AuraError
from aura.core.parquet import read_table
from aura.execution.shares import select_share
from tests.support.project import Project, read_files

pytestmark = pytest.mark.integration

WITHIN_S = 60


@given(st.lists(st.integers()), st.integers(1, 50))
def test_each_item_is_in_one_share(items: list[int], count: int) -> None:
    shares = [select_share(items, f"{index}/{count}") for index in range(count)]
    assert sorted(item for one in shares for item in one) == sorted(items)
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


@pytest.mark.parametrize("bad", ["4/4", "5/4", "0/0", "-1/4", "1", "1/", "a/b", "1/4/5", "0/1000000000"])
def test_an_invalid_share_is_refused(bad: str, project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(AuraError, match="allowed is INDEX/COUNT"):
        select_share("abc", bad)
    assert project.run("prepare", f"partition={bad}") == 2
    assert f"partition={bad} is not a share" in capsys.readouterr().err


def test_other_stages_refuse_a_share(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    assert project.run("train", "partition=0/2") == 2
    assert "aura train: partition is for prepare and featurize alone" in capsys.readouterr().err


# More shares than recordings: some have nothing to do.
@pytest.mark.parametrize("count", [3, 14])
def test_all_shares_together_give_the_files_of_the_whole(trained: Project, project: Project, count: int) -> None:
    for stage in ("prepare", "featurize"):
        for index in range(count):
            assert project.run(stage, f"partition={index}/{count}") == 0
        kind = {"prepare": "prepared", "featurize": "features"}[stage]
        assert not list(project.folder(kind).glob("*.parquet"))
        before = {path: path.stat().st_mtime_ns for path in project.folder(kind).rglob("*.parquet")}
        assert project.run(stage) == 0
        # It only writes the tables.
        assert before == {path: path.stat().st_mtime_ns for path in before}
        assert project.folder(kind).name == trained.folder(kind).name
        assert read_files(project.folder(kind)) == read_files(trained.folder(kind))
        for table in ("recordings.parquet", "failures.parquet"):
            made, expected = (read_table(one.folder(kind) / table)[0] for one in (project, trained))
            assert made.equals(expected)


def test_a_share_of_the_features_needs_the_tables(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    assert project.run("featurize", "partition=0/2") == 1
    assert "run prepare first, without partition" in capsys.readouterr().err


def command(project: Project, stage: str, *more: str) -> list[str]:
    return [sys.executable, "-m", "aura", stage, *project.overrides, *more]


def test_shares_can_start_at_the_same_time(project: Project, tmp_path: Path) -> None:
    """In processes that make the tracking database at once, as containers on one volume do."""
    # On a file of their own, in the experiment of the configuration.
    env = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    env["MLFLOW_TRACKING_URI"] = f"sqlite:///{tmp_path / 'new.db'}"
    shares = [
        subprocess.Popen(command(project, "prepare", f"partition={index}/3"), env=env, stderr=subprocess.PIPE)
        for index in range(3)
    ]
    for one in shares:
        _, said = one.communicate(timeout=WITHIN_S)
        assert one.returncode == 0, said
    with closing(sqlite3.connect(tmp_path / "new.db")) as connection:
        assert connection.execute("SELECT count(*) FROM runs WHERE status = 'FINISHED'").fetchone() == (3,)
    assert project.run("prepare") == 0
    assert len(read_table(project.folder("prepared") / "recordings.parquet")[0]) == 12


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_stage_ended_by_sigterm_continues_later(
    number: signal.Signals, code: int, project: Project, trained: Project
) -> None:
    """With processes of its own, which end as well."""
    shared = [word for word in project.overrides if not word.startswith("compute")]
    words = [sys.executable, "-m", "aura", "prepare", *shared, "compute.workers=2"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as stage:
        deadline = time.monotonic() + WITHIN_S
        while not list(project.workspace.glob("synthetic/prepared-*/rr/*.parquet")):
            assert time.monotonic() < deadline
            assert stage.poll() is None
            time.sleep(0.002)
        stage.send_signal(number)
        # Waits until all that write there have ended, so also the workers.
        _, said = stage.communicate(timeout=WITHIN_S)
    assert stage.returncode == code, said
    assert said.splitlines()[-1] == "aura prepare: stopped; run it again to go on where it was"
    folder = project.folder("prepared")
    assert not (folder / "recordings.parquet").exists()
    done = {path: path.stat().st_mtime_ns for path in folder.rglob("rr/*.parquet")}
    assert 0 < len(done) < 12
    (run,) = mlflow.search_runs(
        experiment_names=["tests"],
        filter_string="tags.`aura.stage` = 'prepare'",
        order_by=["attributes.start_time DESC"],
        max_results=1,
        output_format="list",
    )
    assert run.info.status == RunStatus.to_string(RunStatus.KILLED)
    assert project.run("prepare") == 0
    assert all(path.stat().st_mtime_ns == made for path, made in done.items())
    assert read_files(folder) == read_files(trained.folder("prepared"))
