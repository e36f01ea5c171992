"""What a model owes to each feature and to each tree, on windows of subjects that it has not seen."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from aura.core.arrays import Bools, Floats, Singles
from aura.learning.classifier import Classifier, is_forest, seizure_probability, vote
from aura.learning.feature_table import FeatureTable
from aura.learning.labels import INTERICTAL, TARGET

# Windows drawn of each label, and shuffles of each feature.
N_WINDOWS, N_REPEATS = 4000, 3


@dataclass(frozen=True, slots=True, eq=False)
class DrawnWindows:
    """Windows drawn at random, about as many ictal as interictal ones.

    Parameters
    ----------
    features
        Names of the features.
    x
        (n_windows, n_features) features, NaN where missing.
    is_target
        (n_windows,) whether a window is a target, such as ictal.
    """

    features: Sequence[str]
    x: Singles | Floats
    is_target: Bools


def draw_windows(table: FeatureTable, *, seed: int) -> DrawnWindows:
    """Draw windows of recordings that a model was not fitted on."""
    rng = np.random.default_rng(seed)
    labels = [table.labels(number) for number in range(len(table))]
    counts = {label: max(sum(int((values == label).sum()) for values in labels), 1) for label in (TARGET, INTERICTAL)}
    parts = []
    for number, values in enumerate(labels):
        share = np.zeros(len(values))
        for label, count in counts.items():
            share[values == label] = N_WINDOWS / count
        chosen = rng.random(len(values)) < share
        if chosen.any():
            parts.append((table.read(number)[chosen], values[chosen] == TARGET))
    x, is_target = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    has_features = ~np.isnan(x).all(axis=1)
    return DrawnWindows(table.features, x[has_features], is_target[has_features])


def compute_importance(model: Classifier, drawn: DrawnWindows, *, seed: int) -> pd.DataFrame:
    """Measure the loss of average precision when a feature is shuffled among windows (Breiman 2001).

    The loop is Aura's own, since scikit-learn's function draws other shuffles: the importances of earlier runs stay
    reproducible.

    Parameters
    ----------
    model
        A fitted model.
    drawn
        Windows of recordings that the model was not fitted on.
    seed
        Seed of the shuffles.

    Returns
    -------
    DataFrame
        One row per feature, sorted by importance: ``feature``; ``importance``, the mean loss of average precision; and
        ``spread``, its standard deviation over shuffles.
    """
    from sklearn.metrics import average_precision_score

    rng = np.random.default_rng(seed)
    x, is_target = drawn.x, drawn.is_target
    whole = average_precision_score(is_target, seizure_probability(model, x))
    rows = []
    for column, feature in enumerate(drawn.features):
        losses = []
        for _ in range(N_REPEATS):
            shuffled = x.copy()
            shuffled[:, column] = rng.permutation(shuffled[:, column])
            probability = seizure_probability(model, shuffled)
            assessed = ~np.isnan(probability)
            losses.append(whole - average_precision_score(is_target[assessed], probability[assessed]))
        rows.append((feature, float(np.mean(losses)), float(np.std(losses))))
    frame = pd.DataFrame(rows, columns=["feature", "importance", "spread"])
    return frame.sort_values("importance", ascending=False, ignore_index=True)


def compute_size_curve(model: Classifier, drawn: DrawnWindows) -> pd.DataFrame:
    """Compute the average precision of the first trees of a forest, which shows whether more trees would help.

    Returns
    -------
    DataFrame
        A row per number of trees, doubling: ``trees`` and ``average_precision``. Empty if the model is no forest.
    """
    from sklearn.metrics import average_precision_score

    rows = []
    if is_forest(model):
        total, n_trees = np.zeros(len(drawn.x)), len(model.estimators_)
        for number, votes in enumerate(vote(model, drawn.x), start=1):
            total += votes
            if number == n_trees or number.bit_count() == 1:
                rows.append((number, float(average_precision_score(drawn.is_target, total / number))))
    return pd.DataFrame(rows, columns=["trees", "average_precision"])
