"""Fixtures that tests of several packages share."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from tests.support.project import Project

if TYPE_CHECKING:
    import mlflow

# The first example of a test imports libraries, and the machine may be busy.
settings.register_profile("aura", deadline=None)
settings.load_profile("aura")

# A shell that starts the tests in the background ignores Ctrl-C for them, and for the stages that they start.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def public_path() -> Iterator[Path]:
    """A folder that any user of this machine may enter; pytest closes its own whenever another pytest starts."""
    with TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.fixture(scope="session")
def tracking_uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Address of the tests' own tracking database."""
    import mlflow

    folder = tmp_path_factory.mktemp("tracking")
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    patch = pytest.MonkeyPatch()
    patch.setenv("MLFLOW_TRACKING_URI", uri)
    # By default the artifacts of a new experiment go below the working directory.
    mlflow.set_tracking_uri(uri)
    mlflow.create_experiment("tests", artifact_location=(folder / "artifacts").as_uri())
    patch.setenv("MLFLOW_EXPERIMENT_NAME", "tests")
    return uri


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small synthetic corpus."""
    root = tmp_path_factory.mktemp("corpus")
    assert Project(root, root / "workspace").run("synthesize") == 0
    return root


@pytest.fixture(scope="session")
def trained(tracking_uri: str, corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """The small corpus after prepare, featurize and train; not to be changed."""
    project = Project(corpus, tmp_path_factory.mktemp("trained"))
    for stage in ("prepare", "featurize", "train"):
        assert project.run(stage) == 0
    yield project
    # A test that left a second folder would have changed what later tests read.
    for kind in ("prepared", "features"):
        project.folder(kind)


@pytest.fixture
def project(tracking_uri: str, corpus: Path, tmp_path: Path) -> Project:
    """The small corpus with nothing done yet."""
    return Project(corpus, tmp_path / "workspace")


@pytest.fixture
def run_of(tracking_uri: str) -> Callable[[str], "mlflow.entities.Run"]:
    """Return the newest run of a stage."""
    import mlflow

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
    """Address of the tests' own PostgreSQL server."""
    reason = "pgserver has no build for this Python; run the tests on 3.11 or 3.12"
    pgserver = pytest.importorskip("pgserver", reason=reason)
    # Without this variable pgserver warns about the place of its sockets.
    os.environ.setdefault("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("run")))
    server = pgserver.get_server(tmp_path_factory.mktemp("postgresql"))
    yield server.get_uri()
    server.cleanup()


@pytest.fixture
def database(postgresql_server: str) -> str:
    """Address of an empty database."""
    from tests.support.postgresql import new_database

    return new_database(postgresql_server)
