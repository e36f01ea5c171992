"""No annotated seizure is lost, and a recording is free of seizures only if its annotations tell so."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aura.core.events import Event, OutsideSegments
from aura.formats.vocabulary import Words
from aura.processing.seizures import Annotated, find_seizures


def find(*events: tuple[float, float, str], words: Words | None = None) -> Annotated:
    """Find the seizures of a recording of 120 s."""
    return find_seizures(
        [Event(*event) for event in events], duration_s=120.0, min_seizure_s=1.0, words=words or Words()
    )


def spans(annotated: Annotated) -> list[tuple[float, float]] | None:
    """Return onset and end of each seizure."""
    return None if annotated.seizures is None else [(seizure.onset_s, seizure.end_s) for seizure in annotated.seizures]


@pytest.mark.parametrize(
    ("events", "expected", "n_extended"),
    [
        # Without duration, at the very end, and shorter than the minimum.
        ([(30, 0, "sz"), (80, 20, "sz")], [(30, 31), (80, 100)], 1),
        ([(120, 0, "sz")], [(119, 120)], 1),
        ([(0, 0, "sz"), (50, 0.04, "sz")], [(0, 1), (50, 51)], 2),
        ([(119.9, 30, "sz")], [(119, 120)], 1),
        # A seizure inside another one is part of it.
        ([(20, 30, "sz"), (30, 0, "sz")], [(20, 50)], 1),
        # Marks: a seizure lasts from a start to the next end before the next start.
        ([(30, 0, "seizure onset"), (75, 0, "seizure end")], [(30, 75)], 0),
        ([(30, 0, "sz"), (75, 0, "sz off")], [(30, 75)], 0),
        ([(10, 0, "onset"), (40, 0, "offset"), (60, 0, "onset"), (90, 0, "offset")], [(10, 40), (60, 90)], 0),
        ([(10, 0, "sz start"), (50, 0, "sz start"), (80, 0, "sz end")], [(10, 11), (50, 80)], 1),
        ([(30, 0, "début de crise"), (75, 0, "fin de crise")], [(30, 75)], 0),
        ([(30, 0, "Anfallsbeginn"), (60, 5, "bckg")], [(30, 31)], 1),
        # A mark can have a duration.
        ([(30, 1, "seizure onset"), (75, 1, "seizure end")], [(30, 75)], 0),
        ([(30, 20, "seizure onset")], [(30, 50)], 0),
        # Two start marks of the same seizure: the EEG onset comes first.
        ([(30, 0, "EEG onset"), (38, 0, "clinical onset"), (75, 0, "EEG offset")], [(30, 75)], 0),
        # An end mark after a seizure with a duration adds nothing.
        ([(30, 20, "sz"), (50, 0, "sz end")], [(30, 50)], 0),
    ],
)
def test_seizures_of_events_and_marks(
    events: list[tuple[float, float, str]], expected: list[tuple[float, float]], n_extended: int
) -> None:
    annotated = find(*events)
    assert spans(annotated) == expected
    assert (annotated.n_extended, annotated.n_uncertain, annotated.n_outside) == (n_extended, 0, 0)
    assert ("extended_events" in annotated.remarks) == bool(n_extended)


def test_an_end_mark_that_comes_too_late_belongs_to_another_seizure() -> None:
    marks = [Event(30.0, 0.0, "sz start"), Event(931.0, 0.0, "sz end")]
    annotated = find_seizures(marks, duration_s=1000.0, min_seizure_s=2.0)
    assert spans(annotated) == [(30, 32)]
    assert (annotated.n_extended, annotated.n_uncertain) == (1, 1)


@pytest.mark.parametrize(
    ("events", "remarks", "counts"),
    [
        # Outside of the recording: milliseconds for seconds, another day, before the start.
        ([(3630, 30, "sz")], ("seizures_outside",), (1, 0)),
        ([(0, 120, "bckg"), (30_000, 30_000, "sz")], ("seizures_outside",), (1, 0)),
        ([(-500, 30, "sz"), (-86_400, 0, "sz")], ("seizures_outside",), (2, 0)),
        # Possible seizures.
        ([(0, 120, "bckg"), (30, 10, "seizure?")], ("uncertain_events",), (0, 1)),
        ([(0, 120, "bckg"), (30, 0, "sz end")], ("uncertain_events",), (0, 1)),
        # Events of tasks, and notes.
        ([(5, 1, "stim left"), (9, 1, "response")], ("no_seizure_words", "unknown_labels"), (0, 0)),
        ([(5, 1, "IMP CHECK ON"), (9, 1, "postictal")], ("no_seizure_words",), (0, 0)),
        ([(0, 120, "null")], ("no_seizure_words",), (0, 0)),
    ],
)
def test_unclear_annotations_do_not_make_a_recording_free_of_seizures(
    events: list[tuple[float, float, str]], remarks: tuple[str, ...], counts: tuple[int, int]
) -> None:
    annotated = find(*events)
    assert annotated.seizures is None
    assert annotated.remarks == remarks
    assert (annotated.n_outside, annotated.n_uncertain) == counts
    assert annotated.problem


@pytest.mark.parametrize("kind", ["bckg", "no seizure", "nesz", "impd", "keine Anfälle"])
def test_background_makes_a_recording_free_of_seizures(kind: str) -> None:
    assert find((0, 60, kind)) == Annotated(())


def test_valid_seizures_count_beside_invalid_ones() -> None:
    annotated = find(
        (10, 20, "sz"),
        (25, 10, "sz"),
        (115, 30, "sz"),
        (300, 9, "sz"),
        (40, 5, "sz?"),
        (50, 1, "Krampf"),
        (60, 9, "nesz"),
    )
    assert spans(annotated) == [(10, 35), (115, 120)]
    assert (annotated.n_clipped, annotated.n_united, annotated.n_outside, annotated.n_uncertain) == (1, 1, 1, 1)
    assert annotated.unknown == (("Krampf", 1),)
    assert annotated.problem is None


def test_start_and_end_marks_without_a_name_are_no_seizure() -> None:
    annotated = find((0, 0, "Start"), (120, 0, "End"))
    assert annotated.seizures is None
    assert annotated.n_uncertain == 2
    assert annotated.unknown == (("Start", 1), ("End", 1))
    assert annotated.remarks == ("uncertain_events", "unknown_labels")
    assert find((0, 120, "bckg"), (30, 0, "Start"), (60, 0, "End")).seizures is None
    # At the ends of a recording they mark the recording, even if others mark seizures.
    annotated = find((0, 0, "Start"), (20, 10, "sz"), (50, 0, "Start"), (70, 0, "End"), (120, 0, "End"))
    assert spans(annotated) == [(20, 30), (50, 70)]
    assert annotated.n_uncertain == 2


def test_an_event_with_a_duration_ends_no_seizure() -> None:
    annotated = find((30, 0, "seizure onset"), (60, 20, "Seizure onset left, ends bilateral"))
    assert spans(annotated) == [(30, 31), (60, 80)]
    annotated = find((30, 0, "seizure onset"), (60, 20, "seizure stopped"), (90, 0, "sz end"))
    assert spans(annotated) == [(30, 90)]
    assert annotated.n_uncertain == 1
    assert find((0, 120, "bckg"), (60, 20, "seizure stopped")).seizures is None


def test_a_seizure_in_no_segment_leaves_the_segment_annotated() -> None:
    seizure = OutsideSegments(200.0, 30.0)
    annotated = find_seizures([Event(0.0, 60.0, "bckg"), seizure], duration_s=120.0, min_seizure_s=1.0)
    assert (annotated.seizures, annotated.n_outside, annotated.remarks) == ((), 1, ("seizures_outside",))
    sentence = "1 of the annotated seizures lies between two segments of its record, or outside all of them"
    assert annotated.problem == sentence
    annotated = find_seizures([seizure], duration_s=120.0, min_seizure_s=1.0)
    assert (annotated.seizures, annotated.n_outside, annotated.problem) == (None, 1, sentence)


def test_words_of_a_clinic_mark_seizures_and_background() -> None:
    own = Words(seizure=("Turnus",), background=("Ruhe",))
    assert spans(find((10, 20, "Turnus 2"), words=own)) == [(10, 30)]
    assert spans(find((10, 20, "Ruhe"), words=own)) == []
    assert spans(find((10, 0, "Turnus Beginn"), (30, 0, "Turnus Ende"), words=own)) == [(10, 30)]


KINDS = st.sampled_from(["sz", "seizure onset", "sz end", "bckg", "sz?", "Krampf", "nesz"])
EVENTS = st.lists(st.builds(Event, st.floats(-100, 300), st.floats(0, 90) | st.just(0.0), KINDS), max_size=12)


@given(EVENTS, st.sampled_from([0.5, 1.0, 30.0]))
def test_each_seizure_inside_the_recording_is_found(events: list[Event], min_seizure_s: float) -> None:
    annotated = find_seizures(events, duration_s=120.0, min_seizure_s=min_seizure_s)
    for event in events:
        if event.kind == "sz" and 0 <= event.onset_s <= 119:
            assert annotated.seizures is not None
            assert any(s.onset_s <= event.onset_s + 1e-6 and event.onset_s <= s.end_s for s in annotated.seizures)
    for seizure in annotated.seizures or ():
        assert seizure.duration_s >= min_seizure_s - 1e-6
        assert seizure.onset_s >= 0
        assert seizure.end_s <= 120 + 1e-6
    # Only background makes a recording free of seizures.
    if annotated.seizures == ():
        assert {event.kind for event in events} & {"bckg", "nesz"}
        assert not {event.kind for event in events} & {"sz", "seizure onset", "sz?"}
