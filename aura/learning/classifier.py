"""The interface of a classifier, and its use in training and in serving alike."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Protocol, TypeGuard

import numpy as np

from aura.core.arrays import Bools, Floats, Ints, Singles
from aura.core.errors import AuraError
from aura.core.wording import counted
from aura.learning.labels import LEFT_OUT, TARGET

if TYPE_CHECKING:
    from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier


class Predictor(Protocol):
    """The part of a scikit-learn classifier that prediction needs."""

    def predict_proba(self, x: Floats | Singles) -> Floats:
        """Return (n_windows, 2) probabilities for (n_windows, n_features) features, NaN where missing."""


class Classifier(Predictor, Protocol):
    """The part of a scikit-learn classifier that training needs."""

    def get_params(self) -> dict[str, Any]:
        """Return the parameters by name."""

    def set_params(self, **params: Any) -> object:
        """Set some of the parameters."""

    def fit(self, x: Floats | Singles, y: Ints) -> object:
        """Fit to (n_windows, n_features) features, NaN where missing, and (n_windows,) labels of 0 and 1."""


def fit_classifier(model: Classifier, x: Floats | Singles, labels: Ints) -> Classifier:
    """Fit a model to all windows with features whose label is not `LEFT_OUT`.

    Parameters
    ----------
    model
        An unfitted model; it is fitted in place.
    x
        (n_windows, n_features) features, NaN where missing.
    labels
        (n_windows,) as in `aura.learning.labels.Labels`.

    Returns
    -------
    Classifier
        The same model, set to predict in one thread.

    Raises
    ------
    AuraError
        If the windows do not have both labels.
    """
    used = np.flatnonzero((labels != LEFT_OUT) & _has_features(x))
    if not (labels[used] == TARGET).any() or (labels[used] == TARGET).all():
        raise AuraError(
            f"nothing to learn from: {counted((labels[used] == TARGET).sum(), 'window is', 'windows are')} ictal (or "
            f"preictal) of {len(used)} with a label and a feature; the windows may be too long for the recordings"
        )
    model.fit(x[used], (labels[used] == TARGET).astype(np.int64))
    if "n_jobs" in model.get_params():
        # Threads add up the trees in the order they finish, which changes the last digit from run to run; and a server
        # answers one small request at a time.
        model.set_params(n_jobs=1)
    return model


def seizure_probability(model: Predictor, x: Floats | Singles) -> Floats:
    """Return the probability of a seizure for each row of features; NaN for rows without any feature.

    A forest would return a number for such rows too, learned from other missing values.

    Parameters
    ----------
    model
        A fitted model.
    x
        (n_windows, n_features) features, NaN where missing.

    Returns
    -------
    (n_windows,) Floats
        From 0 to 1, or NaN.
    """
    out = np.full(len(x), np.nan)
    described = _has_features(x)
    if described.any():
        out[described] = _probability(model, x, described)
    return out


def _probability(model: Predictor, x: Floats | Singles, described: Bools) -> Floats:
    """Return the probability of a seizure for the rows that have a feature."""
    if not is_forest(model):
        return model.predict_proba(x[described])[:, 1]
    total = np.zeros(int(described.sum()))
    for votes in vote(model, x[described]):
        total += votes
    return np.asarray(total / len(model.estimators_), dtype=np.float64)


def is_forest(model: Predictor) -> "TypeGuard[RandomForestClassifier | ExtraTreesClassifier]":
    """Return whether a model is a forest, whose trees vote."""
    # Imported where a model exists: it takes most of a second, and much of Aura only names this module.
    from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier

    return isinstance(model, RandomForestClassifier | ExtraTreesClassifier)


def vote(model: "RandomForestClassifier | ExtraTreesClassifier", x: Floats | Singles) -> Iterator[Floats]:
    """Yield the (n_windows,) probabilities of each tree of a forest, for rows with a feature."""
    # As predict_proba of a forest, without its overhead per tree, which is most of the time for a single row and sets
    # warning filters, which threads share.
    rows = np.ascontiguousarray(x, dtype=np.float32)
    for tree in model.estimators_:
        yield tree.tree_.value[:, 0, 1].take(tree.tree_.apply(rows))


def _has_features(x: Floats | Singles) -> Bools:
    """Return (n_windows,) whether a window has at least one feature."""
    return np.asarray(~np.isnan(x).all(axis=1), dtype=np.bool_)
