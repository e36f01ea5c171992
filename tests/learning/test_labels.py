from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from aura.core.errors import AuraError
from aura.core.events import Event, unite
from aura.features.windows import window_ends
from aura.learning.labels import INTERICTAL, LEFT_OUT, NO_EVENT, TARGET, Detection, Forecasting

SPANS = st.lists(st.tuples(st.integers(0, 900), st.integers(1, 200)), max_size=6)


@given(SPANS, st.sampled_from([1.0, 2.5, 4.0]), st.integers(0, 1200))
@example([(734, 104)], 1.0, 2)
def test_labels_are_those_of_counting_tenths_of_a_second(
    spans: list[tuple[int, int]], step_s: float, postictal: int
) -> None:
    postictal_s = postictal / 10
    seizures = unite([Event(a / 10, b / 10) for a, b in spans], duration_s=100)
    end_s = window_ends(100, step_s)
    labels = Detection(0.5, postictal_s)(end_s, step_s=step_s, seizures=seizures).label
    middles = np.arange(0.05, 100, 0.1)
    ictal = np.any([(s.onset_s < middles) & (middles < s.end_s) for s in seizures] or [middles < 0], axis=0)
    after = np.any(
        [(s.onset_s < middles) & (middles < s.end_s + postictal_s) for s in seizures] or [middles < 0], axis=0
    )
    for end, got in zip(end_s, labels, strict=True):
        step = (middles > end - step_s) & (middles < end)
        share = ictal[step].mean()
        if abs(share - 0.5) > 1e-6:
            expected = TARGET if share > 0.5 else LEFT_OUT if after[step].any() else INTERICTAL
            assert got == expected


def test_half_an_ictal_step_is_ictal() -> None:
    assert Detection(0.5, 0)(np.array([2.0]), step_s=2.0, seizures=[Event(1, 5)]).label.tolist() == [TARGET]


@pytest.mark.parametrize("labelling", [Detection(0.5, 60), Forecasting(60, 600, 60, 0.5)])
def test_no_seizure_no_label(labelling: Detection | Forecasting) -> None:
    labels = labelling(window_ends(60, 1), step_s=1, seizures=[])
    assert (labels.label == INTERICTAL).all()
    assert (labels.event == NO_EVENT).all()
    assert labelling.targets([]) == ()


@given(SPANS, st.integers(0, 20), st.integers(10, 300), st.integers(0, 50))
def test_preictal_is_when_a_seizure_begins_in_the_occurrence_period(
    spans: list[tuple[int, int]], horizon_s: int, occurrence: int, postictal_s: int
) -> None:
    """Word for word, at the middle of steps so short that nothing begins within one."""
    seizures = unite([Event(float(a), float(b)) for a, b in spans], duration_s=1200)
    end_s = window_ends(1200, 1.0)
    labels = Forecasting(horizon_s, occurrence, postictal_s, 0.5)(end_s, step_s=1.0, seizures=seizures)
    for now_s, got in zip(end_s - 0.5, labels.label, strict=True):
        after = any(s.onset_s < now_s < s.end_s + postictal_s for s in seizures)
        preictal = any(now_s + horizon_s < s.onset_s < now_s + horizon_s + occurrence for s in seizures)
        soon = any(now_s < s.onset_s < now_s + horizon_s for s in seizures)
        expected = LEFT_OUT if after else TARGET if preictal else LEFT_OUT if soon else INTERICTAL
        assert got == expected


@given(SPANS, st.sampled_from([Detection(0.5, 30), Forecasting(5, 60, 30, 0.5)]), st.sampled_from([1.0, 2.5]))
def test_windows_of_an_event_are_kept_together(
    spans: list[tuple[int, int]], labelling: Detection | Forecasting, step_s: float
) -> None:
    seizures = unite([Event(float(a), float(b)) for a, b in spans], duration_s=1200)
    labels = labelling(window_ends(1200, step_s), step_s=step_s, seizures=seizures)
    # Who has a label of an event has its number, and nobody else.
    assert ((labels.label != INTERICTAL) == (labels.event != NO_EVENT)).all()
    # Each number is one stretch, and they rise.
    numbers = labels.event[labels.event != NO_EVENT]
    assert (np.diff(numbers) >= 0).all()
    for number in np.unique(numbers):
        of_it = np.flatnonzero(labels.event == number)
        assert len(of_it) == of_it[-1] - of_it[0] + 1
        # It begins with the windows of the seizure whose number it is.
        assert seizures[number].onset_s > (of_it[0] - 1) * step_s


def test_two_seizures_in_each_others_time_share_a_number() -> None:
    seizures = [Event(100, 10), Event(130, 10), Event(400, 10)]
    event = Detection(0.5, 60)(window_ends(500, 1), step_s=1, seizures=seizures).event
    assert set(event[100:200]) == {0}
    assert set(event[400:470]) == {2}
    assert set(Detection(0.5, 10)(window_ends(500, 1), step_s=1, seizures=seizures).event) == {-1, 0, 1, 2}


def test_alarms_are_right_in_preictal_time() -> None:
    targets = Forecasting(10, 60, 0, 0.5).targets([Event(40, 5), Event(300, 5), Event(350, 5)])
    assert [(t.onset_s, t.end_s, t.kind) for t in targets] == [(0, 30, "preictal"), (230, 340, "preictal")]
    assert all(before.end_s < after.onset_s for before, after in pairwise(targets))


@pytest.mark.parametrize("values", [(0, 60), (0.5, -1), (0.5, "60"), (0.5, True)])
def test_what_cannot_be_meant_is_refused(values: tuple[float, float]) -> None:
    with pytest.raises(AuraError, match=r"^(min_overlap|postictal_s)=.* is (out of range|not a number); allowed is"):
        Detection(*values)


def test_of_all_that_is_annotated_seizures_count_in_any_order() -> None:
    end_s = window_ends(100, 1)
    sorted_ones = [Event(10, 5), Event(40, 10)]
    annotated = [Event(0, 10, "bckg"), Event(45, 5, "cpsz"), Event(15, 25, "bckg"), Event(40, 6), Event(10, 5)]
    expected = Detection(0.5, 5)(end_s, step_s=1, seizures=sorted_ones)
    got = Detection(0.5, 5)(end_s, step_s=1, seizures=annotated)
    assert np.array_equal(got.label, expected.label)
    assert np.array_equal(got.event, expected.event)


@pytest.mark.parametrize("event", [Event(10, -5), Event(float("nan"), 5), Event(1, float("inf"))])
def test_impossible_events_are_refused(event: Event) -> None:
    with pytest.raises(AuraError, match="an onset and a duration of at least 0, both in seconds"):
        Detection(0.5, 60)(window_ends(60, 1), step_s=1, seizures=[event])
    with pytest.raises(AuraError, match="step_s=0; allowed"):
        Detection(0.5, 60)(window_ends(60, 1), step_s=0, seizures=[])


def test_a_seizure_without_duration_is_no_interictal_time() -> None:
    """Its step and its postictal time are left out."""
    labels = Detection(min_overlap=0.5, postictal_s=2.0)(np.arange(1.0, 7.0), step_s=1.0, seizures=[Event(2.5, 0.0)])
    assert labels.label.tolist() == [INTERICTAL, INTERICTAL, LEFT_OUT, LEFT_OUT, LEFT_OUT, INTERICTAL]
