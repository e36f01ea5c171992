"""The images, built from nothing and really run: make test-containers, as root on Debian.

An engine of its own, see engine.sh, so that nothing of this machine's is touched but two ports of 127.0.0.1.
"""

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

import mlflow
import pandas as pd
import pytest

from aura.core.parquet import read_table
from aura.core.paths import PROJECT
from aura.demo import post
from tests.support.project import SMALL_CORPUS, SMALL_WORK, read_files

HERE = Path(__file__).parent
# Whose the recordings are; nobody else may read them.
USER = 4321
MODEL = "models:/aura-seizure-detector-synthetic@champion"
NODES = ("edf_databroker", "aura_data_process", "aura_ml_trainer")
# SIGTERM ends a stage within it, in seconds.
STOPPED_WITHIN_S = 5
WITHIN_S = 1200
WORDS = ("dataset=synthetic", *SMALL_CORPUS, *SMALL_WORK)


@dataclass(frozen=True)
class Engine:
    """A Docker engine, and the images of the project in it."""

    host: str

    @property
    def env(self) -> dict[str, str]:
        return {**os.environ, "DOCKER_HOST": self.host}

    def __call__(self, *words: str | Path, code: int = 0) -> str:
        """Run docker; gives what it said."""
        done = subprocess.run(
            ["docker", *map(str, words)], env=self.env, capture_output=True, text=True, timeout=WITHIN_S, check=False
        )
        assert done.returncode == code, done.stdout[-3000:] + done.stderr[-3000:]
        return done.stdout + done.stderr

    def build(self, target: str, tag: str, context: Path, *words: str) -> None:
        began_s = time.monotonic()
        self("build", "--quiet", "--target", target, "--tag", tag, *words, context)
        size_mb = int(self.inspect(tag, "{{.Size}}")) / 1e6
        print(f"{tag}: {size_mb:.0f} MB, built in {time.monotonic() - began_s:.0f} s")

    def inspect(self, container: str, template: str) -> str:
        return self("inspect", "--format", template, container).strip()


@pytest.fixture(scope="session")
def docker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """An engine with the images of all targets that need no model; that of DOCKER_HOST, where there is one."""
    folder = tmp_path_factory.mktemp("engine")
    command = ["unshare", "--mount", str(HERE / "engine.sh"), str(folder)]
    with ExitStack() as opened:
        host = os.environ.get("DOCKER_HOST")
        if not host:
            process = opened.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
            opened.callback(process.terminate)
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n", "no Docker engine; what it said is above"
            host = f"unix://{folder / 'sock'}"
        engine = Engine(host)
        engine.build("aura", "aura", PROJECT, "--build-arg", "REVISION=abc123")
        engine.build("mlflow", "aura-mlflow", PROJECT)
        for node in NODES:
            engine.build(node, node, PROJECT, "--build-arg", "REVISION=abc123")
        yield engine
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small corpus, of one user alone."""
    root = tmp_path_factory.mktemp("recordings")
    words = [sys.executable, "-m", "aura", "synthesize", *WORDS, f"dataset.root={root}"]
    subprocess.run(words, check=True, timeout=WITHIN_S)
    own(root)
    return root


def own(folder: Path) -> None:
    folder.chmod(0o700)
    for path in (folder, *folder.rglob("*")):
        os.chown(path, USER, USER)


@dataclass(frozen=True)
class Plain:
    """What the stages make without any container."""

    workspace: Path
    metrics: dict[str, str]


@pytest.fixture(scope="session")
def plain(recordings: Path, tmp_path_factory: pytest.TempPathFactory) -> Plain:
    folder = tmp_path_factory.mktemp("plain")
    env = {**os.environ, "MLFLOW_TRACKING_URI": f"sqlite:///{folder / 'mlflow.db'}"}
    env.pop("MLFLOW_EXPERIMENT_NAME")
    words = [*WORDS, f"dataset.root={recordings}", f"workspace={folder / 'workspace'}"]
    subprocess.run([sys.executable, "-m", "aura", "main", *words], env=env, check=True, timeout=WITHIN_S)
    return Plain(folder / "workspace", scores(env["MLFLOW_TRACKING_URI"]))


def scores(tracking_uri: str) -> dict[str, str]:
    """What the newest training measured, but for the machine and the clock; as text, in which nan is nan."""
    client = mlflow.MlflowClient(tracking_uri)
    experiment = client.get_experiment_by_name("aura")
    assert experiment is not None
    (run, *_) = client.search_runs([experiment.experiment_id], "tags.`aura.stage` = 'train'")
    assert run.info.status == "FINISHED"
    return {name: repr(value) for name, value in run.data.metrics.items() if not name.startswith("system/")}


def equal(workspace: Path, plain: Plain) -> None:
    """The same files, byte by byte, and tables that differ in the run that wrote them alone.

    The folders have other names, as the recordings are in another place.
    """
    for kind in ("prepared", "features"):
        (made,), (expected,) = (list(one.glob(f"synthetic/{kind}-*")) for one in (workspace, plain.workspace))
        assert read_files(made) == read_files(expected)
        assert len(read_files(made)) >= 12
        for table in ("recordings.parquet", "failures.parquet"):
            pd.testing.assert_frame_equal(read_table(made / table)[0], read_table(expected / table)[0])


def secured(*words: str | Path) -> list[str | Path]:
    """Docker's words for a container of the user's that may do nothing but what it is for."""
    user = ("--user", f"{USER}:{USER}")
    return ["--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL", "--init", *user, *words]


def stage(recordings: Path, workspace: Path, name: str, *words: str) -> list[str | Path]:
    mounts = ("--volume", f"{recordings}:/data:ro", "--volume", f"{workspace}:/workspace")
    return [*secured(*mounts), "aura", name, "dataset.root=/data", *WORDS, *words]


def test_an_image_says_what_it_is_and_its_user_is_not_root(docker: Engine) -> None:
    labels = json.loads(docker.inspect("aura", "{{json .Config.Labels}}"))
    assert labels["org.opencontainers.image.revision"] == "abc123"
    for image in ("aura", "aura-mlflow", *NODES):
        assert docker.inspect(image, "{{.Config.User}}") == "10001"
    assert "prepare" in docker("run", "--rm", "aura")
    # Nothing that was only needed to build, and no certificate of the machine.
    assert "pip.conf" not in docker("run", "--rm", "--entrypoint", "ls", "aura", "/src", "/opt/aura")


def test_a_stage_that_is_stopped_goes_on_and_makes_what_the_plain_one_makes(
    docker: Engine, recordings: Path, plain: Plain, tmp_path: Path
) -> None:
    """With SIGTERM in the middle of prepare; all files are the caller's."""
    own(tmp_path)
    container = docker("run", "--detach", *stage(recordings, tmp_path, "prepare", "compute.workers=2")).strip()
    deadline = time.monotonic() + WITHIN_S
    while not (done := list(tmp_path.glob("synthetic/prepared-*/rr/*.parquet"))):
        assert time.monotonic() < deadline
        assert docker.inspect(container, "{{.State.Running}}") == "true", docker("logs", container)
    began_s = time.monotonic()
    docker("stop", container)
    assert time.monotonic() - began_s < STOPPED_WITHIN_S
    assert docker.inspect(container, "{{.State.ExitCode}}") == str(128 + signal.SIGTERM)
    assert "aura prepare: stopped; run it again to go on where it was" in docker("logs", container)
    docker("rm", container)
    made = {path: path.stat().st_mtime_ns for path in done}
    assert not list(tmp_path.glob("synthetic/prepared-*/recordings.parquet"))

    for name in ("prepare", "featurize", "train"):
        print(docker("run", "--rm", *stage(recordings, tmp_path, name)))
    assert {path: path.stat().st_mtime_ns for path in made} == made
    equal(tmp_path, plain)
    assert scores(f"sqlite:///{tmp_path / 'mlflow.db'}") == plain.metrics
    assert {path.stat().st_uid for path in tmp_path.rglob("*")} == {USER}
    run = mlflow.MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}").search_runs(["1"])[0]
    assert run.data.tags["aura.git_commit"] == "abc123"


@dataclass(frozen=True)
class Compose:
    """The services of compose.yaml, as a project of their own."""

    docker: Engine
    env_file: Path

    def __call__(self, *words: str) -> str:
        v2 = subprocess.run(["docker", "compose", "version"], capture_output=True, check=False).returncode == 0
        command = ["docker", "compose"] if v2 else ["docker-compose"]
        done = subprocess.run(
            [*command, "--project-name", "auracheck", "--env-file", str(self.env_file), *words],
            cwd=PROJECT,
            env=self.docker.env,
            capture_output=True,
            text=True,
            timeout=WITHIN_S,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-5000:]
        return done.stdout


@pytest.fixture(scope="module")
def compose(docker: Engine, recordings: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Compose]:
    """What .env.example asks for, filled in."""
    filled = {"AURA_RECORDINGS": str(recordings), "AURA_WORDS": " ".join(WORDS), "AURA_USER": f"{USER}:{USER}"}
    lines = [line for line in (PROJECT / ".env.example").read_text().splitlines() if "=" in line and line[0] != "#"]
    values = dict(line.split("=", 1) for line in lines)
    values |= {name: "secret" for name in values if name.endswith("PASSWORD")} | filled
    file = tmp_path_factory.mktemp("compose") / "env"
    file.write_text("".join(f"{name}={value}\n" for name, value in values.items()))
    services = Compose(docker, file)
    try:
        yield services
    finally:
        services("--profile", "pipeline", "--profile", "serve", "down", "--volumes")


@pytest.fixture(scope="module")
def champion(compose: Compose) -> str:
    """One command for all of it; gives the address of the tracking server."""
    compose("--profile", "pipeline", "run", "--rm", "train")
    return "http://127.0.0.1:5000"


def test_the_pipeline_makes_what_the_plain_stages_make(
    docker: Engine, champion: str, plain: Plain, tmp_path: Path
) -> None:
    packed = subprocess.run(
        ["docker", "run", "--rm", "--volume", "auracheck_workspace:/w:ro", "--entrypoint", "tar", "aura", "-cC/w", "."],
        env=docker.env,
        capture_output=True,
        check=True,
    )
    with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as archive:
        archive.extractall(tmp_path, filter="data")
    equal(tmp_path, plain)
    assert scores(champion) == plain.metrics


def test_the_champion_is_served(compose: Compose, docker: Engine, champion: str, plain: Plain) -> None:
    compose("--profile", "serve", "up", "--detach", "serve")
    container = compose("--profile", "serve", "ps", "--quiet", "serve").strip()
    deadline = time.monotonic() + WITHIN_S
    while docker.inspect(container, "{{.State.Health.Status}}") != "healthy":
        assert time.monotonic() < deadline, docker("logs", container)
        time.sleep(0.5)
    rr = read_table(next(plain.workspace.glob("synthetic/prepared-*/rr/*.parquet")))[0][["t_s", "rr_ms"]]
    status, answer = post("http://127.0.0.1:5001/invocations", {"dataframe_split": rr.to_dict("split", index=False)})
    assert status == 200
    mlflow.set_tracking_uri(champion)
    expected = mlflow.pyfunc.load_model(MODEL).predict(rr)
    found = pd.DataFrame(answer["predictions"])
    numbers = [frame["probability"].to_numpy(dtype=float, na_value=float("nan")) for frame in (found, expected)]
    assert numbers[0] == pytest.approx(numbers[1], nan_ok=True)
    assert found["probability"].notna().any()
    address = docker.inspect(container, "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}")
    with urlopen(f"http://{address}:9101/metrics", timeout=10) as metrics:
        assert 'aura_requests_total{outcome="answered",reason=""} 1.0' in metrics.read().decode()
    # Another test has this port.
    compose("--profile", "serve", "stop", "serve")


def test_one_edf_becomes_one_events_tsv(docker: Engine, champion: str, recordings: Path, tmp_path: Path) -> None:
    """As the SzCORE benchmark calls it, with the model in the image."""
    context = tmp_path / "context"
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=PROJECT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, tracked.split("\0")):
        (context / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(PROJECT / name, context / name, follow_symlinks=False)
    mlflow.set_tracking_uri(champion)
    mlflow.artifacts.download_artifacts(MODEL, dst_path=str(context / "model"))
    docker.build("szcore", "aura-szcore", context, "--build-arg", "REVISION=abc123")
    edf = min(recordings.rglob("*.edf"))
    output = tmp_path / "output"
    output.mkdir()
    own(output)
    mounts = ("--volume", f"{recordings}:/data:ro", "--volume", f"{output}:/output")
    asked = ("--env", f"INPUT={edf.relative_to(recordings)}", "--env", "OUTPUT=events.tsv")
    docker("run", "--rm", "--network", "none", *secured(*mounts, *asked), "aura-szcore")
    words = ("detect", f"edf={edf}", f"model={context / 'model'}", f"output={tmp_path}", "detect.format=events_tsv")
    env = {**os.environ, "MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path / 'own.db'}"}
    done = [sys.executable, "-m", "aura", *words, f"workspace={tmp_path / 'workspace'}"]
    subprocess.run(done, env=env, check=True, timeout=WITHIN_S)
    (expected,) = tmp_path.glob("*.tsv")
    assert (output / "events.tsv").read_text() == expected.read_text()
    assert (output / "events.tsv").stat().st_uid == USER
    assert "INPUT" in docker("run", "--rm", *secured(*mounts), "aura-szcore", code=1)


def test_the_nodes_of_a_graphene_pipeline_train(docker: Engine, recordings: Path, plain: Plain, tmp_path: Path) -> None:
    shutil.copytree(recordings, tmp_path / "data")
    own(tmp_path)
    docker("network", "create", "graphene")
    try:
        _pass_on(docker, tmp_path)
    finally:
        docker("rm", "--force", *NODES)
        docker("network", "rm", "graphene")
    equal(tmp_path / "workspace", plain)
    assert scores(f"sqlite:///{tmp_path / 'mlflow.db'}") == plain.metrics


def _pass_on(docker: Engine, shared: Path) -> None:
    """Start the nodes, pass the messages, stop the nodes."""
    for node in NODES:
        mount = ("--volume", f"{shared}:/shared")
        docker(
            "run",
            "--detach",
            "--name",
            node,
            "--network",
            "graphene",
            *secured(*mount),
            node,
            *WORDS,
            "dataset.root=/shared/data",
        )
    hosts = [f"{node}:8061" for node in NODES]
    words = ("--entrypoint", "python3", "aura", "-m", "aura.integrations.graphene.orchestrator", "--hosts", *hosts)
    print(docker("run", "--rm", "--network", "graphene", *words))
    for node in NODES:
        began_s = time.monotonic()
        docker("stop", node)
        assert time.monotonic() - began_s < STOPPED_WITHIN_S


def test_the_tracking_server_keeps_its_runs_in_postgresql(
    docker: Engine, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    pgserver = pytest.importorskip("pgserver", reason="pgserver has no build for this Python; run it on 3.11 or 3.12")
    folder = tmp_path_factory.mktemp("postgresql")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
    server = pgserver.get_server(folder / "server")
    sockets = server.get_uri().split("host=")[1]
    try:
        store = ("--backend-store-uri", "postgresql+psycopg://postgres@/postgres?host=/sockets")
        mounts = ("--volume", f"{sockets}:/sockets", "--publish", "127.0.0.1:5002:5000")
        # The socket is for its own user alone.
        user = str(Path(sockets).stat().st_uid)
        read_only = (
            "--user",
            user,
            "--read-only",
            "--cap-drop",
            "ALL",
            "--tmpfs",
            "/tmp",
            "--tmpfs",
            "/mlflow:mode=1777",
        )
        kept = ("--artifacts-destination", "/mlflow/artifacts")
        container = docker("run", "--detach", *read_only, *mounts, "aura-mlflow", *store, *kept).strip()
        mlflow.set_tracking_uri("http://127.0.0.1:5002")
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "10")
        mlflow.set_experiment("anywhere")
        with mlflow.start_run() as run:
            mlflow.log_metric("answer", 42)
            mlflow.log_text("words", "words.txt")
        assert mlflow.get_run(run.info.run_id).data.metrics == {"answer": 42}
        assert mlflow.artifacts.load_text(f"{run.info.artifact_uri}/words.txt") == "words"
        docker("rm", "--force", container)
        assert server.psql("SELECT count(*) FROM runs").split()[2] == "1"
    finally:
        server.cleanup()


def test_the_serving_deployment_runs_under_podman(docker: Engine, tmp_path: Path) -> None:
    archive = tmp_path / "aura.tar"
    docker("save", "--output", archive, "aura")
    done = subprocess.run(
        [HERE / "kube_play.sh", archive], capture_output=True, text=True, timeout=WITHIN_S, check=False
    )
    print(done.stdout)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-5000:]
