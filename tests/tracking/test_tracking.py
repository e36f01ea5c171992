"""What a run leaves in MLflow, and who becomes the champion."""

import json
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import mlflow
import pytest
import yaml

from aura.config.compose import compose
from aura.core.paths import PROJECT
from aura.tracking import runs
from tests.support.project import Project
from tests.support.runs import RunOf, artifacts

pytestmark = pytest.mark.integration

MlflowRun = Callable[..., "subprocess.CompletedProcess[str]"]
SCORES = ("sensitivity", "precision", "f1", "false_alarms_per_24h", "false_alarms_per_assessed_24h")


def test_a_train_run_logs_everything_a_comparison_needs(trained: Project, run_of: RunOf) -> None:
    assert trained.run("train") == 0
    run = run_of("train")
    assert run.info.status == "FINISHED"
    params = run.data.params
    assert (params["windows.step_s"], params["model.n_estimators"], params["random.seed"]) == ("4", "20", "42")
    assert (params["data.subjects"], params["data.recordings"], params["data.hours"]) == ("6", "12", "3.0")
    assert int(params["data.seizures"]) > 6
    metrics = run.data.metrics
    assert {f"{kind}_{score}" for kind in ("event", "sample") for score in SCORES} <= metrics.keys()
    assert 0 <= metrics["roc_auc"] <= 1
    assert 0 <= metrics["pr_auc"] <= 1
    tags = run.data.tags
    assert len(tags["aura.git_commit"]) == 40
    assert tags["aura.git_dirty"] in ("true", "false")
    client = mlflow.MlflowClient()
    for stage in ("prepare", "featurize"):
        assert client.get_run(tags[f"aura.upstream.{stage}"]).data.tags["aura.stage"] == stage
    used = {given.tags[0].value: given.dataset for given in run.inputs.dataset_inputs}
    assert {context: dataset.name for context, dataset in used.items()} == {
        "train": "synthetic train",
        "test": "synthetic test",
    }
    assert used["test"].digest == params["test.digest"]
    assert used["train"].digest not in (params["test.digest"], params["data.digest"])
    assert {
        "config.yaml",
        "scores.json",
        "per_subject.json",
        "seizures.json",
        "split.json",
        "training_curve.json",
        "model_card.md",
        *(
            f"{name}.png"
            for name in (
                *("sensitivity_false_alarms", "per_subject", "calibration", "latency", "precision_recall"),
                *("feature_importance", "timelines", "worst"),
            )
        ),
    } <= artifacts(run.info.run_id)
    # Of the four recordings it was tested on, those in which most went wrong.
    assert sum(name.endswith(".html") for name in artifacts(run.info.run_id)) == 3


def test_the_digest_of_the_data_does_not_depend_on_the_features(
    trained: Project, project: Project, run_of: RunOf
) -> None:
    shutil.copytree(trained.workspace, project.workspace)
    digests = set()
    for override in ("windows.step_s=4", "windows.step_s=10", "labels.postictal_s=0"):
        assert project.run("train", override) == 0
        digests.add(run_of("train").data.params["data.digest"])
    assert len(digests) == 1


def test_the_logged_configuration_is_complete_except_for_paths(trained: Project, run_of: RunOf) -> None:
    assert trained.run("train", "model.n_estimators=7") == 0
    values = yaml.safe_load(mlflow.artifacts.load_text(f"{run_of('train').info.artifact_uri}/config.yaml"))
    config = asdict(compose([*trained.overrides, "model.n_estimators=7"]))
    for key in ("synthesis", "root", "edf"):
        config["dataset"].pop(key)
    config["tracking"].pop("uri")
    config["sweep"].pop("storage")
    for key in ("sampler", "pruner", "workspace", "overrides", "choices", "compute", "evaluate"):
        config.pop(key)
    for stage in ("detect", "live", "database", "export", "dump", "restore", "bench"):
        config.pop(stage)
    assert values == config


def test_per_subject_scores_add_up(trained: Project, run_of: RunOf) -> None:
    run = run_of("train")
    table = json.loads(mlflow.artifacts.load_text(f"{run.info.artifact_uri}/per_subject.json"))
    rows = [dict(zip(table["columns"], row, strict=True)) for row in table["data"]]
    assert len(rows) == 2
    sensitivity = sum(row["found"] for row in rows) / sum(row["ref_events"] for row in rows)
    scores = mlflow.artifacts.load_dict(f"{run.info.artifact_uri}/scores.json")
    assert scores["event_sensitivity"] == pytest.approx(sensitivity, rel=1e-12)
    # MLflow shows metrics as they are, so they are rounded.
    assert run.data.metrics["event_sensitivity"] == round(sensitivity, 4)


def test_the_use_of_the_machine_is_logged_in_long_stages(trained: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "MONITOR_AFTER_S", 0.1)
    monkeypatch.setattr(runs, "MONITOR_EVERY_S", 0.1)
    with runs.stage_run("waits", compose(trained.overrides)) as active:
        deadline = time.monotonic() + 60
        while not any(name.startswith("system/") for name in mlflow.get_run(active.info.run_id).data.metrics):
            assert time.monotonic() < deadline
            time.sleep(0.1)


def test_main_is_one_run_with_three_children(project: Project, run_of: RunOf) -> None:
    assert project.run("main") == 0
    parent = run_of("main")
    for stage in ("prepare", "featurize", "train"):
        assert run_of(stage).data.tags["mlflow.parentRunId"] == parent.info.run_id


@pytest.fixture
def mlflow_run(trained: Project, monkeypatch: pytest.MonkeyPatch) -> MlflowRun:
    """Start `mlflow run` as from a shell with the environment of the tests activated."""
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:/usr/bin:/bin")
    # Set by the runs of this process.
    monkeypatch.delenv("MLFLOW_EXPERIMENT_ID", raising=False)

    def run(*words: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "mlflow", "run", ".", "--env-manager", "local", *words]
        return subprocess.run(command, capture_output=True, text=True, check=False, cwd=PROJECT)

    return run


def test_mlflow_run_trains_and_is_one_run(trained: Project, run_of: RunOf, mlflow_run: MlflowRun) -> None:
    words = shlex.join([*trained.overrides, "model.n_estimators=10"])
    done = mlflow_run("-e", "train", "-P", f"overrides={words}")
    assert done.returncode == 0, done.stderr
    run = run_of("train")
    assert f"Run (ID '{run.info.run_id}') succeeded" in done.stderr
    assert run.data.params["model.n_estimators"] == "10"
    assert "mlflow.project.entryPoint" in run.data.tags


def test_mlflow_run_accepts_an_experiment(
    trained: Project, tmp_path: Path, run_of: RunOf, mlflow_run: MlflowRun
) -> None:
    """The smallest experiment, to its end, and a run after it that knows what it has to beat."""
    kept = [word for word in trained.overrides if not word.startswith(("model.", "workspace="))]
    words = shlex.join([*kept, f"workspace={tmp_path}"])
    done = mlflow_run("-e", "train", "-P", "experiment=baseline_heart_rate", "-P", f"overrides={words}")
    assert done.returncode == 0, done.stderr
    run = run_of("train")
    assert "\n\nWhat does a threshold on the heart rate of 10 s find?\n\n" in run.data.tags["mlflow.note.content"]
    assert run.data.params["model.feature"] == "mean_hr__10s"
    assert trained.run("train") == 0
    table = mlflow.artifacts.load_dict(f"{run_of('train').info.artifact_uri}/baselines.json")
    assert "heart rate" in [row[0] for row in table["data"]]


def test_mlflow_run_refuses_in_one_line(mlflow_run: MlflowRun) -> None:
    done = mlflow_run("-e", "train", "-P", "sede=3")
    assert done.returncode != 0
    assert "aura train: there is no key sede" in done.stderr


def test_the_environment_variable_wins_over_the_configuration(tracking_uri: str) -> None:
    config = compose(["tracking.uri=sqlite:////nowhere/at/all.db"])
    with runs.stage_run("check", config):
        assert mlflow.get_tracking_uri() == tracking_uri
