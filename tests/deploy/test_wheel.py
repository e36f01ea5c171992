"""The wheel holds all that the stages read, and runs them in an empty folder, without the checkout."""

import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from aura import __version__
from aura.core.paths import PROJECT
from tests.support.project import SMALL_CORPUS, SMALL_WORK

pytestmark = pytest.mark.integration

LOAD = """
import mlflow, numpy as np, pandas as pd
mlflow.set_tracking_uri("sqlite:///mlflow.db")
model = mlflow.pyfunc.load_model("models:/aura-seizure-detector-synthetic@champion")
import aura
print(aura.__file__)
print(len(model.predict(pd.DataFrame({"t_s": np.arange(1, 200) * 0.8, "rr_ms": np.full(199, 800.0)}))))
"""


@dataclass(frozen=True)
class Installation:
    """An environment with the wheel in it, and an empty folder to work in."""

    binaries: Path
    folder: Path

    def run(self, *command: str, **variables: str) -> str:
        hidden = ("PYTHONPATH", "MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME", "MLFLOW_EXPERIMENT_ID")
        env = {key: value for key, value in os.environ.items() if key not in hidden} | variables
        words = [str(self.binaries / command[0]), *command[1:]]
        done = subprocess.run(words, cwd=self.folder, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The wheel and the source distribution of this checkout."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "-d", str(folder)]
    subprocess.run(command, cwd=PROJECT, check=True, capture_output=True)
    (wheel,), (source,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    return wheel, source


@pytest.fixture(scope="module")
def installation(distributions: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """An environment that has the wheel from its file and the dependencies from the environment of the tests."""
    environment = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(environment)], check=True)
    python = environment / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*pip, str(distributions[0])], check=True)
    # A line of a .pth file adds a folder, but not what the .pth files in it add: the checkout stays out.
    (packages,) = environment.glob("lib/python*/site-packages")
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    return Installation(python.parent, tmp_path_factory.mktemp("empty"))


def files(*folders: str) -> set[str]:
    return {
        str(path.relative_to(PROJECT))
        for folder in folders
        for path in (PROJECT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_the_wheel_holds_every_file_that_a_stage_reads(distributions: tuple[Path, Path]) -> None:
    packed = set(zipfile.ZipFile(distributions[0]).namelist())
    assert distributions[0].name == f"aura_ecg-{__version__}-py3-none-any.whl"
    inside = {f"aura/{name}" for name in files("conf", "deploy/graphene")}
    experiments = {f"aura/conf/{name}" for name in files("experiments")}
    licence = f"aura_ecg-{__version__}.dist-info/licenses/LICENSE"
    assert packed >= files("aura") | inside | experiments | {licence}
    assert {name for name in packed if not name.startswith("aura/")} == {
        f"aura_ecg-{__version__}.dist-info/{name}"
        for name in ("METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE")
    }


def test_the_source_distribution_holds_the_checkout(distributions: tuple[Path, Path]) -> None:
    top = f"aura_ecg-{__version__}/"
    with tarfile.open(distributions[1]) as archive:
        packed = {name.removeprefix(top) for name in archive.getnames()}
    assert packed >= files("aura", "conf", "experiments", "deploy", "docs") | {"LICENSE", "README.md", "pyproject.toml"}


def test_an_installed_wheel_goes_from_edf_files_to_a_served_detector(installation: Installation, corpus: Path) -> None:
    assert installation.run("aura", "--version") == f"aura {__version__}\n"
    assert "prepare, featurize and train in a row" in installation.run("aura", "--help")
    words = [*SMALL_CORPUS, *SMALL_WORK, "compute=serial"]
    said = installation.run("aura", "main", *words, f"dataset.root={corpus}")
    assert "12 found, 12 prepared (12 now, 0 unchanged), 0 failed" in said
    assert "aura-seizure-detector-synthetic version 1 is the champion" in said
    # Beside each other in the folder where it was run, and nothing in the environment.
    assert {path.name for path in installation.folder.iterdir()} >= {"workspace", "mlflow.db", "mlruns"}
    edf = min(corpus.rglob("*.edf"))
    assert "in 1 recording of 0.2 h" in installation.run("aura", "detect", f"edf={edf}")
    assert (installation.folder / "detections" / f"{edf.stem}.tse_bi").exists()
    # The code that was copied into the model is complete: it answers a window each 4 s.
    code, answered = installation.run("python", "-c", LOAD, NUMBA_DISABLE_JIT="1").split()
    assert Path(code).is_relative_to(installation.folder / "mlruns")
    assert int(answered) == 39


def test_the_wheel_holds_the_experiments(installation: Installation) -> None:
    shown = installation.run("aura", "train", "experiments=baseline_heart_rate", "--cfg", "job")
    assert "question: What does a threshold on the heart rate of 10 s find?" in shown


def test_install_commands_name_the_distribution() -> None:
    """`aura` on PyPI is somebody else's."""
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    texts = [PROJECT / "README.md", *(PROJECT / name for name in files("aura", "conf", "docs", "deploy"))]
    named = [
        match
        for path in texts
        if path.suffix in (".md", ".py", ".yaml")
        for match in re.findall(r"pip install '?(aura[\w-]*)\[(\w+)\]", path.read_text(encoding="utf-8"))
    ]
    assert len(named) >= 8
    assert all(name == project["name"] and extra in project["optional-dependencies"] for name, extra in named), named
