"""A tiny corpus, and what the stages make of it, once for all tests."""

import os
import signal
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import mlflow
import psycopg
import pytest
from hypothesis import settings

from aura.cli import main

# The first example of a test imports libraries; a machine can be busy.
settings.register_profile("aura", deadline=None)
settings.load_profile("aura")

# A shell that starts the tests in the background has Ctrl-C ignored, also by the stages that they start.
signal.signal(signal.SIGINT, signal.default_int_handler)

# 6 subjects, 12 recordings of 15 min, a window every 4 s, and a forest of 20 trees: seconds, not minutes.
SMALL_CORPUS = (
    "dataset.synthesis.subjects=6",
    "dataset.synthesis.hours_per_subject=0.5",
    "dataset.synthesis.recording_minutes=15",
    "dataset.synthesis.eeg_channels=2",
)
SMALL_WORK = ("features=original", "windows.step_s=4", "model.n_estimators=20", "train.folds=2")


@dataclass(frozen=True)
class Project:
    """Where the small corpus is, where the work is kept, and the words that say so to a stage."""

    corpus: Path
    workspace: Path

    @property
    def overrides(self) -> list[str]:
        places = [f"dataset.root={self.corpus}", f"workspace={self.workspace}", "compute=serial"]
        return [*SMALL_CORPUS, *SMALL_WORK, *places]

    def run(self, stage: str, *more: str) -> int:
        return main([stage, *self.overrides, *more])

    def folder(self, kind: str) -> Path:
        """The one folder of prepared recordings or of features."""
        (folder,) = (self.workspace / "synthetic").glob(f"{kind}-*")
        return folder


@pytest.fixture
def public_path() -> Iterator[Path]:
    """A folder that any user of this machine may enter; pytest closes its own whenever another pytest starts."""
    with TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.fixture(scope="session", autouse=True)
def tracking_uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A tracking database of the tests' own."""
    folder = tmp_path_factory.mktemp("tracking")
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    patch = pytest.MonkeyPatch()
    patch.setenv("MLFLOW_TRACKING_URI", uri)
    # Artifacts of a new experiment go below the working directory.
    mlflow.set_tracking_uri(uri)
    mlflow.create_experiment("tests", artifact_location=(folder / "artifacts").as_uri())
    patch.setenv("MLFLOW_EXPERIMENT_NAME", "tests")
    return uri


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small synthetic corpus."""
    root = tmp_path_factory.mktemp("corpus")
    assert main(["synthesize", *SMALL_CORPUS, f"dataset.root={root}", "compute=serial"]) == 0
    return root


@pytest.fixture(scope="session")
def trained(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """The small corpus after prepare, featurize and train; not to be changed."""
    project = Project(corpus, tmp_path_factory.mktemp("trained"))
    for stage in ("prepare", "featurize", "train"):
        assert project.run(stage) == 0
    yield project
    # Other tests would find them or not, depending on which came first.
    for kind in ("prepared", "features"):
        project.folder(kind)


@pytest.fixture
def project(corpus: Path, tmp_path: Path) -> Project:
    """The small corpus with nothing done yet."""
    return Project(corpus, tmp_path / "workspace")


@pytest.fixture
def run_of() -> Callable[[str], mlflow.entities.Run]:
    """Give the newest run of a stage."""

    def newest(stage: str) -> mlflow.entities.Run:
        runs = mlflow.search_runs(
            experiment_names=["tests"],
            filter_string=f"tags.`aura.stage` = '{stage}'",
            order_by=["attributes.start_time DESC"],
            max_results=1,
            output_format="list",
        )
        return runs[0]

    return newest


@pytest.fixture(scope="session")
def postgresql_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a PostgreSQL server of the tests' own."""
    reason = "pgserver has no build for this Python; run the tests on 3.11 or 3.12"
    pgserver = pytest.importorskip("pgserver", reason=reason)
    # It writes its sockets there, and warns where nobody says so.
    os.environ.setdefault("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("run")))
    server = pgserver.get_server(tmp_path_factory.mktemp("postgresql"))
    yield server.get_uri()
    server.cleanup()


@pytest.fixture
def database(postgresql_server: str) -> str:
    """Address of an empty database."""
    return new_database(postgresql_server)


def new_database(server: str) -> str:
    """Make an empty database on a server."""
    name = f"t{uuid.uuid4().hex}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    return server.replace("/postgres?", f"/{name}?")
