"""What a detector has to beat: one feature, compared with a threshold."""

from collections.abc import Sequence

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin

from aura.core.arrays import Floats, Ints, Singles
from aura.core.errors import AuraError


class OneFeature(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Call the more ictal what has more of one feature, such as the heart rate or Jeppesen's modified CSI.

    Parameters
    ----------
    feature
        Name of the column.
    columns
        Names of all columns, which training gives it.
    """

    def __init__(self, feature: str, columns: Sequence[str]) -> None:
        self.feature = feature
        self.columns = columns

    def fit(self, x: Floats | Singles, y: Ints) -> "OneFeature":
        """Learn what is usual: the median and the interquartile range of interictal windows."""
        if self.feature not in self.columns:
            raise AuraError(f"model.feature={self.feature} is none of the features, {', '.join(self.columns)}")
        self.classes_ = np.array([0, 1])
        values = x[y == 0, list(self.columns).index(self.feature)]
        low, self.median_, high = (float(q) for q in np.nanpercentile(values, [25, 50, 75]))
        self.range_ = high - low if high > low else 1.0
        return self

    def predict_proba(self, x: Floats | Singles) -> Floats:
        """(n_windows, 2) of which the second rises with the feature, from 0 to 1; NaN where it is missing.

        It is no probability, but can be calibrated to one.
        """
        z = (np.asarray(x[:, list(self.columns).index(self.feature)], dtype=np.float64) - self.median_) / self.range_
        # Unlike a logistic function it tells very large values apart.
        p = 0.5 + 0.5 * z / np.sqrt(1.0 + z**2)
        return np.column_stack((1.0 - p, p))
