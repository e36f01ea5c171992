"""Which features a detector relies on, on subjects it has not seen."""

import numpy as np
import pandas as pd
from sklearn.metrics import average_precision_score

from aura.learning.classifier import Classifier, seizure_probability
from aura.learning.feature_table import FeatureTable
from aura.learning.labels import INTERICTAL, TARGET

# Windows that are looked at, of each label, and how often each feature is shuffled.
N_WINDOWS, N_REPEATS = 4000, 3


def permutation_importance(model: Classifier, table: FeatureTable, *, seed: int) -> pd.DataFrame:
    """Say how much worse a model gets when a feature is shuffled among windows (Breiman 2001).

    Parameters
    ----------
    model
        Fitted.
    table
        Recordings it was not fitted on.
    seed
        Of the windows that are drawn, and of the shuffling.

    Returns
    -------
    DataFrame
        A row per feature, the most important first: ``feature``, ``importance``, the mean loss in average precision,
        and ``spread``, its standard deviation over shuffles.
    """
    rng = np.random.default_rng(seed)
    labels = [table.labels(number) for number in range(len(table))]
    counts = {label: max(sum(int((of_one == label).sum()) for of_one in labels), 1) for label in (TARGET, INTERICTAL)}
    parts = []
    for number, of_one in enumerate(labels):
        share = np.zeros(len(of_one))
        for label, count in counts.items():
            share[of_one == label] = N_WINDOWS / count
        chosen = rng.random(len(of_one)) < share
        if chosen.any():
            parts.append((table.read(number)[chosen], of_one[chosen] == TARGET))
    x, is_target = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    known = ~np.isnan(x).all(axis=1)
    x, is_target = x[known], is_target[known]
    whole = average_precision_score(is_target, seizure_probability(model, x))
    rows = []
    for column, feature in enumerate(table.features):
        losses = []
        for _ in range(N_REPEATS):
            shuffled = x.copy()
            shuffled[:, column] = rng.permutation(shuffled[:, column])
            probability = seizure_probability(model, shuffled)
            found = ~np.isnan(probability)
            losses.append(whole - average_precision_score(is_target[found], probability[found]))
        rows.append((feature, float(np.mean(losses)), float(np.std(losses))))
    frame = pd.DataFrame(rows, columns=["feature", "importance", "spread"])
    return frame.sort_values("importance", ascending=False, ignore_index=True)
