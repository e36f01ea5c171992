"""Hydra's sweeper of Optuna, as the stage that does the same."""

import shlex

import pytest
from optuna.trial import FixedTrial

from aura.cli import main
from aura.config.compose import compose
from aura.config.sweeper import explain_sweeper
from aura.stages.sweep import SweepConfig
from aura.stages.sweep.setup import search_space


def equivalent(*words: str) -> list[str]:
    """The overrides of the command that is offered."""
    text = explain_sweeper(["hydra/sweeper=optuna", *words])
    assert text is not None
    return shlex.split(text.partition("write: python -m aura sweep ")[2].partition(" (left out")[0])


def test_the_command_searches_the_same_values() -> None:
    given = (
        "model=random_forest,extra_trees",
        "model.max_depth=range(4,10,2)",
        "model.min_samples_leaf=tag(log,int(interval(1,200)))",
        "model.max_samples=interval(0.1,0.9)",
        "windows.lengths_s.entropy=choice([30],[30,60])",
        "train.calibrate=choice(true,false)",
    )
    config = compose(equivalent(*given, "hydra.sweeper.n_trials=7", "seed=3"))
    options = config.section(SweepConfig)
    assert (options.n_trials, config.seed) == (7, 3)
    assert options.space == {
        "model": {"type": "categorical", "choices": ["random_forest", "extra_trees"]},
        "model.max_depth": {"type": "int", "low": 4, "high": 8, "step": 2},
        "model.min_samples_leaf": {"type": "int", "low": 1, "high": 200, "log": True},
        "model.max_samples": {"type": "float", "low": 0.1, "high": 0.9},
        "windows.lengths_s.entropy": {"type": "categorical", "choices": [[30], [30, 60]]},
        "train.calibrate": {"type": "categorical", "choices": [True, False]},
    }
    assert (
        len(
            search_space(options.space).suggest(
                FixedTrial(
                    {
                        "model": "extra_trees",
                        "model.max_depth": 8,
                        "model.min_samples_leaf": 9,
                        "model.max_samples": 0.5,
                        "windows.lengths_s.entropy": "[30]",
                        "train.calibrate": "true",
                    }
                )
            )
        )
        == 6
    )


def test_a_range_ends_before_its_stop_as_in_hydra() -> None:
    config = compose(equivalent("model.max_samples=range(0.2,0.8,0.2)", "windows.step_s=range(1,4)"))
    assert config.section(SweepConfig).space == {
        "model.max_samples": {"type": "float", "low": 0.2, "high": 0.6, "step": 0.2},
        "windows.step_s": {"type": "int", "low": 1, "high": 3},
    }


def test_the_sampler_of_the_plugin_is_that_of_the_sweep() -> None:
    words = equivalent(
        "hydra/sweeper/sampler=tpe", "hydra.sweeper.sampler.n_startup_trials=5", "hydra.sweeper.study_name=x"
    )
    config = compose(words)
    assert config.sampler["n_startup_trials"] == 5
    assert config.section(SweepConfig).study == "x"


def test_what_has_no_equivalent_is_named() -> None:
    text = explain_sweeper(["hydra.sweeper=optuna", "hydra.sweeper.direction=maximize"])
    assert text is not None
    assert text.endswith("python -m aura sweep (left out: hydra.sweeper.direction=maximize)")


def test_other_words_are_left_to_hydra() -> None:
    assert explain_sweeper(["hydra/sweeper=basic", "seed=1,2"]) is None
    assert explain_sweeper(["hydra/sweeper=optuna", "seed=choice(1"]) is None


@pytest.mark.parametrize("argv", [["-m", "train"], ["train", "-m"], ["train"], ["sweep"], ["detect"]])
def test_the_command_is_offered_in_one_line(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*argv, "hydra/sweeper=optuna", "windows.step_s=1,3"]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"aura {argv[-1] if argv[0] == '-m' else argv[0]}: hydra/sweeper=optuna is the stage sweep")
    assert said.endswith("python -m aura sweep 'sweep.space={windows.step_s: {type: categorical, choices: [1, 3]}}'\n")
    assert said.count("\n") == 1
