"""MLflow's commands and its loader use a registered version, as the docs say."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import mlflow
import numpy as np
import pytest

from aura.core.paths import PROJECT
from aura.detection.detector import SeizureDetector
from tests.support.documentation import commands
from tests.support.project import Project, read_rr

pytestmark = pytest.mark.integration

MODEL = "models:/aura-seizure-detector-synthetic@champion"
# Stands for Docker: keeps what it is given to build.
DOCKER = f"""#!{sys.executable}
import shutil, sys
from pathlib import Path

if sys.argv[1] == "build":
    shutil.copytree(".", Path(sys.argv[0]).with_name("built"))
    Path(sys.argv[0]).with_name("name").write_text(sys.argv[sys.argv.index("-t") + 1])
"""


def run_documented(command: str, folder: Path, word: str = MODEL, path: str = "") -> str:
    """Run an ``mlflow models`` command of the docs that holds a word in a folder, and return its output."""
    words = next(words for words in commands("mlflow", "models", command) if word in words)
    environment = {
        **os.environ,
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
        "PATH": f"{path}:{os.environ['PATH']}",
    }
    done = subprocess.run(
        [sys.executable, "-m", *words], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_predict_answers_csv_and_json_files_alike(trained: Project, tmp_path: Path) -> None:
    rr = read_rr(trained)[["t_s", "rr_ms"]]
    rr.to_csv(tmp_path / "intervals.csv", index=False)
    (tmp_path / "intervals.json").write_text(json.dumps({"dataframe_split": rr.to_dict("split", index=False)}))
    run_documented("predict", tmp_path, "csv")
    of_csv = json.loads((tmp_path / "probabilities.json").read_text())["predictions"]
    of_json = json.loads(run_documented("predict", tmp_path, "json"))["predictions"]
    expected = mlflow.pyfunc.load_model(MODEL).predict(rr)
    for rows in (of_csv, of_json):
        assert [row["t_s"] for row in rows] == expected["t_s"].tolist()
        got = np.array([row["probability"] for row in rows], dtype=np.float64)
        wanted = expected["probability"].to_numpy(dtype=np.float64, na_value=np.nan)
        assert np.allclose(got, wanted, rtol=1e-12, atol=0, equal_nan=True)


def test_the_input_example_is_answered_with_probabilities(trained: Project) -> None:
    model = mlflow.pyfunc.load_model(MODEL)
    answer = model.predict(model.input_example)
    assert list(answer.columns) == ["t_s", "probability", "reason"]
    assert answer["probability"].iloc[-1] >= 0


def test_a_dockerfile_is_generated_and_an_image_is_built_of_it(trained: Project, tmp_path: Path) -> None:
    run_documented("generate-dockerfile", tmp_path)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "docker").write_text(DOCKER)
    (tmp_path / "bin" / "docker").chmod(0o755)
    run_documented("build-docker", tmp_path, path=str(tmp_path / "bin"))
    generated, built = tmp_path / "image", tmp_path / "bin" / "built"
    assert (tmp_path / "bin" / "name").read_text() == "aura-detector"
    text = (generated / "Dockerfile").read_text()
    assert text == (built / "Dockerfile").read_text()
    assert "COPY model_dir /opt/ml/model\n" in text
    assert f"RUN pip install mlflow=={mlflow.__version__}\n" in text
    assert """C._serve('local')"]""" in text
    assert str(PROJECT) not in text
    for folder in (generated, built):
        model = folder / "model_dir"
        assert "scikit-learn==" in (model / "requirements.txt").read_text()
        assert list(model.glob("data/*/detector.json"))
        assert (model / "code" / "aura" / "serving" / "__init__.py").is_file()


def test_unwrapping_the_model_returns_the_detector(trained: Project, capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", (PROJECT / "docs/serving.md").read_text(), re.DOTALL)
    names: dict[str, object] = {}
    exec(code, names)
    detector = names["detector"]
    assert isinstance(detector, SeizureDetector)
    assert capsys.readouterr().out.startswith(f"{detector.threshold} Alarms(")
