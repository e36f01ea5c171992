"""The DAG in a real Airflow, from nothing: make test-airflow, which names Airflow's environment in AURA_AIRFLOW.

`airflow dags test` runs a DAG without a scheduler, one task after the other, against a database of its own.
"""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest

from aura.core.paths import PROJECT
from tests.support.project import SMALL_CORPUS, SMALL_WORK

WITHIN_S = 900
SHARES = 3
TASKS = ("shares", "prepare", "featurize", "train", "promotion", "import")
SHARED = ("prepare_share", "featurize_share")
NAME = "aura-seizure-detector-synthetic"


@dataclass(frozen=True)
class Place:
    """An Airflow with its database, and where the stages find and leave what is theirs."""

    folder: Path
    env: dict[str, str]

    def start(self, *words: str, **more: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [f"{os.environ['AURA_AIRFLOW']}/bin/airflow", *words],
            env={**self.env, **more},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, *words: str, **more: str) -> tuple[int, str]:
        """Exit code, and all that was said."""
        with self.start(*words, **more) as airflow:
            said, _ = airflow.communicate(timeout=WITHIN_S)
        return airflow.returncode, said

    def tasks(self) -> dict[tuple[str, int], tuple[str, int]]:
        """State of each task of the last run, by its name and number, and how often it was tried."""
        return {
            (task, index): (state, tries)
            for task, index, state, tries in self.query(
                "SELECT task_id, map_index, state, try_number FROM task_instance WHERE run_id = "
                "(SELECT run_id FROM dag_run ORDER BY id DESC LIMIT 1)"
            )
        }

    def query(self, sql: str, file: str = "airflow/airflow.db") -> list[Any]:
        with closing(sqlite3.connect(self.folder / file)) as connection:
            return connection.execute(sql).fetchall()

    def aliases(self) -> dict[tuple[str, str], int]:
        """Which version of which model has which alias."""
        found = self.query("SELECT name, alias, version FROM registered_model_aliases", "mlflow.db")
        return {(name, alias): int(version) for name, alias, version in found}


def form(**values: object) -> str:
    """What somebody fills in."""
    return json.dumps(
        {"dataset": "synthetic", "shares": SHARES, "words": " ".join((*SMALL_CORPUS, *SMALL_WORK)), **values}
    )


def states(done: str = "success", **others: str) -> dict[tuple[str, int], str]:
    """A state of all tasks, and of some another."""
    found = {(name, -1): others.get(name, done) for name in TASKS}
    return found | {(name, index): done for name in SHARED for index in range(SHARES)}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    folder = tmp_path_factory.mktemp("airflow")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "AURA", "MLFLOW"))}
    airflow = {
        "AIRFLOW_HOME": str(folder / "airflow"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(PROJECT / "deploy" / "airflow" / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "false",
        # What Aura's environment is not to see.
        "PYTHONPATH": str(folder / "airflow"),
    }
    aura = {
        "AURA_PYTHON": sys.executable,
        "AURA_WORKSPACE": str(folder / "workspace"),
        "AURA_DATA": str(folder / "our data"),
        "MLFLOW_TRACKING_URI": f"sqlite:///{folder / 'mlflow.db'}",
    }
    made = Place(folder, kept | airflow | aura)
    words = [*SMALL_CORPUS, f"dataset.root='{folder / 'our data'}'", "compute=serial"]
    subprocess.run([sys.executable, "-m", "aura", "synthesize", *words], check=True, timeout=WITHIN_S)
    assert made.run("db", "migrate")[0] == 0
    return made


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    pgserver = pytest.importorskip("pgserver", reason="pgserver has no build for this Python; run it on 3.11 or 3.12")
    server = pgserver.get_server(tmp_path_factory.mktemp("postgresql"))
    yield server.get_uri()
    server.cleanup()


def stage_at_work(airflow: "subprocess.Popen[str]", place: Place) -> tuple[psutil.Process, dict[Path, int]]:
    """Wait until a share of prepare has left its first file; gives its process, and when that was written."""
    deadline = time.monotonic() + WITHIN_S
    while not (files := list(place.folder.glob("workspace/synthetic/prepared-*/rr/*.parquet"))):
        assert airflow.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.002)
    (stage,) = (one for one in psutil.Process(airflow.pid).children(recursive=True) if "prepare" in one.cmdline())
    return stage, {path: path.stat().st_mtime_ns for path in files}


def test_the_dag_is_found_without_an_error(place: Place) -> None:
    assert place.run("dags", "reserialize")[0] == 0
    code, said = place.run("dags", "list", "--output", "json")
    assert code == 0, said
    assert '"dag_id": "aura"' in said
    assert "No data found" in place.run("dags", "list-import-errors")[1]


def test_all_of_it_from_nothing_with_an_interruption(place: Place, database: str) -> None:
    with place.start("dags", "test", "aura", "--conf", form(), AURA_DATABASE=database) as airflow:
        stage, done = stage_at_work(airflow, place)
        airflow.send_signal(signal.SIGTERM)
        asked_s = time.monotonic()
        stage.wait(timeout=WITHIN_S)
        assert time.monotonic() - asked_s < 5
        said, _ = airflow.communicate(timeout=WITHIN_S)
    assert airflow.returncode == 0, said
    assert "ended with exit code 143: aura prepare: stopped; run it again to go on where it was" in said
    assert done == {path: path.stat().st_mtime_ns for path in done}
    tasks = place.tasks()
    assert {key: state for key, (state, _) in tasks.items()} == states()
    assert sorted(tries for (name, _), (_, tries) in tasks.items() if name == "prepare_share") == [1, 1, 2]
    assert f"promoted; {NAME} version 1 is the champion: there was no champion" in said
    assert place.aliases() == {(NAME, "champion"): 1}
    with psycopg.connect(database) as connection:
        assert connection.execute("SELECT count(*) FROM recording").fetchone() == (12,)
        assert connection.execute("SELECT count(DISTINCT recording_id) FROM prediction").fetchone() == (12,)


def test_the_gate_says_why_a_version_is_not_promoted_and_nothing_is_done_twice(place: Place) -> None:
    code, said = place.run("dags", "test", "aura", "--conf", form())
    assert code == 0, said
    assert {key: state for key, (state, _) in place.tasks().items()} == states(
        promotion="skipped", **{"import": "skipped"}
    )
    assert f"not promoted; {NAME} version 2 is the challenger: " in said
    assert "AURA_DATABASE is not set; nothing is imported" in said
    assert said.count("0 recordings now") == SHARES + 1
    assert place.aliases() == {(NAME, "champion"): 1, (NAME, "challenger"): 2}


def test_what_is_asked_wrongly_fails_at_once(place: Place) -> None:
    code, said = place.run("dags", "test", "aura", "--conf", form(words="windows.no_such=1"))
    assert code == 1
    assert "DagRun failed" in said
    assert (
        "AirflowFailException: aura prepare ended with exit code 2: aura prepare: there is no key windows.no_such"
        in said
    )
    tasks = place.tasks()
    assert [tasks["prepare_share", index] for index in range(SHARES)] == [("failed", 1)] * SHARES
    later = [state for (name, _), (state, _) in tasks.items() if name not in ("shares", "prepare_share")]
    assert later == ["upstream_failed"] * 6


def test_what_could_not_be_done_is_tried_again_and_fails_with_what_the_stage_said(place: Place) -> None:
    code, said = place.run(
        "dags", "test", "aura", "--conf", form(dataset="any", shares=1, words="", root=str(place.folder / "workspace"))
    )
    assert code == 1
    assert (
        said.count("ended with exit code 1: aura prepare: dataset.root, the folder 'workspace', holds no .edf file")
        == 3
    )
    assert place.tasks()["prepare_share", 0] == ("failed", 3)
