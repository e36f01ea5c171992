"""Baselines that a detector has to beat: one feature, compared with a threshold."""

from collections.abc import Sequence

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin

from aura.core.arrays import Floats, Ints, Singles
from aura.core.errors import InvalidInput


class OneFeature(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Rank windows by a single feature, such as the heart rate or Jeppesen's modified CSI.

    Parameters
    ----------
    feature
        Name of the column.
    columns
        Names of all columns; training sets them.
    """

    def __init__(self, feature: str, columns: Sequence[str]) -> None:
        self.feature = feature
        self.columns = columns

    def fit(self, x: Floats | Singles, y: Ints) -> "OneFeature":
        """Learn the median and the interquartile range of the feature over interictal windows.

        Raises
        ------
        InvalidInput
            If `feature` is not among `columns`.
        """
        if self.feature not in self.columns:
            raise InvalidInput(f"feature={self.feature} is not a feature; allowed are {', '.join(self.columns)}")
        self.classes_ = np.array([0, 1])
        values = x[y == 0, list(self.columns).index(self.feature)]
        low, self.median_, high = (float(q) for q in np.nanpercentile(values, [25, 50, 75]))
        self.range_ = high - low if high > low else 1.0
        return self

    def predict_proba(self, x: Floats | Singles) -> Floats:
        """Return (n_windows, 2) scores, the second rising with the feature from 0 to 1; NaN where it is missing.

        The scores are not probabilities, but can be calibrated.
        """
        z = (np.asarray(x[:, list(self.columns).index(self.feature)], dtype=np.float64) - self.median_) / self.range_
        # Unlike the logistic function, it distinguishes very large values.
        p = 0.5 + 0.5 * z / np.sqrt(1.0 + z**2)
        return np.column_stack((1.0 - p, p))
