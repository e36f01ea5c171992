"""The ten commands of the page for users of MLflow do what the page says, on a small corpus."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from aura.core.paths import PROJECT
from tests.support.checkout import copy_checkout
from tests.support.project import Project

pytestmark = [pytest.mark.integration, pytest.mark.slow]
PAGE = PROJECT / "docs" / "mlflow.md"
BLOCK = re.compile(r"```(bash|sh|python)\n(.*?)```", re.DOTALL)


def run_block(kind: str, code: str, small: list[str], folder: Path) -> "subprocess.CompletedProcess[str]":
    """Run a block of the page in a folder; commands that train get the words that make the corpus small."""
    own = {key: value for key, value in os.environ.items() if not key.startswith("MLFLOW_")}
    env = own | {"MLFLOW_TRACKING_URI": f"sqlite:///{folder / 'mlflow.db'}"}
    env["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{env['PATH']}"
    if code.startswith("mlflow run"):
        code = f"{code.strip()} -P overrides={shlex.quote(shlex.join(small))}"
    elif code.startswith("python -m aura train"):
        code = f"{code.strip()} {shlex.join(small)}"
    command = [sys.executable, "-W", "ignore", "-c", code] if kind == "python" else ["bash", "-ec", code]
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False, timeout=300)


def test_the_ten_commands_do_what_the_page_says(trained: Project, project: Project, tmp_path: Path) -> None:
    shutil.copytree(trained.workspace, project.workspace)
    checkout = copy_checkout(tmp_path / "checkout")
    for name in ("MLproject", "conda.yaml"):
        shutil.copy(PROJECT / name, checkout)
    left_out = ("model.n_estimators", "tracking.register")
    small = [word for word in project.overrides if not word.startswith(left_out)]
    blocks = BLOCK.findall(PAGE.read_text(encoding="utf-8"))
    done = [run_block(kind, code, small, checkout) for kind, code in blocks]
    train, again, mistyped, several, look, search, predict, unwrap, image, rollback = done
    codes = [one.returncode for one in done]
    assert codes == [0, 0, 1, 0, 0, 0, 0, 0, 0, 1], [one.stderr[-2000:] for one in done if one.returncode]

    assert "version 1 is the champion" in train.stdout
    assert "train: nothing is trained: run " in again.stdout
    assert "has the same settings, recordings and code; register=always trains again" in again.stdout
    assert "aura train: there is no key n_estimator; " in mistyped.stderr
    assert several.stdout.count("the best of these runs is registered at the end") >= 1
    assert re.search(
        r"training runs: http://127.0.0.1:5000/#/experiments/\d+/runs\?workflowType=machine_learning", look.stdout
    )
    assert "train · n_estimators 50" in search.stdout
    assert '"probability"' in predict.stdout
    assert "Alarms(" in unwrap.stdout
    assert (checkout / "image" / "Dockerfile").is_file()
    assert image.returncode == 0
    # The first champion has no predecessor.
    assert rollback.stderr.startswith("aura rollback: ")
