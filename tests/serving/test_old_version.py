"""A version that was registered by an earlier state of the code still answers, and can still be used.

``tests/data/detector_2dc9714.zip`` is the model folder that the state 2dc9714 of this repository logged, with its
code in it, and what it answered then.
"""

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest

from aura.cli import main
from aura.demo import post, serve_model
from aura.serving.pyfunc import Pyfunc
from aura.tracking.registry import load
from tests.support.project import Project
from tests.support.real_ecg import write_real

pytestmark = pytest.mark.integration

OLD = Path(__file__).parents[1] / "data" / "detector_2dc9714.zip"


@pytest.fixture
def registered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tracking_uri: str) -> Iterator[str]:
    """Its address in a registry of this test."""
    with zipfile.ZipFile(OLD) as archive:
        archive.extractall(tmp_path / "model")
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    mlflow.set_tracking_uri(uri)
    client = mlflow.MlflowClient()
    client.create_registered_model("old")
    client.create_model_version("old", (tmp_path / "model").as_uri())
    yield "models:/old/1"
    mlflow.set_tracking_uri(tracking_uri)


def test_an_old_version_is_served_with_its_old_answers(registered: str, tmp_path: Path) -> None:
    """In a process of its own, where its code is the one that is loaded."""
    code = f"""
import json, mlflow, pandas as pd
model = mlflow.pyfunc.load_model({registered!r})
known = json.load(open({str(tmp_path / "model" / "answers.json")!r}))
answer = model.predict(pd.DataFrame({{"t_s": known["t_s"], "rr_ms": known["rr_ms"]}}))
import aura
assert "answers.json" in str(list(__import__("pathlib").Path(aura.__file__).parents[2].iterdir())), aura.__file__
print(answer.to_json())
"""
    # Not from the checkout, whose code would come first.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout.splitlines()[-1])
    known = json.loads((tmp_path / "model" / "answers.json").read_text())
    got = np.array(list(answer["probability"].values()), dtype=np.float64)
    assert np.allclose(got, np.array(known["probability"], dtype=np.float64), rtol=1e-9, equal_nan=True)


def test_an_old_version_is_loaded_by_current_code(registered: str, tmp_path: Path) -> None:
    loaded = load(registered)
    # It kept nothing of its training but its run and its day.
    assert loaded.name == "old version 1"
    assert (loaded.provenance.origin.corpus, loaded.provenance.origin.synthetic) == ("", None)
    assert loaded.provenance.origin.date == "2026-11-25"
    detector = loaded.detector
    known = json.loads((tmp_path / "model" / "answers.json").read_text())
    answer = Pyfunc(detector).predict(pd.DataFrame({"t_s": known["t_s"], "rr_ms": known["rr_ms"]}))
    got = answer["probability"].to_numpy(dtype=np.float64, na_value=np.nan)
    assert np.allclose(got, np.array(known["probability"], dtype=np.float64), rtol=1e-9, equal_nan=True)
    write_real(tmp_path / "a.edf")
    words = [f"edf={tmp_path / 'a.edf'}", f"model={registered}", f"output={tmp_path}", f"workspace={tmp_path / 'w'}"]
    assert main(["detect", *words, "compute=serial"]) == 0
    assert (tmp_path / "a.tse_bi").is_file()


def test_an_old_version_is_served_over_http(registered: str, tmp_path: Path) -> None:
    known = json.loads((tmp_path / "model" / "answers.json").read_text())
    with serve_model(registered) as url:
        status, answer = post(url, {"inputs": {"t_s": known["t_s"], "rr_ms": known["rr_ms"]}})
    assert status == 200, answer
    got = np.array([row["probability"] for row in answer["predictions"]], dtype=np.float64)
    assert np.allclose(got, np.array(known["probability"], dtype=np.float64), rtol=1e-9, equal_nan=True)


def test_an_old_version_is_evaluated_and_new_versions_are_compared_with_it(
    registered: str, trained: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    assert trained.run("evaluate", f"model={registered}") == 0
    said = capsys.readouterr().out
    assert "evaluate: the training subjects of old version 1 are not recorded" in said
    assert "evaluate: old version 1 on 6 subjects of synthetic" in said
    client = mlflow.MlflowClient()
    client.set_registered_model_alias("old", "champion", "1")
    assert trained.run("train", "tracking.model_name=old") == 0
    says = "old version 2 is the challenger: not compared with the champion (version 1): its training subjects are not"
    assert says in capsys.readouterr().out
    # It can become the champion again after another one.
    client.set_registered_model_alias("old", "champion", "2")
    client.set_registered_model_alias("old", "previous", "1")
    assert main(["rollback", "model_name=old"]) == 0
    assert capsys.readouterr().out.startswith("rollback: old version 1 is the champion again; version 2 was")
    assert client.get_model_version("old", "1").tags["aura.promotion"].endswith(" after version 2: rollback")
