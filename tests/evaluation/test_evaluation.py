"""Scores written out by hand, and what they are where there is nothing to score."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aura.core.arrays import Floats
from aura.core.events import Event
from aura.core.series import RRSeries
from aura.detection.alarms import Alarms
from aura.ecg.heart_rate import measure_rises_bpm
from aura.evaluation import bootstrap
from aura.evaluation.operating_point import choose_threshold, compute_event_curve
from aura.evaluation.results import Evaluation, ScoredRecording, evaluate
from aura.evaluation.scoring import FALSE_ALARM_RATE, RATIOS, EventRules, compute_ratio
from aura.reports.text import compare_with_baselines, summarize_scores

ALARMS = Alarms(smoothing_s=0, baseline_s=0, baseline_quantile=0.9, release=1, min_duration_s=0, refractory_s=0)
RULES = EventRules()
HOUR_S = 3600


def scored(
    subject: str,
    high: list[tuple[int, int]],
    seizures: list[Event],
    rises: list[float] | None = None,
    threshold: float = 0.5,
) -> ScoredRecording:
    """An hour in which the probability is high in some stretches."""
    probability = np.full(HOUR_S, 0.1)
    for begin, end in high:
        probability[begin:end] = 0.9
    label = np.zeros(HOUR_S, dtype=np.int64)
    for seizure in seizures:
        label[int(seizure.onset_s) : int(seizure.end_s)] = 1
    rises_bpm = np.array(rises if rises is not None else [np.nan] * len(seizures))
    return ScoredRecording(
        f"{subject}_r",
        subject,
        float(HOUR_S),
        tuple(seizures),
        rises_bpm,
        1.0,
        probability,
        probability,
        threshold,
        label,
        tuple(seizures),
    )


def test_counts_are_pooled_and_ratios_come_after() -> None:
    """Three hours: 2 of 3 seizures found, one of them late, with one false alarm."""
    recordings = [
        scored("a", [(1010, 1030), (3000, 3010)], [Event(1000, 40)], [70.0]),
        scored("b", [(2130, 2140)], [Event(500, 20), Event(2100, 60)], [10.0, 20.0]),
        scored("c", [], []),
    ]
    evaluation = evaluate(recordings, ALARMS, RULES)
    scores = evaluation.scores(seed=0)
    assert scores["event_sensitivity"] == pytest.approx(2 / 3)
    assert scores["event_precision"] == pytest.approx(2 / 3)
    assert scores["event_f1"] == pytest.approx(2 * 2 / (3 + 2 + 1))
    assert scores["event_false_alarms_per_24h"] == pytest.approx(1 / (3 / 24))
    # 20 and 10 s of 40, 20 and 60 s found; 10 s raised in vain.
    assert scores["sample_sensitivity"] == pytest.approx(30 / 120)
    assert scores["sample_precision"] == pytest.approx(30 / 40)
    assert scores["latency_median_s"] == pytest.approx(np.median([1011 - 1000, 2131 - 2100]))
    assert (scores["responder_seizures"], scores["responder_sensitivity"]) == (1, 1.0)
    assert (scores["non_responder_seizures"], scores["non_responder_sensitivity"]) == (2, 0.5)
    assert scores["time_in_alarm_share"] == pytest.approx(40 / (3 * HOUR_S))
    table = evaluation.per_subject().set_index("subject")
    assert table[["ref_events", "found", "false_alarms"]].to_numpy().tolist() == [[1, 1, 1], [2, 1, 0], [0, 0, 0]]
    assert evaluation.seizures()["found"].tolist() == [True, False, True]


@pytest.mark.parametrize(
    ("high", "seizures", "expected"),
    [
        # Sensitivity, precision, F1, false alarms per 24 h.
        ([], [], (np.nan, np.nan, np.nan, 0)),
        ([], [Event(100, 50)], (0, np.nan, 0, 0)),
        ([(0, 10)], [], (np.nan, 0, 0, 24)),
        # An alarm of an hour is split into twelve of five minutes, of which one is right.
        ([(0, HOUR_S)], [Event(100, 50)], (1, 1 / 12, 2 / 13, 264)),
        # Seizures that overlap are one.
        ([(100, 160)], [Event(100, 50), Event(120, 50)], (1, 1, 1, 0)),
    ],
)
def test_edge_cases_have_defined_results(
    high: list[tuple[int, int]], seizures: list[Event], expected: tuple[float, ...]
) -> None:
    scores = evaluate([scored("a", high, seizures)], ALARMS, RULES).scores(seed=0)
    # All of the hour is assessed.
    assert [scores[f"event_{name}"] for name in RATIOS] == pytest.approx([*expected, expected[-1]], nan_ok=True)


def test_an_alarm_that_was_up_long_before_is_no_earlier_than_the_tolerance() -> None:
    scores = evaluate([scored("a", [(100, 1010)], [Event(1000, 40)])], ALARMS, RULES).scores(seed=0)
    assert scores["latency_median_s"] == -RULES.tolerance_before_s


def blind(recording: ScoredRecording, begin: int, end: int) -> ScoredRecording:
    """The same recording, without a probability in a stretch."""
    probability = recording.probability.copy()
    probability[begin:end] = np.nan
    return replace(recording, probability=probability, score=probability)


def test_false_alarms_are_counted_per_recorded_and_per_assessed_time() -> None:
    """Two hours with a false alarm each, of which the second one was assessed for a quarter."""
    seizure = Event(1000, 40)
    seeing = scored("a", [(1010, 1030), (3000, 3010)], [seizure])
    evaluation = evaluate([seeing, blind(scored("b", [(100, 130)], [seizure]), 900, HOUR_S)], ALARMS, RULES)
    scores = evaluation.scores(seed=0)
    assert scores["assessed_share"] == pytest.approx(1.25 / 2)
    assert scores["event_false_alarms_per_24h"] == pytest.approx(2 / (2 / 24))
    assert scores["event_false_alarms_per_assessed_24h"] == pytest.approx(2 / (1.25 / 24))
    assert scores["event_false_alarms_per_assessed_24h_high"] == pytest.approx(1 / (0.25 / 24))
    # A seizure that nobody could see is missed all the same.
    assert scores["event_sensitivity"] == 0.5
    assert scores["false_alarm_time_share"] == pytest.approx(40 / (1.25 * HOUR_S))
    assert scores["time_in_alarm_share"] == pytest.approx(60 / (1.25 * HOUR_S))
    assert evaluation.per_subject()["assessed_hours"].tolist() == [1, 0.25]


def test_the_summary_says_what_can_be_read() -> None:
    """Seconds of false alarm per day, such as 2928.0, are shown as a share of the time."""
    recording = blind(scored("a", [(100, 130), (1010, 1030)], [Event(1000, 40)]), 1800, HOUR_S)
    lines = summarize_scores(evaluate([recording], ALARMS, RULES).scores(seed=0)).splitlines()
    told = {line[:24].strip(): line[24:].split() for line in lines}
    assert told["false alarms per 24 h"] == ["24.0", "(24.0", "to", "24.0)"]
    assert told["of assessed time"] == ["48.0", "(48.0", "to", "48.0)"]
    assert told["time in false alarm"] == ["1.7", "%"]
    assert told["time assessed"] == ["50.0", "%"]


def test_baselines_are_beaten_in_f1_at_no_more_false_alarms_per_assessed_time() -> None:
    scores = {"event_f1": 0.6, "event_false_alarms_per_24h": 5.0, "event_false_alarms_per_assessed_24h": 10.0}
    row = {"sensitivity": 0.5, "precision": 0.5, "f1": 0.5, "false_alarms_per_24h": 8.0, "run_id": "0"}
    baselines = pd.DataFrame(
        [
            {**row, "baseline": "loud", FALSE_ALARM_RATE: 12.0},
            {**row, "baseline": "quiet", FALSE_ALARM_RATE: 8.0},
            {**row, "baseline": "earlier", FALSE_ALARM_RATE: np.nan},
        ]
    )
    said = compare_with_baselines(scores, baselines).splitlines()
    assert said[0].startswith("beats loud: F1 0.500, sensitivity 50.0%, 12.0 false alarms per 24 h of assessed time")
    assert said[1].startswith("does not beat quiet")
    assert said[2] == "earlier was scored by an earlier version, without assessed time; train it again"


def test_being_blind_does_not_help_to_keep_to_the_limit_of_false_alarms() -> None:
    """An hour with a clear seizure, a faint one, and a false alarm as faint as that, at a limit of 30 per 24 h."""
    seeing = scored("a", [(1000, 1030)], [Event(1000, 40), Event(400, 40)])
    for begin in (400, 1500):
        seeing.probability[begin : begin + 30] = 0.7
    kept = []
    for recording in (seeing, blind(seeing, 1800, HOUR_S)):
        curve = compute_event_curve([recording], ALARMS, RULES)
        row = curve[curve["threshold"] == choose_threshold(curve, 30)].iloc[0]
        kept.append((row["sensitivity"], row["false_alarms_per_24h"], row[FALSE_ALARM_RATE]))
    # Per 24 h of recording the blind one would keep to the limit like the other; per assessed time it raises 48.
    assert kept == [(1, 24, 24), (0.5, 0, 0)]


def test_intervals_hold_the_score_and_shrink_with_subjects() -> None:
    few = [scored(f"s{i}", [(1000, 1030)] if i % 2 else [], [Event(1000, 40)]) for i in range(6)]
    many = [scored(f"s{i:03d}", [(1000, 1030)] if i % 2 else [], [Event(1000, 40)]) for i in range(60)]
    widths = []
    for recordings in (few, many):
        scores = evaluate(recordings, ALARMS, RULES).scores(seed=0)
        assert scores["event_sensitivity_low"] <= 0.5 <= scores["event_sensitivity_high"]
        widths.append(scores["event_sensitivity_high"] - scores["event_sensitivity_low"])
    assert widths[1] < widths[0] / 2
    # One subject says nothing of others.
    alone = evaluate([scored("a", [(1000, 1030)], [Event(1000, 40)])], ALARMS, RULES).scores(seed=0)
    assert alone["event_f1_low"] == alone["event_f1_high"] == 1


def test_draws_are_paired() -> None:
    counts = np.array([[3.0, 1, 0, 3600, 3600], [1, 1, 2, 3600, 3600], [2, 0, 1, 3600, 1800]])

    def f1(sums: Floats) -> Floats:
        return compute_ratio(sums, "f1")

    one, other = (bootstrap.score_draws(counts, f1, seed=5) for _ in range(2))
    assert np.array_equal(one, other, equal_nan=True)
    assert len(one) == bootstrap.N_DRAWS


def test_the_operating_point_keeps_to_the_limit() -> None:
    curve = pd.DataFrame(
        {
            "threshold": [0.1, 0.2, 0.3, 0.4, 0.5],
            "sensitivity": [0.9, 0.8, 0.6, 0.6, 0.1],
            "precision": [0.1] * 5,
            "f1": [0.1] * 5,
            # Little of the time was assessed, which is no merit.
            "false_alarms_per_24h": [0, 0, 0, 0, 0],
            "false_alarms_per_assessed_24h": [90, 40, 20, 10, 2],
        }
    )
    assert choose_threshold(curve, 50) == 0.2
    # As sensitive, and quieter.
    assert choose_threshold(curve, 20) == 0.4
    # Nothing is as quiet: the quietest.
    assert choose_threshold(curve, 1) == 0.5
    assert choose_threshold(curve.iloc[:0], 1) == float("inf")


def test_a_seizure_that_stands_out_is_found_without_a_false_alarm() -> None:
    recordings = [scored(f"s{i}", [(1000, 1040)], [Event(1000, 40)]) for i in range(4)]
    curve = compute_event_curve(recordings, ALARMS, RULES)
    row = curve[curve["threshold"] == choose_threshold(curve, 1.0)].iloc[0]
    assert (row["sensitivity"], row["false_alarms_per_24h"]) == (1, 0)


SPANS = st.lists(st.tuples(st.integers(0, 1000), st.integers(0, 200)).map(lambda pair: Event(*map(float, pair))))


@given(targets=SPANS, steps=st.lists(st.tuples(st.integers(1, 150), st.integers(1, 100)), max_size=12))
def test_alarms_and_targets_match_where_they_overlap_with_tolerance(
    targets: list[Event], steps: list[tuple[int, int]]
) -> None:
    ends = np.cumsum(np.array(steps, dtype=np.float64).reshape(-1, 2))
    alarms = tuple(Event(onset_s, end_s - onset_s) for onset_s, end_s in ends.reshape(-1, 2))
    found = Evaluation([scored("a", [], targets)], [alarms], (), (), RULES)
    overlap = np.array(
        [[a.onset_s < t.end_s + 60 and a.end_s > t.onset_s - 30 for a in alarms] for t in targets], dtype=np.bool_
    ).reshape(len(targets), len(alarms))
    assert found.hits(0) == overlap.any(axis=1).tolist()
    assert found.correct_alarms(0) == overlap.any(axis=0).tolist()
    first = [alarms[row.argmax()].onset_s + 1 if row.any() else np.nan for row in overlap]
    latency_s = np.maximum(np.array(first) - [t.onset_s for t in targets], -30.0)
    np.testing.assert_array_equal(found.seizures()["latency_s"].to_numpy(dtype=np.float64), latency_s)


def test_rises_of_thousands_of_seizures_are_exact() -> None:
    """A hundred hours at 60 bpm with a minute at 120 bpm every ten minutes; a seizure in each."""
    rr_ms = np.tile(np.concatenate((np.full(540, 1000.0), np.full(120, 500.0))), 600)
    rr = RRSeries(np.cumsum(rr_ms) / 1000, rr_ms, 360_000.0)
    seizures = [Event(600.0 * i + 540, 60.0) for i in range(600)]
    assert measure_rises_bpm(rr, seizures) == pytest.approx(np.full(600, 60.0))
    # A seizure at the start has no minutes before it to compare with.
    assert np.isnan(measure_rises_bpm(rr, [Event(10.0, 20.0)])).all()


def test_a_score_is_added_by_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(RATIOS, "miss_rate", lambda n_ref, tp, fp, duration_s, assessed_s: (n_ref - tp, n_ref))  # type: ignore[arg-type]
    recordings = [scored("a", [(1010, 1030)], [Event(1000, 40)]), scored("b", [], [Event(500, 20)])]
    evaluation = evaluate(recordings, ALARMS, RULES)
    scores = evaluation.scores(seed=0)
    assert [scores[f"event_miss_rate{end}"] for end in ("", "_low", "_high")] == [0.5, 0.0, 1.0]
    assert scores["sample_miss_rate"] == pytest.approx(40 / 60)
    assert evaluation.per_subject()["event_miss_rate"].tolist() == [0.0, 1.0]
    assert "miss_rate" in compute_event_curve(recordings, ALARMS, RULES).columns
