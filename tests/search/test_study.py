"""A study that goes on whatever happens to the processes that share it."""

import subprocess
import sys
from contextlib import AbstractContextManager
from pathlib import Path

import optuna
import pytest
from optuna.pruners import NopPruner
from optuna.samplers import BaseSampler, TPESampler
from optuna.trial import TrialState

from aura.core.errors import OutageError
from aura.core.paths import PROJECT
from aura.search.grid import Grid
from aura.search.opening import Search, shared_study
from aura.search.study import SharedStudy, StudyError, set_constraint

pytestmark = pytest.mark.integration


def sketch(
    tmp_path: Path, name: str = "sketch", sampler: BaseSampler | None = None, seed: int = 1, second: str | None = None
) -> AbstractContextManager[SharedStudy]:
    search = Search(
        names=[name, second or name],
        objectives={"f1": "maximize"},
        settings={"seed": str(seed)},
        about={"about": "A sketch."},
        make_sampler=lambda number: sampler or TPESampler(seed=number),
        pruner=NopPruner(),
    )
    return shared_study(search, f"sqlite:///{tmp_path}/s.db", lambda trial: None, str)


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
        "import sys, time\nfrom pathlib import Path\nfrom tests.search.test_study import sketch, choose\n"
        "def attempt(trial, words):\n    time.sleep(0.05)\n    return [float(words[0])]\n"
        "with sketch(Path(sys.argv[1])) as shared:\n    shared.work(choose, attempt, 20)\n"
    )
    processes = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], cwd=PROJECT) for _ in range(3)]
    assert [process.wait() for process in processes] == [0, 0, 0]
    with sketch(tmp_path) as shared:
        assert len(shared.study.trials) == len(shared.finished()) == 20


def test_processes_that_share_a_grid_try_each_combination_once(tmp_path: Path) -> None:
    code = (
        "import sys, time\nfrom pathlib import Path\n"
        "from tests.search.test_study import grid_of_six, choose_from_grid\n"
        "def attempt(trial, words):\n    time.sleep(0.05)\n    return [1.0]\n"
        "with grid_of_six(Path(sys.argv[1])) as shared:\n    shared.work(choose_from_grid, attempt, 20)\n"
    )
    processes = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], cwd=PROJECT) for _ in range(3)]
    assert [process.wait() for process in processes] == [0, 0, 0]
    with grid_of_six(tmp_path) as shared:
        assert sorted(trial.params["x"] for trial in shared.finished()) == [0, 1, 2, 3, 4, 5]
        assert len(shared.study.trials) == 6


def grid_of_six(tmp_path: Path) -> AbstractContextManager[SharedStudy]:
    return sketch(tmp_path, sampler=Grid({"x": list(range(6))}, seed=1))


def choose_from_grid(trial: optuna.Trial) -> list[str]:
    return [str(trial.suggest_int("x", 0, 5))]


def test_an_interrupted_combination_of_a_grid_is_tried_again(tmp_path: Path) -> None:
    tried: list[str] = []

    def attempt(trial: optuna.Trial, words: list[str]) -> list[float]:
        tried.append(words[0])
        if len(tried) in (1, 6):
            raise KeyboardInterrupt
        return [1.0]

    for _ in range(2):
        with grid_of_six(tmp_path) as shared, pytest.raises(KeyboardInterrupt):
            shared.work(choose_from_grid, attempt, 20)
    with grid_of_six(tmp_path) as shared:
        shared.work(choose_from_grid, attempt, 20)
        assert {trial.params["x"] for trial in shared.finished()} == {0, 1, 2, 3, 4, 5}
    assert len(tried) == 8


def test_a_repeated_trial_has_the_constraint_of_the_first(tmp_path: Path) -> None:
    def attempt(trial: optuna.Trial, words: list[str]) -> list[float]:
        set_constraint(trial, "rate", float(words[0]) - 1)
        return [float(words[0])]

    with sketch(tmp_path) as shared:
        shared.work(lambda trial: [str(trial.suggest_int("x", 0, 2))], attempt, 12)
        assert all(trial.constraints == {"rate": trial.params["x"] - 1} for trial in shared.finished())
        assert any("repeats" in trial.user_attrs for trial in shared.finished())
        assert shared.study.best_trial.params == {"x": 1}


def test_a_constraint_of_the_first_try_is_kept(tmp_path: Path) -> None:
    def attempt(trial: optuna.Trial, words: list[str]) -> list[float]:
        set_constraint(trial, "rate", -1.0)
        if trial.number == 0:
            raise OutageError("away")
        return [1.0]

    with sketch(tmp_path) as shared, pytest.raises(OutageError):
        shared.work(choose, attempt, 1)
    with sketch(tmp_path) as shared:
        shared.work(choose, attempt, 1)
        assert [trial.constraints for trial in shared.finished()] == [{"rate": -1.0}]


def test_known_configurations_are_tried_first_and_once(tmp_path: Path) -> None:
    with sketch(tmp_path) as shared:
        assert shared.enqueue([{"x": 0.5}, {"x": 0.25}]) == 2
        shared.work(choose, lambda trial, words: [float(words[0])], 1)
    with sketch(tmp_path) as shared:
        assert shared.enqueue([{"x": 0.5}, {"x": 0.25}, {"x": 0.75}]) == 1
        shared.work(choose, lambda trial, words: [float(words[0])], 4)
        assert [trial.params["x"] for trial in shared.finished()][:3] == [0.5, 0.25, 0.75]
        assert len(shared.finished()) == 4


def test_another_study_is_ranked_from_its_best_trial_that_keeps_the_limits(tmp_path: Path) -> None:
    def attempt(trial: optuna.Trial, words: list[str]) -> list[float]:
        set_constraint(trial, "rate", float(words[0]) - 0.7)
        return [float(words[0])]

    with sketch(tmp_path, name="other") as shared:
        shared.enqueue([{"x": x} for x in (0.25, 0.5, 0.75, 0.125)])
        shared.work(choose, attempt, 4)
    with sketch(tmp_path) as shared:
        assert [trial.params["x"] for trial in shared.rank_other("other")] == [0.5, 0.25, 0.125]
        for name in ("sketch", "unknown"):
            with pytest.raises(
                StudyError, match=rf"^warm_start={name}: no other study has this name; there are other$"
            ):
                shared.rank_other(name)


def test_of_two_names_the_first_is_taken_that_has_no_other_settings(tmp_path: Path) -> None:
    with sketch(tmp_path, seed=1, second="sketch-1") as first, sketch(tmp_path, seed=1, second="sketch-1") as again:
        assert first.study.study_name == again.study.study_name == "sketch"
        assert again.study.metric_names == ["f1"]
        assert again.study.user_attrs["about"] == "A sketch."
    for _ in range(2):
        with sketch(tmp_path, seed=2, second="sketch-2") as other:
            assert other.study.study_name == "sketch-2"
    with pytest.raises(StudyError, match=r"^study=sketch was begun with other settings"), sketch(tmp_path, seed=2):
        pass


def test_each_process_of_a_study_has_a_number(tmp_path: Path) -> None:
    drawn = set()
    for _ in range(3):
        with sketch(tmp_path) as shared:
            shared.work(choose, lambda trial, words: [1.0], len(shared.finished()) + 1)
            drawn.add(shared.finished()[-1].params["x"])
    assert len(drawn) == 3
