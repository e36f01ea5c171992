"""Permutation importance of features, on subjects the model has not seen."""

import numpy as np
import pandas as pd

from aura.learning.classifier import Classifier, seizure_probability
from aura.learning.feature_table import FeatureTable
from aura.learning.labels import INTERICTAL, TARGET

# Windows drawn of each label, and shuffles of each feature.
N_WINDOWS, N_REPEATS = 4000, 3


def compute_importance(model: Classifier, table: FeatureTable, *, seed: int) -> pd.DataFrame:
    """Measure the loss of average precision when a feature is shuffled among windows (Breiman 2001).

    The loop is Aura's own, since scikit-learn's function draws other shuffles: the importances of earlier runs stay
    reproducible.

    Parameters
    ----------
    model
        A fitted model.
    table
        Recordings that the model was not fitted on.
    seed
        Seed of the drawing of windows, and of the shuffles.

    Returns
    -------
    DataFrame
        One row per feature, sorted by importance: ``feature``; ``importance``, the mean loss of average precision; and
        ``spread``, its standard deviation over shuffles.
    """
    from sklearn.metrics import average_precision_score

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
    x, is_target = x[has_features], is_target[has_features]
    whole = average_precision_score(is_target, seizure_probability(model, x))
    rows = []
    for column, feature in enumerate(table.features):
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
