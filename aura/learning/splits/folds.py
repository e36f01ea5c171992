"""What every split gives, and what no split may do."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pandas as pd

from aura.core.arrays import Bools, Ints
from aura.core.errors import AuraError

# Names that an error lists.
N_NAMED = 5


@dataclass(frozen=True, slots=True, eq=False)
class Fold:
    """Which recordings a model is fitted on, and on which it is tested.

    Parameters
    ----------
    name
        What is tested, in a word.
    train, test
        (n_recordings,) disjoint; what is in neither is not used.
    """

    name: str
    train: Bools
    test: Bools


class Split(Protocol):
    """A way to split a corpus; the YAML files of conf/split name one."""

    @property
    def personal(self) -> bool:
        """Whether the same person may be on both sides of a fold, in an earlier and in a later recording."""

    def __call__(self, recordings: pd.DataFrame, *, seed: int) -> list[Fold]:
        """Split a table with a row per recording: ``recording``, ``subject``, ``n_seizures`` and so on."""


def check(folds: Sequence[Fold], recordings: pd.DataFrame, *, personal: bool) -> None:
    """Refuse folds whose scores could not be trusted.

    Raises
    ------
    AuraError
        Where a subject, a recording, or recordings with the very same beats are on both sides, or a side has no
        seizure; naming them.
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
            pairs = [f"{one} = {other}" for one, other in zip(twins["recording"], twins["recording_test"], strict=True)]
            raise AuraError(
                f"split, {fold.name}: recordings with the very same beats are on both sides: {_named(pairs)}; "
                "remove one of each from the corpus"
            )
        for side, rows in (("train", train), ("test", test)):
            if not rows["n_seizures"].sum():
                raise AuraError(
                    f"split, {fold.name}: the {side} side has {len(rows)} recordings of {rows['subject'].nunique()} "
                    f"subjects and no seizure; the corpus has {recordings['n_seizures'].sum()} seizures of "
                    f"{recordings.loc[recordings['n_seizures'] > 0, 'subject'].nunique()} subjects; "
                    "try another split or seed"
                )


def deal(groups: pd.Series, n_seizures: pd.Series, *, n_folds: int, seed: int) -> Ints:
    """Deal groups of recordings out to folds, alike in their number of seizures.

    Parameters
    ----------
    groups
        (n_recordings,) what has to stay together: the subject.
    n_seizures
        (n_recordings,) of each.
    n_folds
        At least 2.
    seed
        Of the order of groups with as many seizures as each other.

    Returns
    -------
    (n_recordings,) Ints
        Number of the fold that each recording is in.

    Raises
    ------
    AuraError
        Where there are fewer groups with seizures than folds.
    """
    counts = n_seizures.groupby(groups).sum().sort_index()
    n_with = int((counts > 0).sum())
    if n_with < n_folds:
        raise AuraError(f"{n_folds} folds need as many {groups.name}s with seizures each; there are {n_with}")
    order = np.random.default_rng(seed).permutation(len(counts))
    dealt = counts.iloc[order].sort_values(kind="stable", ascending=False)
    # There and back again: who is dealt the most in one round is dealt the least in the next.
    there = np.arange(n_folds)
    fold = np.resize(np.concatenate((there, there[::-1])), len(dealt))
    found: Ints = groups.map(dict(zip(dealt.index, fold, strict=True))).to_numpy(dtype=np.int64)
    return found


def _named(names: Sequence[str] | pd.Series) -> str:
    shown = list(names)
    return ", ".join(shown[:N_NAMED]) + (f" and {len(shown) - N_NAMED} more" if len(shown) > N_NAMED else "")
