"""Splits by subject: no subject of the test side is on the training side."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from aura.core.errors import AuraError, InvalidInput, check_range
from aura.core.wording import counted
from aura.learning.splits.folds import Fold, assign_folds

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class BySubject:
    """Hold out a share of the subjects, with a similar distribution of seizures.

    Parameters
    ----------
    test_share
        Share of the subjects to test on, above 0 and below 1.
    """

    test_share: float
    personal = False

    def __post_init__(self) -> None:
        """Validate."""
        if not 0 < self.test_share < 1:
            raise InvalidInput(f"test_share={self.test_share} is out of range; allowed is above 0 and below 1")

    def __call__(self, recordings: "pd.DataFrame", *, seed: int) -> list[Fold]:
        """Return a single fold."""
        subjects = recordings.groupby("subject")["n_seizures"].sum().sort_index()
        rng = np.random.default_rng(seed)
        shuffled = subjects.iloc[rng.permutation(len(subjects))].sort_values(kind="stable", ascending=False)
        # Every 1/test_share-th subject in the order of seizures, from a random offset.
        ranks = np.floor(np.arange(len(shuffled) + 1) * self.test_share + rng.random())
        test = recordings["subject"].isin(set(shuffled.index[np.diff(ranks) > 0])).to_numpy(dtype=np.bool_)
        return [Fold("held-out subjects", ~test, test)]


@dataclass(frozen=True)
class KFold:
    """Test on every subject once, in folds with similar numbers of seizures.

    Parameters
    ----------
    k
        Number of folds.
    """

    k: int
    personal = False

    def __post_init__(self) -> None:
        """Validate."""
        check_range("k", self.k, 2, 1000)

    def __call__(self, recordings: "pd.DataFrame", *, seed: int) -> list[Fold]:
        """Return k folds."""
        numbers = assign_folds(recordings["subject"], recordings["n_seizures"], n_folds=self.k, seed=seed)
        return [
            Fold(f"fold {number + 1} of {self.k}", numbers != number, numbers == number) for number in range(self.k)
        ]


@dataclass(frozen=True)
class LeaveOneSubjectOut:
    """Test on one subject after the other; subjects without a seizure join the folds of the others.

    On their own they have no sensitivity, but their false alarms count.
    """

    personal = False

    def __call__(self, recordings: "pd.DataFrame", *, seed: int) -> list[Fold]:
        """Return one fold per subject with seizures."""
        subjects = recordings.groupby("subject")["n_seizures"].sum().sort_index()
        having, others = subjects.index[subjects > 0], subjects.index[subjects == 0]
        if not len(having):
            raise AuraError("split: no subject has a seizure")
        folds = []
        for number, subject in enumerate(having):
            tested = {subject, *others[number :: len(having)]}
            test = recordings["subject"].isin(tested).to_numpy(dtype=np.bool_)
            folds.append(Fold(f"subject {subject}", ~test, test))
        return folds


@dataclass(frozen=True)
class Official:
    """Use the official split of the corpus.

    Parameters
    ----------
    test
        Sides to test on; the others are trained on.
    """

    test: list[str]
    personal = False

    def __call__(self, recordings: "pd.DataFrame", *, seed: int) -> list[Fold]:
        """Return a single fold."""
        sides = recordings["split"].astype("object")
        if sides.isna().any():
            n = int(sides.isna().sum())
            raise AuraError(
                f"split=official, but no side of an official split is known for {n} of "
                f"{counted(len(sides), 'recording')}"
            )
        test = sides.isin(self.test).to_numpy(dtype=np.bool_)
        if not test.any() or test.all():
            there = ", ".join(sorted(set(sides)))
            raise AuraError(f"split.test={self.test}, but the sides of the corpus are {there}; name some, not all")
        return [Fold("official split", ~test, test)]
