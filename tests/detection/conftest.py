"""A model and beats for the tests of live detectors. MLflow is imported when a test needs them."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from aura.core.parquet import read_table
from tests.support.live import MODEL
from tests.support.project import Project

if TYPE_CHECKING:
    from aura.detection.detector import SeizureDetector


@pytest.fixture(scope="module")
def folder(trained: Project, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The detector of the small corpus, with a threshold so low that it raises alarms."""
    import mlflow

    folder = Path(mlflow.artifacts.download_artifacts(MODEL, dst_path=str(tmp_path_factory.mktemp("model"))))
    (file,) = folder.glob("data/*/detector.json")
    values = json.loads(file.read_text())
    values["threshold"], values["alarms"]["refractory_s"] = 0.1, 20
    file.write_text(json.dumps(values))
    return folder


@pytest.fixture(scope="module")
def detector(folder: Path) -> "SeizureDetector":
    """The detector in `folder`."""
    from aura.tracking.registry import load

    return load(str(folder)).detector


@pytest.fixture(scope="module")
def beats(trained: Project, folder: Path, detector: "SeizureDetector") -> pd.DataFrame:
    """The RR intervals of the recording with the most alarms."""
    import mlflow

    model, n_alarms = mlflow.pyfunc.load_model(str(folder)), {}
    for file in sorted((trained.folder("prepared") / "rr").glob("*.parquet")):
        probability = model.predict(read_table(file)[0])["probability"].to_numpy(dtype="float64", na_value=np.nan)
        score = detector.alarms.score(probability, step_s=4.0)
        n_alarms[file] = len(detector.alarms.events(score, threshold=detector.threshold, step_s=4.0))
    return read_table(max(n_alarms, key=n_alarms.__getitem__))[0]
