"""A search space without a configuration: the caller says what may be searched."""

import pytest
from optuna.trial import FixedTrial

from aura.core.errors import InvalidInput
from aura.search.space import Keys, Space

KEYS = Keys(
    is_searchable=lambda key: key != "seed",
    options=lambda key: ["forest", "trees"] if key == "model" else [],
    holds_list=lambda key: key == "lengths",
)


def test_a_trial_draws_one_override_per_dimension() -> None:
    space = Space.from_mapping(
        {
            "model": {"choices": ["trees", "forest"]},
            "depth": {"low": 1, "high": 9, "step": 2},
            "share": {"low": 0.1, "high": 0.5},
            "lengths": {"low": 10, "high": 60},
        },
        KEYS,
    )
    assert space.example() == {"model": "trees", "depth": 1, "share": 0.1, "lengths": 10}
    overrides = space.suggest(FixedTrial({"model": "forest", "depth": 3, "share": 0.25, "lengths": 30}))
    assert overrides == ["model=forest", "depth=3", "share=0.25", "lengths=[30]"]


@pytest.mark.parametrize(
    ("key", "values", "message"),
    [
        ("seed", {"low": 1, "high": 2}, "space.seed: seed has to be the same in all trials"),
        ("model", {"choices": ["shrub"]}, "space.model: there is no shrub; allowed are forest, trees"),
        ("depth", {"low": 2, "high": 1}, "space.depth: low is not below high"),
    ],
)
def test_the_message_starts_with_the_parameter(key: str, values: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidInput) as error:
        Space.from_mapping({key: values}, KEYS)
    assert str(error.value).startswith(message)
