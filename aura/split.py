"""Who is trained on and who is tested: nobody is on both sides."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedGroupKFold

from aura.errors import AuraError
from aura.labels import TARGET
from aura.types import Bools, Ints


def by_subject(recordings: pd.DataFrame, *, test_share: float, seed: int) -> Bools:
    """Choose the subjects to test on, alike in their number of seizures to the others.

    Parameters
    ----------
    recordings
        A row per recording with ``subject`` and ``n_seizures``.
    test_share
        Share of the subjects, above 0 and below 1.
    seed
        Of the choice.

    Returns
    -------
    (n_recordings,) Bools
        Whether a recording is for testing.

    Raises
    ------
    AuraError
        Where one side would have no subject or no seizure.
    """
    subjects = recordings.groupby("subject")["n_seizures"].sum().sort_index()
    rng = np.random.default_rng(seed)
    shuffled = subjects.iloc[rng.permutation(len(subjects))].sort_values(kind="stable", ascending=False)
    # Every 1/test_share-th subject in the order of seizures, beginning anywhere.
    ranks = np.floor(np.arange(len(shuffled) + 1) * test_share + rng.random())
    test_subjects = set(shuffled.index[np.diff(ranks) > 0])
    test = recordings["subject"].isin(test_subjects).to_numpy(dtype=np.bool_)
    for side, rows in (("train", recordings[~test]), ("test", recordings[test])):
        if not rows["n_seizures"].sum():
            raise AuraError(
                f"split: the {side} side has {rows['subject'].nunique()} of {len(subjects)} subjects and no seizure; "
                "allowed is a corpus with seizures of at least two subjects; try another split.test_share or seed"
            )
    assert not set(recordings["subject"][test]) & set(recordings["subject"][~test])
    return test


def folds_by_subject(labels: Ints, subjects: Ints, *, n_folds: int, seed: int) -> Iterator[tuple[Ints, Ints]]:
    """Split windows into folds by subject, alike in their share of windows to be found.

    Yields
    ------
    train, test : Ints
        Indices of windows.

    Raises
    ------
    AuraError
        Where there are fewer subjects with seizures than folds.
    """
    with_targets = len(np.unique(subjects[labels == TARGET]))
    if with_targets < n_folds:
        what = "ictal windows, or preictal ones to forecast"
        raise AuraError(f"split.folds={n_folds}, but only {with_targets} training subjects have {what}")
    splitter = StratifiedGroupKFold(n_folds, shuffle=True, random_state=seed)
    for train, test in splitter.split(labels, labels == TARGET, subjects):
        assert not set(subjects[train]) & set(subjects[test])
        yield train.astype(np.int64), test.astype(np.int64)
