"""The view of runs that MLflow's page opens with."""

import json
import re

import mlflow
import pytest

from aura.config.compose import compose
from aura.tracking import logs, runs, views
from tests.support.project import Project
from tests.support.runs import RunOf

pytestmark = pytest.mark.integration


def log(overrides: list[str], f1: float) -> str:
    """Log a training with one score, and return the address of the view."""
    with runs.stage_run("train", compose(overrides)):
        logs.log_metrics({"event_f1": f1})
        return views.update_view("train")


def read_view(address: str) -> dict[str, object]:
    match = re.search(r"/#/experiments/(\d+)/runs\?workflowType=machine_learning&viewStateShareKey=(\w+)$", address)
    assert match is not None
    view = json.loads(mlflow.get_experiment(match[1]).tags[f"mlflow.sharedViewState.{match[2]}"])
    assert view["name"] == "Training runs"
    state: dict[str, object] = json.loads(view["state"])
    return state


def test_the_view_shows_scores_and_the_parameters_that_differ(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "viewed")
    own = project.overrides
    alone = read_view(log(own, 0.5))
    assert alone["searchFilter"] == "tags.`aura.stage` = 'train'"
    assert alone["orderByKey"] == "metrics.`event_f1`"
    assert not any("params" in column for column in alone["selectedColumns"])  # type: ignore[attr-defined]

    log([*own, "windows.lengths_s.poincare=[30]"], 0.6)
    state = read_view(log([*own, "windows.lengths_s.poincare=[45]", "model.n_estimators=7"], 0.7))
    columns = state["selectedColumns"]
    assert columns == [
        "metrics.`event_f1`",
        "metrics.`event_sensitivity`",
        "metrics.`event_false_alarms_per_assessed_24h`",
        # The parameter with the most values comes first.
        "params.`windows.lengths_s.poincare`",
        "params.`model.n_estimators`",
        "attributes.`Models`",
    ]
    assert state["columnOrder"] == ["attributes.`Run Name`", *columns]


def test_the_score_is_the_first_metric(trained: Project, run_of: RunOf) -> None:
    assert trained.run("train", "model.n_estimators=5") == 0
    run = run_of("train")
    assert next(iter(run.data.metrics)) == "event_f1"
    assert not any(name.startswith("system/") for name in run.data.metrics)


def test_a_logged_model_has_its_data_and_its_scores(trained: Project, run_of: RunOf) -> None:
    assert trained.run("train", "model.n_estimators=6", "experiments=null") == 0
    run = run_of("train")
    (output,) = run.outputs.model_outputs
    model = mlflow.get_logged_model(output.model_id)
    assert model.name.startswith("random_forest_")
    assert model.name.endswith("n_estimators_6")
    assert model.params["model.n_estimators"] == "6"
    assert model.tags["mlflow.note.content"].startswith("Event F1 ")
    by_data = {(metric.dataset_name, metric.key): metric.value for metric in model.metrics}
    assert by_data["synthetic test", "event_f1"] == run.data.metrics["event_f1"]
    assert by_data["synthetic train", "train_event_f1"] == run.data.metrics["train_event_f1"]
    assert all(dataset for dataset, _ in by_data)


def test_curves_are_steps(trained: Project, run_of: RunOf) -> None:
    assert trained.run("train", "model.n_estimators=6", "split=k_fold", "split.k=2") == 0
    run, client = run_of("train"), mlflow.MlflowClient()
    steps = {
        name: [point.step for point in client.get_metric_history(run.info.run_id, name)]
        for name in ("forest_size/average_precision", "fold/event_f1", "threshold_percent/f1")
    }
    assert steps["forest_size/average_precision"] == [1, 2, 4, 6]
    assert steps["fold/event_f1"] == [1, 2]
    assert all(0 < step <= 100 for step in steps["threshold_percent/f1"])
    found = client.get_metric_history(run.info.run_id, "false_alarms_per_assessed_24h/sensitivity")
    values = [point.value for point in found]
    assert values == sorted(values)
