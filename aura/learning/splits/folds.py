"""Folds, and the checks that every split must pass."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from aura.core.arrays import Bools, Ints
from aura.core.errors import AuraError
from aura.core.wording import counted

if TYPE_CHECKING:
    import pandas as pd

# Names listed in an error.
N_NAMED = 5


@dataclass(frozen=True, slots=True, eq=False)
class Fold:
    """The recordings that a model is fitted on, and those it is tested on.

    Parameters
    ----------
    name
        Short name of the test side.
    train, test
        (n_recordings,) disjoint; recordings in neither are not used.
    """

    name: str
    train: Bools
    test: Bools


class Split(Protocol):
    """A way to split a corpus; each YAML file of conf/split names one."""

    @property
    def personal(self) -> bool:
        """Whether the same person may be on both sides of a fold, with earlier and later recordings."""

    def __call__(self, recordings: "pd.DataFrame", *, seed: int) -> list[Fold]:
        """Split a table of recordings with the columns ``recording``, ``subject``, ``n_seizures`` and so on."""


def check_folds(folds: Sequence[Fold], recordings: "pd.DataFrame", *, personal: bool) -> None:
    """Raise for folds whose scores could not be trusted.

    Raises
    ------
    AuraError
        If a subject, a recording, or recordings with identical beats are on both sides, or if a side has no seizure;
        the message names them.
    """
    for fold in folds:
        both = fold.train & fold.test
        if both.any():
            raise AuraError(f"split, {fold.name}: on both sides are {_named(recordings['recording'][both])}")
        train, test = recordings[fold.train], recordings[fold.test]
        same = set(train["subject"]) & set(test["subject"])
        if same and not personal:
            raise AuraError(f"split, {fold.name}: on both sides are the subjects {_named(sorted(same))}")
        twins = train.merge(test, on="rr_digest", suffixes=("", "_test"))
        if len(twins):
            pairs = [
                f"{train_name} = {test_name}"
                for train_name, test_name in zip(twins["recording"], twins["recording_test"], strict=True)
            ]
            raise AuraError(
                f"split, {fold.name}: recordings with the very same beats are on both sides: {_named(pairs)}; "
                "remove one of each from the corpus"
            )
        for side, rows in (("train", train), ("test", test)):
            if not rows["n_seizures"].sum():
                with_seizures = recordings[recordings["n_seizures"] > 0]
                raise AuraError(
                    f"split, {fold.name}: the {side} side has {counted(len(rows), 'recording')} of "
                    f"{counted(rows['subject'].nunique(), 'subject')} and no seizure; the corpus has "
                    f"{counted(with_seizures['n_seizures'].sum(), 'seizure')} of "
                    f"{counted(with_seizures['subject'].nunique(), 'subject')}; "
                    "try another split or seed"
                )


def assign_folds(groups: "pd.Series", n_seizures: "pd.Series", *, n_folds: int, seed: int) -> Ints:
    """Assign groups of recordings to folds with similar numbers of seizures.

    Parameters
    ----------
    groups
        (n_recordings,) the group that stays in one fold, such as the subject.
    n_seizures
        (n_recordings,) number of seizures of each recording.
    n_folds
        Number of folds, at least 2.
    seed
        Seed of the order of groups with equal numbers of seizures.

    Returns
    -------
    (n_recordings,) Ints
        Number of the fold of each recording, from 0.

    Raises
    ------
    AuraError
        If fewer groups than folds have seizures.
    """
    counts = n_seizures.groupby(groups).sum().sort_index()
    n_with = int((counts > 0).sum())
    if n_with < n_folds:
        raise AuraError(
            f"{n_folds} folds need {n_folds} {groups.name}s with seizures; of the {len(counts)} to train on, {n_with} "
            f"{'has' if n_with == 1 else 'have'} seizures. Set train.folds, or add recordings"
        )
    order = np.random.default_rng(seed).permutation(len(counts))
    ordered = counts.iloc[order].sort_values(kind="stable", ascending=False)
    # Back and forth: the fold that gets the most in one round gets the least in the next.
    forth = np.arange(n_folds)
    numbers = np.resize(np.concatenate((forth, forth[::-1])), len(ordered))
    fold: Ints = groups.map(dict(zip(ordered.index, numbers, strict=True))).to_numpy(dtype=np.int64)
    return fold


def _named(names: "Sequence[str] | pd.Series") -> str:
    """List the first names, and the number of the rest."""
    shown = list(names)
    return ", ".join(shown[:N_NAMED]) + (f" and {len(shown) - N_NAMED} more" if len(shown) > N_NAMED else "")
