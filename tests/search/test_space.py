"""A search space without a configuration: the caller says what may be searched."""

from typing import Any

import pytest
from optuna.trial import FixedTrial

from aura.core.errors import InvalidInput
from aura.search.dimension import Keys
from aura.search.space import Space

KEYS = Keys(
    sections=["model", "depth"],
    exists=lambda key: key != "nothing",
    is_searchable=lambda key: key != "seed",
    options=lambda key: ["forest", "trees"] if key == "model" else [],
    holds_list=lambda key: key == "lengths",
)
CONDITIONAL = {
    "model": {"type": "categorical", "choices": ["forest", "trees"]},
    "boost": {"choices": [True, False], "when": {"model": "trees"}},
    "depth": {"type": "int", "low": 1, "high": 9, "when": {"model": "forest"}},
    "rate": {"type": "float", "low": 0.1, "high": 1, "when": {"boost": True}},
}


def read(values: dict[str, Any]) -> Space:
    return Space.from_mapping(values, KEYS)


def test_a_trial_draws_one_override_per_dimension() -> None:
    space = read(
        {
            "model": {"choices": ["trees", "forest"]},
            "depth": {"low": 1, "high": 9, "step": 2},
            "share": {"low": 0.1, "high": 0.5},
            "lengths": {"low": 10, "high": 60},
        }
    )
    assert list(space.examples()) == [["model=trees", "depth=1", "share=0.1", "lengths=[10]"]]
    overrides = space.suggest(FixedTrial({"model": "forest", "depth": 3, "share": 0.25, "lengths": 30}))
    assert overrides == ["model=forest", "depth=3", "share=0.25", "lengths=[30]"]


@pytest.mark.parametrize(
    ("words", "values"),
    [
        ({"type": "int", "low": 1, "high": 4}, [1, 2, 3, 4]),
        ({"type": "float", "low": 0, "high": 1, "step": 0.5}, [0.0, 0.5, 1.0]),
        ({"low": 0.1, "high": 0.7, "step": 0.2}, [0.1, 0.3, 0.5, 0.7]),
        ({"type": "categorical", "choices": [3, "a", [60], None]}, ["3", "a", "[60]", "null"]),
    ],
)
def test_the_words_are_those_of_optuna(words: dict[str, Any], values: list[Any]) -> None:
    assert read({"depth": words}).grid() == {"depth": values}
    assert read({"depth": {**words, "log": False} if "low" in words else words}).grid() == {"depth": values}


def test_a_logarithmic_range_is_one_of_optuna() -> None:
    (dimension,) = read({"rate": {"type": "float", "low": 1, "high": 100, "log": True}}).dimensions
    assert str(dimension.distribution) == "FloatDistribution(high=100.0, log=True, low=1.0, step=None)"


def test_a_key_with_a_condition_exists_only_in_trials_that_meet_it() -> None:
    space = read(CONDITIONAL)
    trees = {"model": "trees", "boost": "true", "rate": 0.5}
    assert space.suggest(FixedTrial({"model": "forest", "depth": 3})) == ["model=forest", "depth=3"]
    assert space.suggest(FixedTrial(trees)) == ["model=trees", "boost=true", "rate=0.5"]
    assert space.suggest(FixedTrial({"model": "trees", "boost": "false"})) == ["model=trees", "boost=false"]


def test_examples_of_trials_show_every_key() -> None:
    assert list(read(CONDITIONAL).examples()) == [
        ["model=forest", "depth=1"],
        ["model=trees", "boost=true", "rate=0.1"],
    ]


def test_values_of_a_configuration_become_parameters() -> None:
    space = read(
        {**CONDITIONAL, "lengths": {"low": 10, "high": 60, "step": 10}, "words": {"choices": [[60], [30, 60]]}}
    )
    values = {"model": "forest", "depth": 9, "boost": True, "lengths": [20.0], "words": [60.0], "other": 1}
    found = space.find_all(values)
    assert found == {"model": "forest", "depth": 9, "lengths": 20, "words": "[60]"}
    assert type(found["lengths"]) is int
    # What a trial stored is found again.
    assert space.find_all(found) == space.find(found) == found


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"depth": 10}, "depth exists only with model=forest"),
        ({"model": "forest", "depth": 10}, "depth=10; allowed is 1 to 9"),
        ({"model": "forest", "depth": 2.5}, "depth=2.5; allowed is 1 to 9"),
        ({"model": "forest", "depth": True}, "depth=true; allowed is 1 to 9"),
        ({"model": "shrub"}, "model=shrub; allowed is one of forest, trees"),
        ({"model": "trees", "boost": 1}, "boost=1; allowed is one of true, false"),
        ({"share": 1}, "share is not searched; allowed are model, boost, depth, rate"),
    ],
)
def test_a_value_outside_of_the_space_is_named(values: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidInput) as error:
        read(CONDITIONAL).find(values)
    assert str(error.value) == says


def test_a_configuration_needs_a_value_for_each_key_of_its_trial() -> None:
    with pytest.raises(InvalidInput, match=r"^depth has no value$"):
        read(CONDITIONAL).find_all({"model": "forest"})


def test_a_grid_needs_a_step() -> None:
    with pytest.raises(InvalidInput, match=r"^space\.rate has no step; a grid needs step or choices$"):
        read(CONDITIONAL).grid()


@pytest.mark.parametrize(
    ("key", "values", "message"),
    [
        (
            "seed",
            {"low": 1, "high": 2},
            "space.seed: seed has to be the same in all trials of a sweep; allowed",
        ),
        ("nothing", {"low": 1, "high": 2}, "space.nothing: there is no key nothing; allowed are keys of model, depth"),
        ("model", {"choices": ["shrub"]}, "space.model: there is no shrub; allowed are forest, trees"),
        ("model", {"choices": []}, "space.model.choices=[]; allowed are lists such as [a, b]"),
        ("depth", {"low": 2, "high": 1}, "space.depth: low is not below high (2 and 1)"),
        ("depth", {"type": "int", "low": 1, "hihg": 2}, "space.depth: there is no hihg; allowed are type, low, high"),
        ("depth", {"type": "integer", "low": 1}, "space.depth.type=integer; allowed are float, int, categorical"),
        (
            "depth",
            {"type": "int", "choices": [1]},
            "space.depth: type int takes no choices; allowed are low, high",
        ),
        ("depth", {"type": "categorical", "low": 1}, "space.depth: type categorical takes no low; allowed are"),
        ("depth", {"type": "int", "low": 1}, "space.depth has no high; write {type: int, low: 1, high: 9} or"),
        ("depth", {"type": "int", "low": 0.5, "high": 2}, "space.depth.low=0.5; allowed are whole numbers"),
        ("depth", {"type": "float", "low": "a", "high": 2}, "space.depth.low=a; allowed are numbers"),
        ("depth", {"low": 1, "high": 9, "step": 3}, "space.depth: high=9 is no whole number of steps of 3 above low=1"),
        ("depth", {"low": 1, "high": 9, "log": "yes"}, "space.depth.log=yes; allowed are true, false"),
        ("depth", {"low": 0, "high": 9, "log": True}, "space.depth: "),
        ("depth", {"low": 1, "high": 9, "when": "forest"}, "space.depth.when=forest; write {model: random_forest}"),
        ("depth", {"low": 1, "high": 9, "when": {"model": 1}}, "space.depth.when.model: allowed are keys with choices"),
        ("depth", 3, "space.depth=3; write {type: int, low: 1, high: 9} or"),
    ],
)
def test_the_message_starts_with_the_parameter(key: str, values: Any, message: str) -> None:
    with pytest.raises(InvalidInput) as error:
        read({key: values})
    assert str(error.value).startswith(message)


@pytest.mark.parametrize(
    ("when", "message"),
    [
        ({"model": "shrub"}, "space.share.when.model=shrub; allowed is one of forest, trees"),
        ({"model": []}, "space.share.when.model is empty; allowed is one of forest, trees"),
        (
            {"depth": 3},
            "space.share.when.depth: allowed are keys with choices before this one: model, boost",
        ),
        (
            {"model": "forest", "boost": True},
            "space.share.when: its conditions exclude each other",
        ),
    ],
)
def test_a_condition_that_cannot_be_met_is_refused(when: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput) as error:
        read({**CONDITIONAL, "share": {"low": 0.1, "high": 0.5, "when": when}})
    assert str(error.value) == message
