"""A split for personal models."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from aura.core.errors import AuraError, InvalidInput
from aura.learning.splits.folds import Fold

if TYPE_CHECKING:
    import pandas as pd

# Recordings with seizures that the past needs: the threshold is chosen on one with a model fitted on the others.
MIN_PAST = 2


@dataclass(frozen=True)
class Personal:
    """Train on the earlier recordings of a subject and test on the later ones, one subject after the other.

    Subjects with too few recordings with seizures are left out.

    Parameters
    ----------
    past_share
        Smallest share of the recordings to train on; more are used until two of them have a seizure.
    """

    past_share: float
    personal = True

    def __post_init__(self) -> None:
        """Validate."""
        if not 0 < self.past_share < 1:
            raise InvalidInput(f"past_share={self.past_share} is out of range; allowed is above 0 and below 1")

    def __call__(self, recordings: "pd.DataFrame", *, seed: int) -> list[Fold]:
        """Return one fold per subject."""
        folds = []
        for subject, rows in recordings.groupby("subject", sort=True):
            unknown = rows["start"].isna() | rows["start"].duplicated(keep=False)
            # Names of sessions and recordings rise with time in every layout.
            ordered = rows.sort_values(["session", "recording"] if unknown.any() else "start", kind="stable")
            having = ordered["n_seizures"].to_numpy(dtype=np.int64) > 0
            seen = np.cumsum(having)
            enough = np.arange(1, len(ordered) + 1) >= self.past_share * len(ordered)
            cut = np.flatnonzero(enough & (seen >= MIN_PAST) & (seen < seen[-1]))
            if len(cut):
                past = ordered.index[: cut[0] + 1]
                train = recordings.index.isin(past)
                folds.append(Fold(f"subject {subject}", train, recordings["subject"].eq(subject).to_numpy() & ~train))
        if not folds:
            raise AuraError(
                f"split=personal: nobody has {MIN_PAST} recordings with seizures and another one later; allowed are "
                "corpora with several recordings per subject"
            )
        return folds
