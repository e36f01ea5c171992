"""Log to the active run: parameters, metrics, curves, tables, files, data and models."""

import math
import re
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from time import time
from typing import TYPE_CHECKING, Any

import mlflow
import numpy as np
import pandas as pd
from mlflow.data.dataset import Dataset
from mlflow.data.dataset_source_registry import resolve_dataset_source
from mlflow.data.meta_dataset import MetaDataset
from mlflow.entities import Metric

from aura.core.paths import PACKAGE
from aura.serving.requests import SIGNATURE
from aura.tracking import runs

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Metrics that MLflow accepts in one request.
MAX_BATCH = 1000


def log_upstream(run_ids: Mapping[str, str]) -> None:
    """Log the ids of the runs whose output this one reads, by stage."""
    mlflow.set_tags({f"aura.upstream.{stage}": run_id for stage, run_id in run_ids.items()})


def log_params(values: Mapping[str, Any]) -> None:
    """Log parameters of a run that are not in its configuration."""
    mlflow.log_params(dict(values))


def log_metrics(
    values: Mapping[str, float], *, step: int | None = None, model_id: str | None = None, dataset: Dataset | None = None
) -> None:
    """Log metrics with four decimals, since MLflow shows them as they are; NaN is logged as NaN.

    Parameters
    ----------
    values
        Metrics by name. MLflow's page that compares runs opens on the first.
    step
        Step of a curve.
    model_id, dataset
        Model and data that they belong to; the page of the model shows them if both are given.
    """
    rounded = {name: _round(value) for name, value in values.items()}
    mlflow.log_metrics(rounded, step=step, model_id=model_id, dataset=dataset)


def _round(value: float) -> float:
    """Round to four decimals, or to four digits if the value is small."""
    value = float(value)
    return round(value, 4) if abs(value) >= 0.1 or math.isnan(value) else float(f"{value:.4g}")


def log_curves(curves: Mapping[str, Mapping[int, float]]) -> None:
    """Log curves as metrics with steps, which MLflow draws as lines; steps are whole numbers from 1."""
    now = int(time() * 1000)
    points = [
        Metric(name, _round(value), now, int(step)) for name, curve in curves.items() for step, value in curve.items()
    ]
    for start in range(0, len(points), MAX_BATCH):
        mlflow.MlflowClient().log_batch(runs.active_id(), metrics=points[start : start + MAX_BATCH])


def log_table(frame: pd.DataFrame, file: str) -> None:
    """Log a table for the artifact viewer; replace an existing one, to which MLflow would append."""
    if any(item.path == file for item in mlflow.MlflowClient().list_artifacts(runs.active_id())):
        mlflow.log_text(frame.to_json(orient="split", index=False, date_format="iso"), file)
    else:
        mlflow.log_table(frame, file)


def log_json(values: Mapping[str, Any], file: str) -> None:
    """Log plain values as a JSON file."""
    mlflow.log_dict(dict(values), file)


def log_text(text: str, file: str) -> None:
    """Log a text as a file."""
    mlflow.log_text(text, file)


def log_files(paths: Sequence[Path], folder: str | None = None) -> None:
    """Log files to a folder of the run, or to its top level."""
    for path in paths:
        mlflow.log_artifact(str(path), folder)


def log_figures(figures: "Mapping[str, Figure]") -> None:
    """Log pictures by name, at the top level: the view that compares runs does not show folders."""
    with warnings.catch_warnings():
        # Characters that the font lacks are drawn as boxes; the tables have the names in full.
        warnings.filterwarnings("ignore", message=r"Glyph \d+ .* missing from font")
        for name, figure in figures.items():
            mlflow.log_figure(figure, f"{name}.png", save_kwargs={"dpi": 110})


def log_datasets(folder: Path, *, corpus: str, digests: Mapping[str, str]) -> dict[str, Dataset]:
    """Log the data that a model is trained and tested on.

    Parameters
    ----------
    folder
        Folder of the data.
    corpus
        Name of the corpus.
    digests
        Digest of each side, by its context: ``train`` and ``test``.

    Returns
    -------
    dict of Dataset
        By context, for `log_metrics`.
    """
    with warnings.catch_warnings():
        # MLflow registers its own local source twice.
        warnings.filterwarnings("ignore", message="The specified dataset source can be interpreted in multiple ways")
        # Only the last folders: the whole path would disclose this machine.
        source = resolve_dataset_source("/".join(folder.parts[-2:]))
    datasets = {
        context: MetaDataset(source=source, name=f"{corpus} {context}", digest=digest)
        for context, digest in digests.items()
    }
    for context, dataset in datasets.items():
        mlflow.log_input(dataset, context=context)
    return datasets


def log_model(folder: Path, requirements: Sequence[str], *, name: str) -> str:
    """Log a detector that `aura.detection.detector.SeizureDetector.save` wrote.

    Parameters
    ----------
    folder, requirements
        Folder of the detector, and the packages that it needs.
    name
        Name in words; it is also that of the artifact, so other characters than letters and digits are replaced.

    Returns
    -------
    str
        Id of the logged model, for `log_metrics` and `aura.tracking.promotion.register`.
    """
    example = pd.DataFrame({"t_s": np.round(np.arange(1, 13) * 0.8, 3), "rr_ms": np.full(12, 800.0)})
    info = mlflow.pyfunc.log_model(
        name=re.sub(r"[^A-Za-z0-9]+", "_", name).strip("_"),
        loader_module="aura.serving",
        data_path=str(folder),
        code_paths=[str(PACKAGE)],
        signature=SIGNATURE,
        input_example=example,
        pip_requirements=list(requirements),
    )
    return str(info.model_id)
