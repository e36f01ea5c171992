import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aura.core.errors import AuraError
from aura.learning.splits import (
    BySubject,
    Fold,
    KFold,
    LeaveOneSubjectOut,
    Official,
    Personal,
    Split,
    assign_folds,
    check_folds,
)


def recordings(counts: list[int], per_subject: int = 2) -> pd.DataFrame:
    """Of each subject as many recordings, each with as many seizures."""
    rows = [(f"s{i:02d}", f"s{i:02d}_{j}", count) for i, count in enumerate(counts) for j in range(per_subject)]
    table = pd.DataFrame(rows, columns=["subject", "recording", "n_seizures"])
    return table.assign(session="1", start=None, split=None, rr_digest=table["recording"])


@given(st.lists(st.integers(1, 20), min_size=2, max_size=40), st.floats(0.2, 0.8), st.integers(0, 99))
def test_every_subject_is_on_exactly_one_side(counts: list[int], share: float, seed: int) -> None:
    table = recordings(counts)
    (fold,) = BySubject(share)(table, seed=seed)
    if not fold.test.any() or fold.test.all():
        # A side can only be empty if its share is less than one subject.
        assert len(counts) * min(share, 1 - share) < 1
        return
    check_folds([fold], table, personal=False)
    assert np.array_equal(fold.train, ~fold.test)
    assert abs(fold.test.mean() - share) <= 1 / len(counts)
    assert np.array_equal(fold.test, BySubject(share)(table, seed=seed)[0].test)


def test_both_sides_have_similar_numbers_of_seizures() -> None:
    table = recordings([0] * 15 + [1] * 9 + [10] * 6)
    for seed in range(20):
        (fold,) = BySubject(1 / 3)(table, seed=seed)
        per_side = table[fold.test].groupby("n_seizures")["subject"].nunique()
        assert per_side.to_dict() == pytest.approx({0: 5, 1: 3, 10: 2}, abs=1)


@pytest.mark.slow
@pytest.mark.parametrize("split", [KFold(3), LeaveOneSubjectOut()])
@given(counts=st.lists(st.integers(0, 9), min_size=3, max_size=20), seed=st.integers(0, 99))
def test_every_subject_is_tested_once(split: Split, counts: list[int], seed: int) -> None:
    counts = [*counts, 1, 2, 3]
    table = recordings(counts)
    folds = split(table, seed=seed)
    check_folds(folds, table, personal=split.personal)
    assert np.array_equal(sum(fold.test.astype(int) for fold in folds), np.ones(len(table)))
    assert all(np.array_equal(fold.train, ~fold.test) for fold in folds)


def test_each_subject_with_seizures_has_a_fold_when_one_is_left_out() -> None:
    table = recordings([2, 0, 1, 0, 3])
    folds = LeaveOneSubjectOut()(table, seed=0)
    having = [set(table["subject"][fold.test & (table["n_seizures"] > 0)]) for fold in folds]
    assert having == [{"s00"}, {"s02"}, {"s04"}]


def test_the_official_split_uses_the_sides_of_the_corpus() -> None:
    table = recordings([1, 2, 3, 4])
    table["split"] = np.repeat(["train", "dev", "eval", "eval"], 2)
    (fold,) = Official(["eval", "dev_test"])(table, seed=0)
    assert set(table["subject"][fold.test]) == {"s02", "s03"}
    with pytest.raises(AuraError, match=r"split.test=\['test'\], but the sides of the corpus are dev, eval, train"):
        Official(["test"])(table, seed=0)
    table.loc[0, "split"] = None
    with pytest.raises(AuraError, match="no side of an official split is known for 1 of 8 recordings"):
        Official(["eval"])(table, seed=0)


def test_a_personal_split_trains_on_the_past() -> None:
    table = recordings([1, 0, 1], per_subject=6)
    # The names of the last subject's recordings fall with time.
    table.loc[table["subject"] == "s02", "start"] = [f"2020-01-0{9 - i}T00:00:00" for i in range(6)]
    folds = Personal(0.5)(table, seed=0)
    check_folds(folds, table, personal=True)
    assert [fold.name for fold in folds] == ["subject s00", "subject s02"]
    assert table["recording"][folds[0].train].tolist() == ["s00_0", "s00_1", "s00_2"]
    assert sorted(table["recording"][folds[1].train]) == ["s02_3", "s02_4", "s02_5"]
    with pytest.raises(AuraError, match="nobody has 2 recordings with seizures and another one later"):
        Personal(0.5)(recordings([1, 1]), seed=0)


def fold_of(train: list[int], test: list[int], n: int) -> Fold:
    index = np.arange(n)
    return Fold("planted", np.isin(index, train), np.isin(index, test))


def test_a_subject_on_both_sides_is_refused_by_name() -> None:
    table = recordings([1, 1, 1])
    with pytest.raises(AuraError, match="split, planted: on both sides are the subjects s01"):
        check_folds([fold_of([0, 1, 2], [3, 4, 5], 6)], table, personal=False)
    check_folds([fold_of([0, 1, 2], [3, 4, 5], 6)], table, personal=True)
    with pytest.raises(AuraError, match="on both sides are s01_0"):
        check_folds([fold_of([0, 1, 2], [2, 4, 5], 6)], table, personal=True)


def test_a_planted_duplicate_is_refused_by_name() -> None:
    table = recordings([1, 1, 1])
    table.loc[4, "rr_digest"] = table.loc[1, "rr_digest"]
    with pytest.raises(AuraError, match="the very same beats are on both sides: s00_1 = s02_0; remove one of each"):
        check_folds([fold_of([0, 1], [2, 3, 4, 5], 6)], table, personal=False)


@pytest.mark.parametrize(("train", "test", "side"), [([0, 1], [2, 3], "test"), ([2, 3], [0, 1], "train")])
def test_a_side_without_a_seizure_is_refused(train: list[int], test: list[int], side: str) -> None:
    with pytest.raises(AuraError, match=f"the {side} side has 2 recordings of 1 subject and no seizure"):
        check_folds([fold_of(train, test, 4)], recordings([1, 0]), personal=False)


@given(st.lists(st.integers(0, 30), min_size=3, max_size=30), st.integers(2, 5), st.integers(0, 99))
def test_folds_have_similar_numbers_of_seizures(counts: list[int], n_folds: int, seed: int) -> None:
    table = recordings(counts)
    n_with = sum(count > 0 for count in counts)
    if n_with < n_folds:
        with pytest.raises(
            AuraError, match=f"{n_folds} folds need {n_folds} subjects with seizures; of the .* {n_with} (has|have) "
        ):
            assign_folds(table["subject"], table["n_seizures"], n_folds=n_folds, seed=seed)
        return
    folds = assign_folds(table["subject"], table["n_seizures"], n_folds=n_folds, seed=seed)
    dealt = table.assign(fold=folds)
    assert len(dealt[["subject", "fold"]].drop_duplicates()) == len(counts)
    assert (dealt.groupby("fold")["n_seizures"].sum() > 0).all()
    assert dealt["fold"].nunique() == n_folds


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: BySubject(1.0), r"^test_share=1\.0 is out of range"),
        (lambda: KFold(1), r"^k=1 is out of range"),
        (lambda: Personal(0.0), r"^past_share=0\.0 is out of range"),
    ],
)
def test_parameters_of_splits_out_of_range_are_refused(make: object, says: str) -> None:
    with pytest.raises(AuraError, match=says):
        make()  # type: ignore[operator]
