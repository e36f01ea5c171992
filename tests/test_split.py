import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aura.errors import AuraError
from aura.split import by_subject, folds_by_subject


def recordings(counts: list[int], per_subject: int = 2) -> pd.DataFrame:
    rows = [(f"s{i}", count) for i, count in enumerate(counts) for _ in range(per_subject)]
    return pd.DataFrame(rows, columns=["subject", "n_seizures"])


@given(st.lists(st.integers(1, 20), min_size=2, max_size=40), st.floats(0.2, 0.8), st.integers(0, 99))
def test_nobody_is_on_both_sides_and_all_are_on_one(counts: list[int], share: float, seed: int) -> None:
    table = recordings(counts)
    try:
        test = by_subject(table, test_share=share, seed=seed)
    except AuraError:
        # A side without a subject: only where the share of so few is less than one of them.
        assert len(counts) * min(share, 1 - share) < 1
        return
    sides = table.assign(test=test).groupby("subject")["test"].nunique()
    assert (sides == 1).all()
    assert abs(test.mean() - share) <= 1 / len(counts)
    assert np.array_equal(test, by_subject(table, test_share=share, seed=seed))


def test_subjects_with_and_without_seizures_are_shared_out_alike() -> None:
    table = recordings([0] * 15 + [1] * 9 + [10] * 6)
    for seed in range(20):
        test = by_subject(table, test_share=1 / 3, seed=seed)
        per_side = table[test].groupby("n_seizures")["subject"].nunique()
        assert per_side.to_dict() == pytest.approx({0: 5, 1: 3, 10: 2}, abs=1)


@pytest.mark.parametrize("counts", [[5, 0, 0, 0], [0, 0, 0], [3]])
def test_a_side_without_a_seizure_is_refused(counts: list[int]) -> None:
    with pytest.raises(AuraError, match="subjects and no seizure"):
        by_subject(recordings(counts), test_share=0.5, seed=0)


def test_folds_keep_subjects_together_and_cover_everything() -> None:
    rng = np.random.default_rng(1)
    subjects = np.repeat(np.arange(7), 50)
    labels = (rng.random(350) < 0.2).astype(np.int64)
    tested = np.concatenate([test for _, test in folds_by_subject(labels, subjects, n_folds=3, seed=0)])
    assert np.array_equal(np.sort(tested), np.arange(350))


def test_more_folds_than_ictal_subjects_are_refused() -> None:
    subjects, labels = np.repeat(np.arange(5), 10), np.zeros(50, dtype=np.int64)
    labels[:15] = 1
    with pytest.raises(AuraError, match=r"split\.folds=3, but only 2 training subjects have ictal windows"):
        list(folds_by_subject(labels, subjects, n_folds=3, seed=0))
