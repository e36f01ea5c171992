"""A model in ONNX says what it says in scikit-learn."""

import json
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from lightgbm import LGBMClassifier
from sklearn.ensemble import ExtraTreesClassifier, HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.tree import DecisionTreeClassifier

from aura.cli import main
from aura.core.errors import AuraError
from aura.core.parquet import read_table
from aura.detection.detector import MODEL_FILE, ONNX_FILE, load_detector
from aura.detection.onnx import TOLERANCE, export_onnx, load_onnx
from aura.features import FeatureSpec, feature_names
from aura.learning.classifier import Classifier, seizure_probability
from aura.tracking.registry import load
from tests.support.project import Project, read_rr

pytestmark = pytest.mark.integration

MODEL = "models:/aura-seizure-detector-synthetic@champion"
# Of `time_domain`.
N_FEATURES = 16


def fitted(model: Classifier) -> tuple[Classifier, np.ndarray]:
    """A model fitted to numbers of which many are missing, some in a way that tells."""
    rng = np.random.default_rng(0)
    x = rng.normal(800, 100, (3000, N_FEATURES))
    y = (x[:, 0] + rng.normal(0, 50, len(x)) > 850).astype(np.int64)
    x[rng.random(x.shape) < 0.2] = np.nan
    x[(y == 1) & (rng.random(len(x)) < 0.5), 3] = np.nan
    model.fit(x, y)
    return model, x


SMALL = FeatureSpec((("time_domain", (10.0,)),), step_s=4.0)


@pytest.mark.parametrize(
    "model",
    [
        RandomForestClassifier(20, max_depth=10, random_state=0),
        ExtraTreesClassifier(20, max_depth=10, random_state=0),
    ],
    ids=lambda model: type(model).__name__,
)
def test_the_same_probabilities_also_where_values_are_missing(model: Classifier) -> None:
    model, x = fitted(model)
    onnx = load_onnx(export_onnx(model, SMALL), n_features=x.shape[1])
    assert np.abs(onnx.predict_proba(x) - model.predict_proba(x)).max() < TOLERANCE
    assert onnx.predict_proba(x[:1]).shape == (1, 2)


@pytest.mark.parametrize(
    "model",
    [LGBMClassifier(), HistGradientBoostingClassifier(), LogisticRegression(), DecisionTreeClassifier()],
    ids=lambda model: type(model).__name__,
)
def test_what_cannot_be_written_is_refused(model: Classifier) -> None:
    with pytest.raises(AuraError, match=f"{type(model).__name__} cannot be written in ONNX; allowed for it is sklearn"):
        export_onnx(model, SMALL)


def test_train_refuses_it_before_it_begins(trained: Project, capsys: pytest.CaptureFixture[str]) -> None:
    runs = mlflow.search_runs(search_all_experiments=True)
    assert trained.run("train", "serving.runtime=onnx", "model=lightgbm") == 1
    assert "LGBMClassifier cannot be written in ONNX" in capsys.readouterr().err
    assert len(mlflow.search_runs(search_all_experiments=True)) == len(runs)


def test_a_model_that_would_say_something_else_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aura.detection.onnx._route_missing", lambda made, trees: None)
    model, _ = fitted(RandomForestClassifier(20, max_depth=10, random_state=0))
    with pytest.raises(AuraError, match="in ONNX, probabilities of this RandomForestClassifier differ by up to"):
        export_onnx(model, SMALL)


def test_train_writes_it_beside_the_model_and_serving_uses_it(trained: Project, tmp_path: Path) -> None:
    assert trained.run("train", "serving.runtime=onnx", "tracking.model_name=in_onnx") == 0
    folder = Path(mlflow.artifacts.download_artifacts("models:/in_onnx/1", dst_path=str(tmp_path)))
    (data,) = (path.parent for path in folder.glob("data/*/detector.json"))
    assert (data / ONNX_FILE).is_file()
    assert "onnxruntime==" in (folder / "requirements.txt").read_text()
    # The same training, so the same forest.
    expected = mlflow.pyfunc.load_model(MODEL).predict(read_rr(trained))
    answer = mlflow.pyfunc.load_model(str(folder)).predict(read_rr(trained))
    pd.testing.assert_frame_equal(answer, expected, rtol=0, atol=1e-6)
    # It needs no other copy of the model.
    (data / MODEL_FILE).unlink()
    windows, _ = read_table(next((trained.folder("features") / "windows").glob("*.parquet")))
    x = windows[feature_names(windows)].to_numpy()
    theirs = load(MODEL).detector
    ours = load_detector(data)
    assert np.allclose(
        seizure_probability(ours.model, x), seizure_probability(theirs.model, x), rtol=0, atol=1e-6, equal_nan=True
    )
    assert json.loads((data / "detector.json").read_text())["runtime"] == "onnx"


def test_another_runtime_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "serving.runtime=tensorflow"]) == 2
    assert "serving.runtime=tensorflow; allowed are sklearn, onnx" in capsys.readouterr().err
