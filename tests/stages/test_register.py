"""Train registers each model once, and of several only the best."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

import mlflow
import pytest

from aura import assembly
from aura.cli import main
from aura.core.paths import PROJECT
from tests.support.project import Project
from tests.support.registry import aliases
from tests.support.runs import RunOf

pytestmark = pytest.mark.integration

AUTO = "register=auto"
TINY = "model.n_estimators=3"


def runs_of(name: str, stage: str = "train") -> list[mlflow.entities.Run]:
    """The runs of a stage for a model name, newest first."""
    found: list[mlflow.entities.Run] = mlflow.search_runs(
        experiment_names=["tests"],
        filter_string=f"params.`tracking.model_name` = '{name}' and tags.`aura.stage` = '{stage}'",
        order_by=["attributes.start_time DESC"],
        output_format="list",
    )
    return found


def versions_of(name: str) -> list[str]:
    return sorted(str(one.version) for one in mlflow.MlflowClient().search_model_versions(f"name = '{name}'"))


def test_an_unchanged_training_is_found_and_not_repeated(
    trained: Project,
    project: Project,
    run_of: RunOf,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # A copy, since main writes the tables again.
    shutil.copytree(trained.workspace, project.workspace)
    words = (TINY, "tracking.model_name=once", AUTO)
    assert project.run("train", *words) == 0
    scores = capsys.readouterr().out.split("\n\n")[1]
    assert scores.startswith("held-out subjects")
    (run,) = runs_of("once")
    for stage in ("train", "main"):
        assert project.run(stage, *words) == 0
        said = capsys.readouterr().out
        assert f"train: nothing is trained: run {run.info.run_id} of " in said
        assert f"\n\n{scores}\n\nonce version 1 is the champion: models:/once/1\n" in said
        assert len(runs_of("once")) == 1
    assert run_of("main").data.tags["aura.upstream.train"] == run.info.run_id
    # What decides the model or its promotion counts; the number of workers does not.
    assert project.run("train", *words, "compute=processes", "compute.workers=1") == 0
    assert len(runs_of("once")) == 1
    for number, word in enumerate(("seed=43", "tracking.champion_confidence=0.8"), start=2):
        assert project.run("train", *words, word) == 0
        assert len(runs_of("once")) == number
    monkeypatch.setattr(assembly, "_digest_code", lambda: "other code")
    assert project.run("train", *words) == 0
    assert versions_of("once") == ["1", "2", "3", "4"]


def test_a_failed_run_is_repeated_and_a_deleted_model_is_not_reported(
    trained: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    client, words = mlflow.MlflowClient(), (TINY, "tracking.model_name=lost", AUTO)
    assert trained.run("train", *words) == 0
    (first,) = runs_of("lost")
    client.set_terminated(first.info.run_id, "FAILED")
    capsys.readouterr()
    assert trained.run("train", *words) == 0
    says = "lost version 1 is the champion: models:/lost/1; it is the same model, so it is not registered again"
    assert says in capsys.readouterr().out
    second, _ = runs_of("lost")
    # The version has lost its model; the second run still has its own, which is registered without another training.
    client.delete_logged_model(first.outputs.model_outputs[0].model_id)
    assert trained.run("train", *words) == 0
    assert f"nothing is trained: run {second.info.run_id}" in capsys.readouterr().out
    assert client.get_model_version("lost", "2").run_id == second.info.run_id
    assert mlflow.get_run(second.info.run_id).info.status == "FINISHED"
    client.delete_logged_model(second.outputs.model_outputs[0].model_id)
    assert trained.run("train", *words) == 0
    assert "nothing is trained" not in capsys.readouterr().out
    assert len(runs_of("lost")) == 3
    assert versions_of("lost") == ["1", "2", "3"]


def test_never_registers_nothing_until_the_same_training_is_asked_to(
    trained: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    words = (TINY, "tracking.model_name=unregistered")
    assert trained.run("train", *words, "register=never") == 0
    assert "nothing is registered, since tracking.register=never; the model is models:/m-" in capsys.readouterr().out
    (run,) = runs_of("unregistered")
    assert mlflow.pyfunc.load_model(f"models:/{run.outputs.model_outputs[0].model_id}") is not None
    assert versions_of("unregistered") == []
    assert trained.run("train", *words, AUTO) == 0
    said = capsys.readouterr().out
    assert "nothing is trained" in said
    assert "unregistered version 1 is the champion: there was no champion" in said
    assert mlflow.MlflowClient().get_model_version("unregistered", "1").run_id == run.info.run_id
    assert trained.run("train", *words, "register=sometimes") == 2
    assert "tracking.register=sometimes; allowed are auto, never, always" in capsys.readouterr().err


def test_of_a_multirun_the_best_on_training_subjects_is_registered_once(
    trained: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["train", "-m", *trained.overrides, "model.n_estimators=2,4", "tracking.model_name=several"]
    for _ in range(2):
        assert main([*words, AUTO]) == 0
        said = capsys.readouterr().out
        found = runs_of("several")
        assert len(found) == 2
        within = [run for run in found if run.data.metrics["train_event_false_alarms_per_assessed_24h"] <= 24]
        best = max(within or found, key=lambda run: run.data.metrics["train_event_f1"])
        assert f"train: of 2 runs, run {best.info.run_id} is the best on training subjects" in said
        (version,) = mlflow.MlflowClient().search_model_versions("name = 'several'")
        assert version.run_id == best.info.run_id
        assert aliases("several") == {"champion": "1"}
    assert said.count("nothing is trained") == 2
    assert main([*words, "register=never"]) == 0
    assert versions_of("several") == ["1"]
    assert main([*words, "register=always"]) == 0
    assert versions_of("several") == ["1", "2", "3"]


def test_a_multirun_whose_last_job_fails_says_what_is_done(
    trained: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["train", "-m", *trained.overrides, "train.folds=2,50", TINY, "tracking.model_name=half"]
    assert main([*words, AUTO]) == 1
    assert "; 1 of 2 jobs had ended well, and their runs are kept; the best is registered" in capsys.readouterr().err
    assert versions_of("half") == []


def test_a_sweep_registers_its_best_trial_once(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    space = "sweep.space={model.max_depth:{choices:[4]}}"
    words = (space, "sweep.n_trials=1", TINY, "tracking.model_name=searched", AUTO)
    assert project.run("sweep", *words) == 0
    assert versions_of("searched") == ["1"]
    # Another study that finds the same.
    capsys.readouterr()
    assert project.run("sweep", *words, "sweep.study=other") == 0
    said = capsys.readouterr().out
    assert versions_of("searched") == ["1"]
    assert "nothing is trained" in said


def test_mlflow_run_of_an_unchanged_training_keeps_no_run(trained: Project) -> None:
    words = [*trained.overrides, TINY, "tracking.model_name=by_mlflow", "tracking.register=auto"]
    assert main(["train", *words]) == 0
    (run,) = runs_of("by_mlflow")
    command = [sys.executable, "-m", "mlflow", "run", ".", "-e", "train", "--env-manager", "local"]
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    environment.pop("MLFLOW_EXPERIMENT_ID", None)
    done = subprocess.run(
        [*command, "--experiment-name", "tests", "-P", f"overrides={shlex.join(words)}"],
        cwd=PROJECT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert f"train: nothing is trained: run {run.info.run_id} of " in done.stdout
    (opened,) = re.findall(r"Run \(ID '(\w+)'\) succeeded", done.stderr)
    deadline = time.monotonic() + 60
    while mlflow.get_run(opened).info.lifecycle_stage == "active":
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert len(runs_of("by_mlflow")) == 1
