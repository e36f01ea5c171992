"""A search that goes on whatever happens to the processes that do it."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import mlflow
import optuna
import pytest
import yaml
from optuna.trial import FixedTrial, TrialState

from aura.config.compose import compose
from aura.core.errors import AuraError, OutageError
from aura.core.paths import PROJECT
from aura.search.study import SharedStudy, shared_study
from aura.stages.sweep.run import build_trial_recipe, search_space
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


def test_a_dimension_becomes_an_override() -> None:
    found = search_space(
        {
            "windows.step_s": {"low": 1, "high": 9},
            "model.max_samples": {"low": 0.1, "high": 0.5, "log": True},
            "windows.lengths_s.entropy": {"low": 20, "high": 60, "step": 20},
            "features": {"choices": ["original", "all"]},
            "windows.lengths_s.poincare": {"choices": [[30], [30, 60]]},
        }
    )
    values = {
        "windows.step_s": 2,
        "model.max_samples": 0.2,
        "windows.lengths_s.entropy": 40,
        "features": "all",
        "windows.lengths_s.poincare": "[30, 60]",
    }
    words = found.suggest(FixedTrial(values))
    assert words == [
        "windows.step_s=2",
        "model.max_samples=0.2",
        "windows.lengths_s.entropy=[40]",
        "features=all",
        "windows.lengths_s.poincare=[30, 60]",
    ]
    config = compose(words)
    assert config.windows.lengths_s["poincare"] == [30, 60]
    assert "robust" in config.features.families


@pytest.mark.parametrize(
    ("of_sweep", "of_train", "limit"),
    [("2000", "9000", 2000), ("9000", "2000", 2000), ("null", "9000", 9000), ("null", "null", None)],
)
def test_a_trial_is_fitted_on_as_many_windows_as_the_lower_limit_allows(
    of_sweep: str, of_train: str, limit: int | None
) -> None:
    config = compose([f"sweep.max_windows={of_sweep}", f"train.max_windows={of_train}", "model.n_estimators=2"])
    assert build_trial_recipe(config).training.max_windows == limit


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({}, "sweep.space is empty: nothing to search"),
        ({"model.k": {"low": 3}}, r"sweep\.space\.model\.k=\{'low': 3\}; allowed are"),
        ({"model.k": {"low": 3, "high": 3}}, "low is not below high"),
        ({"model.k": {"choices": []}}, "allowed are"),
        ({"model.k": {"low": "a", "high": 3}}, "allowed are"),
        # What would move who is tested, or what counts as found.
        ({"seed": {"low": 3, "high": 9}}, "seed has to be the same in all trials"),
        ({"split.test_share": {"low": 0.3, "high": 0.9}}, "has to be the same in all trials"),
        ({"labels": {"choices": ["detection", "forecasting"]}}, "has to be the same in all trials"),
        ({"scoring.max_false_alarms_per_24h": {"low": 3, "high": 9}}, "has to be the same in all trials"),
        ({"++seed": {"low": 3, "high": 9}}, r"\+\+seed: allowed are keys and groups"),
        ({"model.k": {"low": 0, "high": 9, "log": True}}, r"model\.k: .*low"),
        ({"model.k": {"low": 1, "high": 9, "step": 0}}, r"model\.k: .*step"),
        ({"features": {"choices": ["all", "orignal"]}}, "there is no orignal; allowed are all, original"),
        ({"windows.lengths_s": {"choices": [{"entropy": [60]}]}}, "choices are words, numbers or lists"),
    ],
)
def test_an_invalid_dimension_is_refused(values: dict[str, dict[str, object]], says: str) -> None:
    with pytest.raises(AuraError, match=says):
        search_space(values)


def test_an_unknown_key_is_refused_before_any_trial(trained: Project, capsys: pytest.CaptureFixture[str]) -> None:
    assert trained.run("sweep", "sweep.space={model.depth:{low:1,high:3}}") == 1
    assert "model.depth" in capsys.readouterr().err
    assert trained.run("sweep", SPACE, "sweep.objectives=[auc]") == 1
    assert (
        "sweep.objectives=['auc']; allowed are f1, sensitivity, false_alarms_per_assessed_24h"
        in capsys.readouterr().err
    )


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
    assert str([float(s) for s in again.windows.lengths_s["entropy"]]) == str(
        [float(s) for s in yaml.safe_load(tested.data.params["windows.lengths_s.entropy"])]
    )
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


def sketch(tmp_path: Path) -> AbstractContextManager[SharedStudy]:
    return shared_study("sketch", f"sqlite:///{tmp_path}/s.db", ["maximize"], {"seed": "1"}, lambda trial: None, str)


def choose(trial: optuna.Trial) -> list[str]:
    return [str(trial.suggest_float("x", 0, 1))]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OutageError("away"), OSError(28, "No space left on device")])
def test_an_interrupted_trial_is_tried_again(tmp_path: Path, error: BaseException) -> None:
    tried: list[list[str]] = []

    def attempt(trial: optuna.Trial, words: list[str]) -> list[float]:
        tried.append(words)
        if len(tried) == 2:
            raise error
        return [float(words[0])]

    with sketch(tmp_path) as shared, pytest.raises(type(error)):
        shared.work(choose, attempt, 3)
    with sketch(tmp_path) as shared:
        shared.work(choose, attempt, 3)
        assert len(shared.finished()) == 3
    assert tried[2] == tried[1]
    assert len(tried) == 4


def test_a_trial_that_runs_out_of_memory_every_time_fails(tmp_path: Path) -> None:
    def attempt(trial: optuna.Trial, words: list[str]) -> list[float]:
        if trial.number == 0 or trial.params == first[0]:
            first.append(dict(trial.params))
            raise MemoryError
        return [1.0]

    first: list[dict[str, object]] = []
    for _ in range(3):
        with sketch(tmp_path) as shared, pytest.raises(MemoryError):
            shared.work(choose, attempt, 3)
    with sketch(tmp_path) as shared:
        shared.work(choose, attempt, 3)
        (refused,) = [t for t in shared.finished() if t.state == TrialState.FAIL]
    assert refused.params == first[0]
    assert refused.user_attrs["error"].startswith("MemoryError in each of 3 tries")


def test_a_trial_whose_process_is_killed_while_choosing_is_queued_again(tmp_path: Path) -> None:
    with sketch(tmp_path) as shared:
        # As by a process that was killed before it could say that it is alive.
        shared.study.enqueue_trial({"x": 0.125})
        with pytest.warns(UserWarning, match="Heartbeat"):
            shared.study.ask()
    with sketch(tmp_path) as shared:
        shared.work(choose, lambda trial, words: [float(words[0])], 2)
        assert 0.125 in [t.value for t in shared.finished()]


def test_a_process_that_slept_continues_after_another_took_its_trial(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def attempt(trial: optuna.Trial, words: list[str]) -> list[float]:
        if trial.number == 0:
            shared.study.tell(0, state=TrialState.FAIL)
            trial.set_user_attr("f1", 1.0)
        return [1.0]

    with sketch(tmp_path) as shared:
        shared.work(choose, attempt, 2)
        assert len(shared.finished()) == 2
    assert "trial 0 belongs to another process now" in capsys.readouterr().out


def test_a_repeated_trial_copies_the_result(tmp_path: Path) -> None:
    tried = []

    def attempt(trial: optuna.Trial, words: list[str]) -> list[float]:
        tried.append(words[0])
        if words[0] == "c":
            raise optuna.TrialPruned
        return [ord(words[0])]

    with sketch(tmp_path) as shared:
        shared.work(lambda trial: [trial.suggest_categorical("x", ["a", "b", "c"])], attempt, 20)
        assert len(shared.finished()) == 20
        assert all(t.value == ord(t.params["x"]) for t in shared.finished() if t.state == TrialState.COMPLETE)
    assert sorted(tried) == ["a", "b", "c"]


def test_processes_that_share_a_study_do_exactly_n_trials(tmp_path: Path) -> None:
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom tests.search.test_sweep import sketch, choose\n"
        "def attempt(trial, words):\n    time.sleep(0.05)\n    return [float(words[0])]\n"
        "with sketch(Path(sys.argv[1])) as shared:\n    shared.work(choose, attempt, 20)\n"
    )
    processes = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], cwd=PROJECT) for _ in range(3)]
    assert [process.wait() for process in processes] == [0, 0, 0]
    with sketch(tmp_path) as shared:
        assert len(shared.study.trials) == len(shared.finished()) == 20


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
def postgresql(database: str) -> str:
    """A database of the test's own, by its address."""
    return database.replace("postgresql://", "postgresql+psycopg://")


def wait(what: Callable[[], bool], process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 120
    while not what():
        assert process.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_two_processes_share_a_study_and_one_is_killed(
    trained: Project, postgresql: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With kill -9 in the midst of a trial: no trial is lost, none is done twice, and one run has them all."""
    monkeypatch.setenv("AURA_SWEEP_HEARTBEAT_S", "3")
    words = [SPACE, f"sweep.storage='{postgresql}'", "sweep.study=shared", "sweep.n_trials=6"]
    # Enough trees for a trial to take a while.
    more = ["model.n_estimators=60", "tracking.model_name=shared", "split.test_share=0.4"]
    command = [sys.executable, "-m", "aura", "sweep", *trained.overrides, *words, *more]
    one, other = (
        subprocess.Popen(
            command, cwd=PROJECT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True
        )
        for _ in range(2)
    )

    def both_at_work() -> bool:
        running = [t for t in trials_of("shared", postgresql)[0] if t.state == TrialState.RUNNING]
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
    trials, attributes = trials_of("shared", postgresql)
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
