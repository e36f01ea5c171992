"""Views of runs that MLflow's page opens with: the scores, and the parameters in which the runs differ.

MLflow 3 opens an experiment on a page for language models, without a column of scores. Its saved views are tags of the
experiment, which the address of the page can name.
"""

import json
import os
from collections.abc import Mapping, Sequence
from time import time
from typing import Any

import mlflow
from mlflow.entities import Run, ViewType

from aura.config.compose import compose
from aura.core.errors import without_credentials
from aura.evaluation.scoring import FALSE_ALARM_RATE
from aura.tracking import runs

TAG = "mlflow.sharedViewState"
# Title and columns of scores of the view of each stage; the first score sorts it.
VIEWS: Mapping[str, tuple[str, Sequence[str]]] = {
    "train": ("Training runs", ("event_f1", "event_sensitivity", f"event_{FALSE_ALARM_RATE}")),
    "trial": ("Trials of sweeps", ("train_event_f1", "train_event_sensitivity", f"train_event_{FALSE_ALARM_RATE}")),
}
# Runs that are compared to find the parameters in which they differ, parameters that get a column, and runs in a chart.
MAX_RUNS, MAX_PARAMETERS, MAX_CHARTED = 200, 6, 20
# Properties of the data, which follow from other parameters.
DERIVED = ("data.", "test.")
NAME_PX = 330
# A column is as wide as its title, if that is not too long.
CHARACTER_PX, MARGIN_PX, WIDEST_PX = 7, 45, 200
LOCAL = "http://127.0.0.1:5000"


def update_view(stage: str) -> str:
    """Save the view of the runs of a stage in the experiment of the active run, and return its address."""
    client = mlflow.MlflowClient()
    experiment = mlflow.get_run(runs.active_id()).info.experiment_id
    title, scores = VIEWS[stage]
    filter_string = f"tags.`aura.stage` = '{stage}'"
    found = client.search_runs([experiment], filter_string, ViewType.ACTIVE_ONLY, max_results=MAX_RUNS)
    state = json.dumps(_describe_view(filter_string, scores, list_differences(found)))
    saved = client.get_experiment(experiment).tags.get(f"{TAG}.{stage}")
    if saved is None or json.loads(saved)["state"] != state:
        view = {"name": title, "createdAt": int(time() * 1000), "state": state}
        client.set_experiment_tag(experiment, f"{TAG}.{stage}", json.dumps(view))
    return get_address(experiment, stage)


def list_differences(found: Sequence[Run]) -> list[str]:
    """List the parameters in which runs differ, those with the most values first."""
    values: dict[str, set[str | None]] = {}
    for key in {key for run in found for key in run.data.params if not key.startswith(DERIVED)}:
        values[key] = {run.data.params.get(key) for run in found}
    return sorted((key for key in values if len(values[key]) > 1), key=lambda key: (-len(values[key]), key))


def get_address(experiment: str, stage: str = "train") -> str:
    """Return the address of a view in a browser; for a file, that of the server that ``make ui`` starts."""
    uri = mlflow.get_tracking_uri()
    server = without_credentials(uri).rstrip("/") if uri.startswith("http") else LOCAL
    return f"{server}/#/experiments/{experiment}/runs?workflowType=machine_learning&viewStateShareKey={stage}"


def _describe_view(filter_string: str, scores: Sequence[str], parameters: Sequence[str]) -> dict[str, Any]:
    """Describe a view in the words of MLflow's page."""
    name = "attributes.`Run Name`"
    metrics = [f"metrics.`{score}`" for score in scores]
    columns = [*metrics, *(f"params.`{key}`" for key in parameters[:MAX_PARAMETERS]), "attributes.`Models`"]
    return {
        # MLflow shows the runs inside other runs only if a score sorts them.
        "searchFilter": filter_string,
        "orderByKey": metrics[0],
        "orderByAsc": False,
        "selectedColumns": columns,
        "columnOrder": [name, *columns],
        **_describe_charts(scores, parameters),
        "columnWidths": {
            name: NAME_PX,
            **{column: min(MARGIN_PX + CHARACTER_PX * len(column.split("`")[1]), WIDEST_PX) for column in columns},
        },
    }


def _describe_charts(scores: Sequence[str], parameters: Sequence[str]) -> dict[str, Any]:
    """Describe the first charts: a bar per run and score, and the parameters that differ beside the first score."""
    section = {"uuid": "scores", "name": "Scores", "display": True, "isReordered": True}
    charts: list[dict[str, Any]] = [{"type": "BAR", "metricKey": score} for score in scores]
    if parameters:
        selected = {"selectedParams": list(parameters[:MAX_PARAMETERS]), "selectedMetrics": [scores[0]]}
        charts.append({"type": "PARALLEL", "showAllRuns": False, **selected})
    common = {"runsCountToCompare": MAX_CHARTED, "metricSectionId": "scores"}
    made = {"deleted": False, "isGenerated": False}
    return {
        "compareRunSections": [section | made],
        "compareRunCharts": [
            {"uuid": f"scores-{number}", **chart, **common, **made} for number, chart in enumerate(charts)
        ],
        "isAccordionReordered": True,
    }


def main() -> None:
    """Print the address of the view of the training runs, for ``make ui``."""
    config = compose()
    runs.connect(config)
    experiment = mlflow.get_experiment_by_name(config.tracking.experiment)
    if experiment is not None:
        # make ui serves the database of this folder, or the server of the environment.
        port = os.environ.get("UI_PORT", "5000")
        print(f"training runs: {get_address(experiment.experiment_id)}".replace(":5000/", f":{port}/"))


if __name__ == "__main__":
    main()
