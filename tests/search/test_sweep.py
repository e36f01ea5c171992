"""A sweep as users run it: shared, resumed, killed."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import mlflow
import optuna
import psutil
import pytest
from optuna.trial import TrialState

from aura.config.compose import compose
from aura.core.paths import PROJECT
from aura.stages.sweep.run import build_trial_recipe
from tests.support.project import Project
from tests.support.runs import RunOf, artifacts

pytestmark = pytest.mark.integration

# Of a real number no trial repeats another by chance.
SPACE = "sweep.space={windows.lengths_s.entropy:{low:20,high:60,step:20},model.max_samples:{low:0.3,high:0.9}}"
FAST = ("model.n_estimators=5",)


@pytest.fixture(scope="module")
def trained(trained: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A copy of what others share: trials add features to it."""
    project = Project(trained.corpus, tmp_path_factory.mktemp("swept"))
    shutil.copytree(trained.workspace, project.workspace, dirs_exist_ok=True)
    return project


@pytest.mark.parametrize(
    ("of_sweep", "of_train", "limit"),
    [("2000", "9000", 2000), ("9000", "2000", 2000), ("null", "9000", 9000), ("null", "null", None)],
)
def test_a_trial_is_fitted_on_as_many_windows_as_the_lower_limit_allows(
    of_sweep: str, of_train: str, limit: int | None
) -> None:
    config = compose([f"sweep.max_windows={of_sweep}", f"train.max_windows={of_train}", "model.n_estimators=2"])
    assert build_trial_recipe(config).training.max_windows == limit


def test_an_unknown_key_is_refused_before_any_trial(trained: Project, capsys: pytest.CaptureFixture[str]) -> None:
    assert trained.run("sweep", "sweep.space={model.depth:{low:1,high:3}}") == 1
    assert "sweep.space: with model.depth=1: there is no key model.depth; allowed" in capsys.readouterr().err
    # Also one that only some trials have.
    depth = "model.depth:{type:int,low:1,high:3,when:{model:extra_trees}}"
    assert trained.run("sweep", f"sweep.space={{model:{{choices:[random_forest,extra_trees]}},{depth}}}") == 1
    assert "sweep.space: with model=extra_trees model.depth=1: there is no key" in capsys.readouterr().err


def trials_of(name: str, url: str) -> tuple[list[optuna.trial.FrozenTrial], dict[str, str]]:
    """Trials and attributes of a study; none where there is no such study yet."""
    storage = optuna.storages.RDBStorage(url)
    try:
        study = optuna.load_study(study_name=name, storage=storage)
        return study.trials, study.user_attrs
    except KeyError:
        return [], {}
    finally:
        storage.remove_session()
        storage.engine.dispose()


def children(run_id: str, stage: str) -> list[mlflow.entities.Run]:
    found: list[mlflow.entities.Run] = mlflow.search_runs(
        experiment_names=["tests"],
        filter_string=f"tags.`mlflow.parentRunId` = '{run_id}' and tags.`aura.stage` = '{stage}'",
        output_format="list",
    )
    return found


def test_a_sweep_trains_and_tests_the_best_trial_and_can_continue(
    trained: Project, run_of: RunOf, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = (SPACE, *FAST, f"sweep.storage=sqlite:///{tmp_path}/s.db", "tracking.model_name=swept")
    assert trained.run("sweep", *words, "sweep.n_trials=3") == 0
    parent = run_of("sweep")
    trials = children(parent.info.run_id, "trial")
    assert sorted(run.info.run_name for run in trials) == ["trial 0", "trial 1", "trial 2"]
    assert all(run.info.status == "FINISHED" for run in trials)
    history = mlflow.MlflowClient().get_metric_history(trials[0].info.run_id, "fold_event_f1")
    assert [point.step for point in history] == [0, 1]
    (tested,) = children(parent.info.run_id, "train")
    assert tested.data.metrics["event_f1"] >= 0
    found = artifacts(parent.info.run_id)
    assert {"best.yaml", "trials.json", "history_f1.png", "parallel_coordinates_f1.png"} <= found
    best = max(trials, key=lambda run: run.data.metrics["train_event_f1"])
    assert parent.info.run_id == best.data.tags["mlflow.parentRunId"]

    # What it found is an experiment of its own.
    text = mlflow.artifacts.load_text(f"{parent.info.artifact_uri}/best.yaml")
    (tmp_path / "experiments").mkdir()
    (tmp_path / "experiments" / "best.yaml").write_text(text)
    again = compose(["experiments=best", f"hydra.searchpath=[file://{tmp_path}]"])
    assert str(again.model["max_samples"]) == tested.data.params["model.max_samples"]
    assert again.tracking.model_name == "swept"
    # Of the trials it is the best one that was trained, or one of those that are as good.
    f1 = best.data.metrics["train_event_f1"]
    as_good = [run for run in trials if run.data.metrics["train_event_f1"] == f1]
    assert tested.data.params["model.max_samples"] in [run.data.params["model.max_samples"] for run in as_good]
    assert again.windows.lengths_s["entropy"] == [float(tested.data.params["windows.lengths_s.entropy"])]
    assert again.question

    # Nothing is left to do; with more trials it goes on, below the same run.
    capsys.readouterr()
    assert trained.run("sweep", *words, "sweep.n_trials=3") == 0
    assert "3 of 3 trials done" in capsys.readouterr().out
    assert len(children(parent.info.run_id, "train")) == 1
    assert trained.run("sweep", *words, "sweep.n_trials=4") == 0
    assert len(children(parent.info.run_id, "trial")) == 4
    assert len(children(parent.info.run_id, "train")) == 2
    told = mlflow.artifacts.load_dict(f"{parent.info.artifact_uri}/trials.json")
    assert [row[0] for row in told["data"]] == [0, 1, 2, 3]

    # Of other settings it is another study, or none.
    capsys.readouterr()
    assert trained.run("sweep", *words, "sweep.n_trials=1", "sweep.study=named") == 0
    assert trained.run("sweep", *words, "sweep.study=named", "sweep.objectives=[sensitivity]") == 1
    said = capsys.readouterr()
    assert "study named, 0 of 1 trial done" in said.out
    assert "sweep.study=named was begun with other settings" in said.err
    assert "sweep.objectives was ['f1'], is ['sensitivity']" in said.err


def test_a_sweep_needs_subjects_that_no_trial_sees(trained: Project, capsys: pytest.CaptureFixture[str]) -> None:
    assert trained.run("sweep", SPACE, "split=k_fold", "split.k=2") == 1
    assert "write split=by_subject or split=official" in capsys.readouterr().err


def test_without_a_trial_that_keeps_the_limit_of_false_alarms_nothing_is_trained(
    trained: Project,
    run_of: RunOf,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    # As of a model that raises false alarms at every threshold.
    monkeypatch.setattr("aura.stages.sweep.run.choose_threshold", lambda curve, limit: float(curve["threshold"].min()))
    words = (SPACE, *FAST, f"sweep.storage=sqlite:///{tmp_path}/s.db", "sweep.n_trials=2", "pruner=none")
    assert trained.run("sweep", *words, "tracking.model_name=swept") == 1
    said = capsys.readouterr().err
    assert "aura sweep: none of 2 trials keeps to 24 false alarms per 24 h of assessed time: the fewest are " in said
    parent = run_of("sweep").info
    # What was found is kept.
    assert {"trials.json", "history_f1.png"} <= artifacts(parent.run_id)
    assert not children(parent.run_id, "train")


def test_the_best_configurations_of_another_study_are_tried_first(
    trained: Project, run_of: RunOf, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = f"sqlite:///{tmp_path}/s.db"
    words = (*FAST, f"sweep.storage={url}", "tracking.model_name=swept", "sampler=random", "pruner=none")
    wide = "sweep.space={model.max_samples:{type:float,low:0.2,high:0.9}}"
    known = "sweep.enqueue=[{model.max_samples:0.8},default]"
    assert trained.run("sweep", wide, *words, known, "sweep.n_trials=3", "sweep.study=first") == 0
    assert run_of("sweep").data.params["sampler._target_"] == "optuna.samplers.RandomSampler"
    assert "sweep: 2 known configurations queued first" in capsys.readouterr().out
    first, attributes = trials_of("first", url)
    # The configuration without a search has 0.3.
    assert [trial.params["model.max_samples"] for trial in first][:2] == [0.8, 0.3]
    assert attributes["corpus"] == "synthetic"

    narrow = "sweep.space={model.max_samples:{type:float,low:0.2,high:0.7}}"
    warm = ("sweep.warm_start=first", "sweep.warm_start_trials=null", "sweep.enqueue=[]")
    assert trained.run("sweep", narrow, *words, *warm, "sweep.n_trials=2", "sweep.study=second") == 0
    said = capsys.readouterr().out
    taken = [trial.params["model.max_samples"] for trial in first if trial.params["model.max_samples"] <= 0.7]
    assert f"sweep: {len(taken)} of the best configurations of the study first queued first\n" in said
    assert "of first left out, since the space differs: model.max_samples=0.8; allowed is 0.2 to 0.7" in said
    assert trials_of("second", url)[0][0].params["model.max_samples"] in taken


def test_two_objectives_give_a_pareto_front(trained: Project, run_of: RunOf, tmp_path: Path) -> None:
    words = ("sweep.objectives=[sensitivity,false_alarms_per_assessed_24h]", f"sweep.storage=sqlite:///{tmp_path}/s.db")
    limits = "sweep.space={alarms.smoothing_s:{low:0.0,high:60.0}}"
    assert trained.run("sweep", limits, *FAST, *words, "sweep.n_trials=3", "tracking.model_name=swept") == 0
    assert "pareto_front.png" in artifacts(run_of("sweep").info.run_id)


def test_a_trial_with_invalid_parameters_fails_and_the_others_continue(
    trained: Project, run_of: RunOf, tmp_path: Path
) -> None:
    # A window of 2 s is shorter than a step of 4 s.
    lengths = "sweep.space={windows.lengths_s.time_domain:{choices:[[10],[2]]}}"
    words = (lengths, *FAST, f"sweep.storage=sqlite:///{tmp_path}/s.db", "tracking.model_name=swept")
    # As many as make it certain that both are tried; those that repeat another cost nothing.
    assert trained.run("sweep", *words, "sweep.n_trials=14", "sweep.study=partly") == 0
    states = [t.state for t in trials_of("partly", f"sqlite:///{tmp_path}/s.db")[0]]
    assert set(states) == {TrialState.COMPLETE, TrialState.FAIL}
    assert len(states) == 14


def test_an_unreachable_storage_gives_one_line(trained: Project, capsys: pytest.CaptureFixture[str]) -> None:
    storage = "sweep.storage='postgresql+psycopg://nobody@127.0.0.1:9/none'"
    assert trained.run("sweep", SPACE, storage) == 1
    captured = capsys.readouterr().err
    assert "aura sweep: sweep.storage: " in captured
    assert "Traceback" not in captured


@pytest.fixture
def storage(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database of the test's own, by its address."""
    if kind == "sqlite":
        return f"sqlite:///{tmp_path}/shared.db"
    address: str = request.getfixturevalue("database")
    return address.replace("postgresql://", "postgresql+psycopg://")


def wait(what: Callable[[], bool], process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 120
    while not what():
        assert process.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_two_processes_share_a_study_and_one_is_killed(
    trained: Project, kind: str, storage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With kill -9 in the midst of a trial: no trial is lost, none is done twice, and one run has them all."""
    monkeypatch.setenv("AURA_SWEEP_HEARTBEAT_S", "3")
    words = [SPACE, f"sweep.storage='{storage}'", "sweep.study=shared", "sweep.n_trials=6"]
    # Enough trees for a trial to take a while.
    more = ["model.n_estimators=60", f"tracking.model_name=shared-{kind}", "split.test_share=0.4"]
    command = [sys.executable, "-m", "aura", "sweep", *trained.overrides, *words, *more]
    one, other = (
        subprocess.Popen(
            command, cwd=PROJECT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True
        )
        for _ in range(2)
    )

    def both_at_work() -> bool:
        running = [t for t in trials_of("shared", storage)[0] if t.state == TrialState.RUNNING]
        return sum("mlflow_run_id" in t.user_attrs for t in running) == 2

    try:
        wait(both_at_work, one)
        os.killpg(one.pid, signal.SIGKILL)
        assert one.wait() == -signal.SIGKILL
        _, errors = other.communicate(timeout=240)
        assert other.returncode == 0, errors.decode()
    finally:
        for process in (one, other):
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            if process.stderr is not None:
                process.stderr.close()
    trials, attributes = trials_of("shared", storage)
    done = [t for t in trials if t.state in (TrialState.COMPLETE, TrialState.PRUNED)]
    (killed,) = [t for t in trials if t.state == TrialState.FAIL]
    assert len(done) == 6
    assert len(trials) == 7
    # The one that was killed was tried again as it was, so far as it had parameters: it may just have begun.
    (again,) = [t for t in done if t.system_attrs.get("failed_trial") == killed.number]
    assert killed.params.items() <= again.params.items()
    # No two of the others are alike.
    assert len({str(t.params) for t in done}) == 6
    parent = attributes["mlflow_parent_run_id"]
    runs = {run.info.run_id: run for run in children(parent, "trial")}
    assert {t.user_attrs["mlflow_run_id"] for t in done} <= runs.keys()
    assert runs[killed.user_attrs["mlflow_run_id"]].info.status == "KILLED"
    assert len(children(parent, "train")) == 1
    assert mlflow.get_run(parent).info.status == "FINISHED"


@pytest.mark.parametrize("kind", ["postgresql"])
def test_trials_are_spread_over_a_dask_cluster_and_a_worker_is_killed(
    trained: Project, kind: str, storage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("distributed")
    monkeypatch.setenv("AURA_SWEEP_HEARTBEAT_S", "5")
    words = [SPACE, f"sweep.storage='{storage}'", "sweep.study=spread", "sweep.n_trials=6", "sampler=random"]
    more = ["model.n_estimators=200", "tracking.model_name=spread", "compute=dask", "compute.workers=2", "pruner=none"]
    given = [word for word in trained.overrides if not word.startswith("compute")]
    process = subprocess.Popen(
        [sys.executable, "-m", "aura", "sweep", *given, *words, *more],
        cwd=PROJECT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )

    def both_at_work() -> bool:
        running = [t for t in trials_of("spread", storage)[0] if t.state == TrialState.RUNNING]
        return sum("mlflow_run_id" in t.user_attrs for t in running) == 2

    try:
        wait(both_at_work, process)
        workers = [
            child for child in psutil.Process(process.pid).children() if any("spawn_main" in w for w in child.cmdline())
        ]
        assert len(workers) == 2
        workers[0].kill()
        _, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors.decode()
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        if process.stderr is not None:
            process.stderr.close()
    trials, attributes = trials_of("spread", storage)
    done = [t for t in trials if t.state == TrialState.COMPLETE]
    assert len(done) == len({str(t.params) for t in done}) == 6
    failed = [t for t in trials if t.state == TrialState.FAIL]
    assert failed
    # On a slow machine a trial that is alive can be silent too long as well; each is tried again once.
    assert sorted(t.system_attrs["failed_trial"] for t in done if "failed_trial" in t.system_attrs) == [
        t.number for t in failed
    ]
    assert len(trials) == 6 + len(failed)
    parent = attributes["mlflow_parent_run_id"]
    runs = {run.info.run_id: run for run in children(parent, "trial")}
    assert {t.user_attrs["mlflow_run_id"] for t in done} <= runs.keys()
    assert all(run.info.status in ("FINISHED", "KILLED") for run in runs.values())
    assert len(children(parent, "train")) == 1
