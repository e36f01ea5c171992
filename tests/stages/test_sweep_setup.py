"""What a sweep is set up with, before it opens a study."""

import inspect
import sys
from pathlib import Path
from typing import Any

import optuna
import pytest
import yaml
from hydra.utils import get_object
from optuna.trial import FixedTrial

from aura.config.compose import compose
from aura.config.help import describe_stage
from aura.config.stage import find_stages
from aura.core.errors import AuraError
from aura.core.paths import CONF
from aura.search.space import Space
from aura.stages.sweep.first import read_known
from aura.stages.sweep.setup import check_search, find_experiment, plan_search, search_space
from aura.stages.sweep.spread import localize

DEPTH = {"model.max_depth": {"type": "int", "low": 4, "high": 24, "step": 4}}


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
    ("values", "says"),
    [
        ({}, "sweep.space is empty: nothing to search"),
        ({"model.k": {"low": 3}}, r"sweep\.space\.model\.k has no high; write"),
        (
            {"modle.k": {"low": 3, "high": 5}},
            "there is no key modle.k; allowed are keys of detector, quality",
        ),
        # What would move who is tested, or what counts as found.
        ({"seed": {"low": 3, "high": 9}}, "seed has to be the same in all trials"),
        ({"split.test_share": {"low": 0.3, "high": 0.9}}, "has to be the same in all trials"),
        ({"labels": {"choices": ["detection", "forecasting"]}}, "has to be the same in all trials"),
        ({"scoring.max_false_alarms_per_24h": {"low": 3, "high": 9}}, "has to be the same in all trials"),
        ({"++seed": {"low": 3, "high": 9}}, r"\+\+seed: allowed are keys and groups"),
        ({"features": {"choices": ["all", "orignal"]}}, "there is no orignal; allowed are all, original"),
        ({"windows.lengths_s": {"choices": [{"entropy": [60]}]}}, "choices are words, numbers or lists"),
    ],
)
def test_an_invalid_dimension_is_refused(values: dict[str, dict[str, object]], says: str) -> None:
    with pytest.raises(AuraError, match=says):
        search_space(values)


@pytest.mark.parametrize("path", sorted(CONF.glob("experiments/*.yaml")), ids=lambda path: path.stem)
def test_spaces_of_experiments_are_valid_and_write_their_types(path: Path) -> None:
    space = yaml.safe_load(path.read_text()).get("sweep", {}).get("space", {})
    assert all("type" in words for words in space.values())
    for words in search_space(space).examples() if space else ():
        compose([f"experiments={path.stem}", *words])


@pytest.mark.parametrize(
    "path", sorted([*CONF.glob("sampler/*.yaml"), *CONF.glob("pruner/*.yaml")]), ids=lambda p: p.stem
)
def test_keys_and_defaults_of_samplers_and_pruners_are_those_of_optuna(path: Path) -> None:
    values = yaml.safe_load(path.read_text())
    parameters = inspect.signature(get_object(values.pop("_target_"))).parameters
    if path.parent.name == "sampler":
        assert values.pop("seed") == "${seed}"
    assert values == {key: parameters[key].default for key in values}


SAMPLERS = {
    "tpe": optuna.samplers.TPESampler,
    "gp": optuna.samplers.GPSampler,
    "nsgaii": optuna.samplers.NSGAIISampler,
    "cmaes": optuna.samplers.CmaEsSampler,
    "random": optuna.samplers.RandomSampler,
    "grid": optuna.samplers.GridSampler,
}
PRUNERS = {
    "median": optuna.pruners.MedianPruner,
    "hyperband": optuna.pruners.HyperbandPruner,
    "none": optuna.pruners.NopPruner,
}


def test_help_explains_the_keys_of_the_default_sampler_and_pruner() -> None:
    text = describe_stage(find_stages()["sweep"])
    assert "  sampler.n_startup_trials=10    Trials drawn at random before the model is used\n" in text
    assert "  pruner.n_startup_trials=5      Trials that must complete before one is stopped\n" in text
    assert "_target_" not in text


def plan(*overrides: str, space: dict[str, Any] | None = None) -> Any:
    config = compose(overrides)
    return plan_search(config, search_space(space or DEPTH), {"seed": "1"})


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
@pytest.mark.parametrize("name", SAMPLERS)
def test_a_sampler_is_chosen_by_its_name(name: str) -> None:
    assert {path.stem for path in CONF.glob("sampler/*.yaml")} == SAMPLERS.keys()
    assert isinstance(plan(f"sampler={name}").make_sampler(0), SAMPLERS[name])


@pytest.mark.parametrize("name", PRUNERS)
def test_a_pruner_is_chosen_by_its_name(name: str) -> None:
    assert {path.stem for path in CONF.glob("pruner/*.yaml")} == PRUNERS.keys()
    assert type(plan(f"pruner={name}").pruner) is PRUNERS[name]


def draw(sampler: optuna.samplers.BaseSampler, n: int = 12) -> list[int]:
    study = optuna.create_study(sampler=sampler)
    return [study.ask().suggest_int("model.max_depth", 4, 400) for _ in range(n)]


def test_a_process_draws_the_same_for_the_same_seed_and_other_processes_draw_others() -> None:
    of = {(seed, number): draw(plan(f"seed={seed}").make_sampler(number)) for seed in (1, 2) for number in (0, 1)}
    assert of[1, 0] == draw(plan("seed=1").make_sampler(0))
    assert len({str(drawn) for drawn in of.values()}) == 4
    assert draw(plan("seed=1", "sampler.seed=2").make_sampler(0)) == of[2, 0]


def test_processes_go_through_a_grid_in_the_same_order() -> None:
    one, other = (plan("sampler=grid").make_sampler(number) for number in (0, 1))
    assert one._all_grids == other._all_grids
    assert sorted(one._all_grids) == [(4,), (8,), (12,), (16,), (20,), (24,)]


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        (["sampler.n_startup_trials=many"], "sampler.n_startup_trials=many; allowed is a whole number"),
        (["sampler.n_startup_trials=true"], "sampler.n_startup_trials=True; allowed is a whole number"),
        (["sampler.multivariate=3"], "sampler.multivariate=3; allowed is true or false or null"),
        (["sampler.seed=-1"], "sampler.seed=-1 is out of range; allowed is 0 to 4.29497e+09"),
        (["+sampler.depth=1"], "there is no key sampler.depth; allowed beside it are: consider_prior,"),
        (["pruner.n_startup_trials=-1"], "pruner: Number of startup trials cannot be negative"),
        (["pruner=hyperband", "pruner.max_resource=all"], "pruner: The 'max_resource' should be integer or 'auto'."),
        (
            ["sampler=cmaes", "sweep.objectives=[f1,sensitivity]"],
            "sampler=cmaes has one objective; write sampler",
        ),
        (
            ["sweep.objectives=[auc]"],
            "sweep.objectives=['auc']; allowed are f1, sensitivity, false_alarms",
        ),
    ],
)
def test_a_search_that_cannot_be_done_is_refused_in_one_sentence(overrides: list[str], says: str) -> None:
    with pytest.raises(AuraError) as error:
        check_search(compose(overrides), search_space(DEPTH))
    assert str(error.value).startswith(says)
    assert "\n" not in str(error.value)


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_the_gaussian_process_names_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(AuraError, match=r"^sampler=gp needs PyTorch: pip install 'aura-ecg\[gp\]'$"):
        check_search(compose(["sampler=gp"]), search_space(DEPTH))


def test_a_grid_needs_a_step_in_each_range() -> None:
    space = search_space({"model.max_samples": {"low": 0.1, "high": 0.5}})
    with pytest.raises(
        AuraError, match=r"^sweep\.space\.model\.max_samples has no step; a grid needs step or choices$"
    ):
        check_search(compose(["sampler=grid"]), space)


def test_a_study_is_named_after_corpus_and_experiment() -> None:
    search = plan("dataset.name=ward", "experiments=forest_size")
    assert search.names[0] == "ward-forest_size"
    assert len(search.names[1]) == len("ward-forest_size-") + 6
    assert plan("dataset.name=ward").names[0] == "ward-sweep"
    assert plan("sweep.study=mine").names == ["mine"]
    assert search.about == {
        "corpus": "ward",
        "experiment": "forest_size",
        "question": "How large does the forest have to be?",
        "about": "Searches model.max_depth on the corpus ward for the highest f1 of training subjects, with at most 24 "
        "false alarms per 24 h of assessed time.",
    }
    assert find_experiment(["experiments=[step,cleaning]"]) == "step-cleaning"


def known(space: Space, *overrides: str) -> list[dict[str, Any]]:
    return read_known(compose(overrides), space)


def test_the_configuration_itself_is_tried_first_if_the_space_holds_it(capsys: pytest.CaptureFixture[str]) -> None:
    space = search_space(
        {
            "model": {"choices": ["random_forest", "hist_gradient_boosting"]},
            "model.max_depth": {"low": 4, "high": 24, "when": {"model": "random_forest"}},
            "model.learning_rate": {"low": 0.01, "high": 0.1, "when": {"model": "hist_gradient_boosting"}},
            "windows.lengths_s.entropy": {"low": 20, "high": 100, "step": 10},
        }
    )
    forest = {"model": "random_forest", "model.max_depth": 20, "windows.lengths_s.entropy": 60}
    boosted = {"model": "hist_gradient_boosting", "model.learning_rate": 0.05, "windows.lengths_s.entropy": 30}
    assert known(space) == [forest]
    assert known(space, "model=hist_gradient_boosting", "windows.lengths_s.entropy=[30]") == [boosted]
    assert known(space, "sweep.enqueue=[{model: random_forest, model.max_depth: 8}, default]") == [
        {"model": "random_forest", "model.max_depth": 8},
        forest,
    ]
    assert capsys.readouterr().out == ""
    assert known(space, "model.max_depth=40") == []
    assert capsys.readouterr().out == (
        "sweep: the configuration without a search is not tried first: model.max_depth=40; allowed is 4 to 24\n"
    )


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ("defualt", "sweep.enqueue[0]=defualt; allowed are default and values such as {model.max_depth: 8}"),
        ("{model.max_depth: 5}", "sweep.enqueue[0]: model.max_depth=5; allowed is 4 to 24 in steps of 4"),
        ("{model.depth: 5}", "sweep.enqueue[0]: model.depth is not searched; allowed are model.max_depth"),
    ],
)
def test_a_known_configuration_outside_of_the_space_is_refused(entry: str, says: str) -> None:
    with pytest.raises(AuraError) as error:
        known(search_space(DEPTH), f"sweep.enqueue=[{entry}]")
    assert str(error.value) == says


def test_a_worker_gets_the_same_folders_and_works_by_itself() -> None:
    given = ["compute=dask", "compute.workers=2", "seed=3", "workspace=some where", "dataset.root=data"]
    config = compose(localize(compose(given)))
    assert config.compute["_target_"] == "aura.execution.executors.Serial"
    assert (config.workspace, config.dataset.root) == (str(Path("some where").resolve()), str(Path("data").resolve()))
    assert config.seed == 3
