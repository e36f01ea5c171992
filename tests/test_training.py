from functools import partial

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import (
    BaggingClassifier,
    ExtraTreesClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.metrics import roc_auc_score
from sklearn.tree import DecisionTreeClassifier

from aura.classifier import fit, seizure_probability
from aura.errors import AuraError
from aura.labels import LEFT_OUT
from aura.scoring import EventRules
from aura.training import ScoredRecording, check_parameters, choose_threshold, event_curve, out_of_fold
from aura.types import Event, Floats, Ints


class OurTree(DecisionTreeClassifier):
    """A class that is not scikit-learn's own."""


FOREST = partial(RandomForestClassifier, n_estimators=30, min_samples_leaf=5, random_state=0)


def windows(seed: int = 0) -> tuple[Floats, Ints, Ints]:
    rng = np.random.default_rng(seed)
    subjects = np.repeat(np.arange(8), 200)
    labels = (rng.random(1600) < 0.15).astype(np.int64)
    return rng.normal(0, 1, (1600, 5)) + labels[:, None], labels, subjects


def test_out_of_fold_finds_what_is_there_and_chance_where_nothing_is() -> None:
    x, labels, subjects = windows()
    found = out_of_fold(FOREST, x, labels, subjects, n_folds=4, seed=0)
    assert roc_auc_score(labels, found) > 0.9
    shuffled = np.random.default_rng(1).permutation(labels)
    assert abs(roc_auc_score(shuffled, out_of_fold(FOREST, x, shuffled, subjects, n_folds=4, seed=0)) - 0.5) < 0.07


def test_who_it_is_does_not_help() -> None:
    """A feature that names the subject, which grouped folds must not reward."""
    subjects = np.repeat(np.arange(8), 200)
    rng = np.random.default_rng(2)
    labels = (rng.random(1600) < np.where(subjects % 2, 0.4, 0.05)).astype(np.int64)
    names = np.column_stack([subjects + rng.normal(0, 1e-3, 1600), rng.normal(0, 1, 1600)])
    assert roc_auc_score(labels, out_of_fold(FOREST, names, labels, subjects, n_folds=4, seed=0)) < 0.6


def test_windows_left_out_or_without_features_are_not_fitted() -> None:
    x, labels, _ = windows()
    spoiled_x, spoiled = x.copy(), labels.copy()
    spoiled[:300], spoiled_x[300:600] = LEFT_OUT, np.nan
    forest, other = fit(FOREST(), spoiled_x, spoiled), fit(FOREST(), x[600:], labels[600:])
    assert np.array_equal(forest.predict_proba(x), other.predict_proba(x))


def test_a_window_without_features_has_no_probability() -> None:
    x, labels, _ = windows()
    forest = fit(FOREST(), x, labels)
    some = np.array([[0.0, 1, 2, 3, 4], [np.nan] * 5, [0.0, np.nan, 2, 3, 4]])
    assert np.isnan(seizure_probability(forest, some)).tolist() == [False, True, False]
    assert len(seizure_probability(forest, np.empty((0, 5)))) == 0


def test_the_same_seed_gives_the_same_forest() -> None:
    x, labels, _ = windows()
    one, other = (fit(FOREST(n_jobs=n_jobs), x, labels).predict_proba(x) for n_jobs in (1, 2))
    assert np.array_equal(one, other)


def test_the_threshold_is_the_best_on_the_curve_and_of_equals_the_highest() -> None:
    curve = pd.DataFrame({"threshold": [0.1, 0.2, 0.3, 0.4], "f1": [0.2, 0.5, 0.5, np.nan]})
    assert choose_threshold(curve) == 0.3


def test_a_seizure_that_stands_out_is_found_without_a_false_alarm() -> None:
    rng = np.random.default_rng(3)
    probability = rng.random(3600) * 0.5
    probability[1000:1060] += 0.5
    recording = ScoredRecording("r", "s", 3600.0, 1.0, probability, (Event(1000, 60),))
    curve = event_curve([recording], EventRules())
    assert curve["f1"].max() == 1
    assert choose_threshold(curve) > 0.49


def test_what_could_not_be_served_is_refused_before_training() -> None:
    with pytest.raises(AuraError, match="cannot be served; it holds"):
        check_parameters(partial(BaggingClassifier, OurTree()))


@pytest.mark.parametrize("model", [RandomForestClassifier, ExtraTreesClassifier, HistGradientBoostingClassifier])
def test_the_models_named_in_the_docs_can_be_served(model: type) -> None:
    check_parameters(model)


@pytest.mark.parametrize("wrong", [{"n_estimators": "many"}, {"max_depth": -3}, {"criterion": "vibes"}, {"trees": 3}])
def test_wrong_parameters_are_refused_in_one_line(wrong: dict[str, object]) -> None:
    with pytest.raises(AuraError, match=next(iter(wrong))) as error:
        check_parameters(partial(RandomForestClassifier, **wrong))
    assert "\n" not in str(error.value)
