"""Scores against timescoring called by hand, and what its traps would do."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from timescoring.annotations import Annotation
from timescoring.scoring import EventScoring, SampleScoring

from aura.core.events import Event
from aura.evaluation.scoring import Counts, EventRules, pool, score_events, score_samples

RULES = EventRules()
SPANS = st.lists(st.tuples(st.integers(0, 3500), st.integers(1, 400)), max_size=8)


def events(spans: list[tuple[int, int]]) -> list[Event]:
    return [Event(float(a), float(b)) for a, b in spans]


def apart(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Sorted and disjoint within an hour, as timescoring wants them."""
    out: list[tuple[int, int]] = []
    for onset, length in sorted(spans):
        onset = max(onset, out[-1][1] + 1) if out else onset
        if onset < min(onset + length, 3600):
            out.append((onset, min(onset + length, 3600)))
    return out


@given(SPANS, SPANS)
def test_one_recording_scores_as_timescoring_by_hand(ref: list[tuple[int, int]], hyp: list[tuple[int, int]]) -> None:
    ref, hyp = apart(ref), apart(hyp)
    ours = [Event(a, b - a) for a, b in ref], [Event(a, b - a) for a, b in hyp]
    for score, counts in (
        (
            EventScoring(Annotation(ref, 10, 36000), Annotation(hyp, 10, 36000)),
            score_events(*ours, duration_s=3600.0, rules=RULES),
        ),
        (SampleScoring(Annotation(ref, 1, 3600), Annotation(hyp, 1, 3600)), score_samples(*ours, duration_s=3600.0)),
    ):
        assert (counts.n_ref, counts.tp, counts.fp) == (score.refTrue, score.tp, score.fp)
        for ours_, theirs in (
            (counts.ratios()["sensitivity"], score.sensitivity),
            (counts.ratios()["precision"], score.precision),
            (counts.ratios()["f1"], score.f1),
            (counts.ratios()["false_alarms_per_24h"], score.fpRate),
        ):
            assert ours_ == pytest.approx(theirs, nan_ok=True)


@given(SPANS, SPANS, st.randoms())
def test_order_and_overlap_of_events_do_not_matter(
    ref: list[tuple[int, int]], hyp: list[tuple[int, int]], random
) -> None:
    def counts(ref_events: list[Event], hyp_events: list[Event]) -> tuple[Counts, Counts]:
        return (
            score_events(ref_events, hyp_events, duration_s=3900.0, rules=RULES),
            score_samples(ref_events, hyp_events, duration_s=3900.0),
        )

    shuffled = events(ref) + events(ref)
    random.shuffle(shuffled)
    assert counts(events(ref), events(hyp)) == counts(shuffled, events(hyp)[::-1])


def test_a_pooled_case_by_hand() -> None:
    # One hour with two seizures, one of them found, and a false alarm; half an hour with a false alarm alone.
    first = score_events(events([(600, 60), (2400, 60)]), events([(610, 30), (3300, 10)]), duration_s=3600, rules=RULES)
    second = score_events([], events([(900, 10)]), duration_s=1800, rules=RULES)
    assert (first, second) == (Counts(2, 1, 1, 3600), Counts(0, 0, 1, 1800))
    pooled = pool([first, second])
    assert pooled.ratios()["sensitivity"] == 1 / 2
    assert pooled.ratios()["precision"] == 1 / 3
    assert pooled.ratios()["f1"] == 2 / 5
    # Two in 1.5 h; the mean of the two rates, 24 and 48, would be 36.
    assert pooled.ratios()["false_alarms_per_24h"] == 32


def test_tolerances_before_and_after() -> None:
    ref = events([(1000, 60)])
    for onset, found in ((965, 0), (985, 1), (1100, 1), (1125, 0)):
        assert score_events(ref, events([(onset, 4)]), duration_s=3600, rules=RULES).tp == found


@pytest.mark.parametrize(("ref", "hyp"), [([], []), ([(5, 5)], []), ([], [(5, 5)]), ([(0, 3600)], [(0, 3600)])])
def test_edges_are_defined(ref: list[tuple[int, int]], hyp: list[tuple[int, int]]) -> None:
    for duration_s in (0.0, 0.05, 0.5, 3600.0):
        for counts in (
            score_events(events(ref), events(hyp), duration_s=duration_s, rules=RULES),
            score_samples(events(ref), events(hyp), duration_s=duration_s),
        ):
            assert 0 <= counts.tp <= counts.n_ref
            assert math.isnan(counts.ratios()["sensitivity"]) == (counts.n_ref == 0)


def test_an_hour_of_alarm_without_a_seizure_is_many_false_alarms() -> None:
    counts = score_events([], events([(0, 3600)]), duration_s=3600, rules=RULES)
    # Split every 5 min.
    assert counts.fp == 12
    assert counts.ratios()["f1"] == 0


@pytest.mark.parametrize("onset_s", [0.0, 30.05, 119.97, 120.0])
def test_a_seizure_shorter_than_a_sample_counts_as_one(onset_s: float) -> None:
    for length_s in (0.0, 0.01):
        ref = [Event(onset_s, min(length_s, 120 - onset_s))]
        assert score_events(ref, [Event(0.0, 120.0)], duration_s=120.0, rules=RULES).tp == 1
        assert score_samples(ref, [], duration_s=120.0).n_ref == 1
