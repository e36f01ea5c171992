"""Beats that arrive one by one get the probabilities and alarms of the whole recording, whatever happens on the way."""

import json
from pathlib import Path
from typing import Any

import hypothesis.extra.numpy as hnp
import mlflow
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aura.core.arrays import Floats
from aura.core.errors import AuraError
from aura.detection.alarm_stream import AlarmStream
from aura.detection.alarms import Alarms
from aura.detection.detector import SeizureDetector
from aura.detection.live import Live
from aura.detection.quarantine import Entry, Quarantine
from aura.features import FeatureStream
from tests.support.live import beats_at, lines_of
from tests.support.rr import SPEC, heart

pytestmark = pytest.mark.integration

SETTINGS = st.builds(
    Alarms,
    smoothing_s=st.sampled_from([0, 10]),
    baseline_s=st.sampled_from([0, 100]),
    baseline_quantile=st.just(0.9),
    release=st.sampled_from([0.5, 1]),
    min_duration_s=st.sampled_from([0, 6]),
    refractory_s=st.sampled_from([0, 30]),
)
PROBABILITY = hnp.arrays(np.float64, st.integers(1, 200), elements=st.sampled_from([np.nan, 0.0, 0.2, 0.5, 0.8, 1.0]))


@given(PROBABILITY, SETTINGS, st.integers(0, 200), st.sampled_from([0.7, 2.0]))
def test_alarms_of_a_stream_are_those_of_the_batch(
    probability: Floats, alarms: Alarms, killed_at: int, step_s: float
) -> None:
    stream = AlarmStream(alarms, threshold=0.4, step_s=step_s)
    scores, changes = [], []
    for number, one in enumerate(probability):
        if number == killed_at:
            state = json.loads(json.dumps(stream.state()))
            stream = AlarmStream(alarms, threshold=0.4, step_s=step_s)
            stream.restore(state)
        score, change = stream.push(float(one))
        scores.append(score)
        changes += [change] if change else []
    expected = alarms.score(probability, step_s=step_s)
    assert np.array_equal(scores, expected, equal_nan=True)
    found = alarms.events(expected, threshold=0.4, step_s=step_s)
    raised = [change for change in changes if change.end_s is None]
    assert [change.number for change in raised] == list(range(1, len(found) + 1))
    # Times to the rounding of their sums.
    assert [change.onset_s for change in raised] == pytest.approx([event.onset_s for event in found])
    ends_s = [c.end_s for c in changes if c.end_s is not None]
    # One that goes on when the recording ends has no end yet.
    assert ends_s == pytest.approx([e.end_s for e in found][: len(ends_s)])
    assert len(ends_s) >= len(found) - 1


@pytest.mark.parametrize("at", [0, 1, 57, 399])
def test_a_stream_goes_on_where_another_was(at: int) -> None:
    rr, whole, stream = heart(400), FeatureStream(SPEC), FeatureStream(SPEC)
    for number, (t_s, rr_ms) in enumerate(zip(rr.t_s.tolist(), rr.rr_ms.tolist(), strict=True)):
        if number == at:
            state = json.loads(json.dumps(stream.state()))
            stream = FeatureStream(SPEC)
            stream.restore(state)
        pd.testing.assert_frame_equal(stream.push(t_s, rr_ms), whole.push(t_s, rr_ms), check_exact=True)


def test_live_says_what_the_served_model_says(folder: Path, detector: SeizureDetector, beats: pd.DataFrame) -> None:
    live = Live(detector)
    said = [line for text in lines_of(beats) for line in live.take(text)] + live.end()
    answer = mlflow.pyfunc.load_model(str(folder)).predict(beats)
    steps = [line for line in said if line["kind"] == "step"]
    assert [line["t_s"] for line in steps] == answer["t_s"].tolist()
    got = np.array([line["probability"] for line in steps], dtype=np.float64)
    expected = answer["probability"].to_numpy(dtype=np.float64, na_value=np.nan)
    assert np.allclose(got, expected, rtol=1e-9, atol=1e-12, equal_nan=True)
    assert [line.get("reason") for line in steps] == answer["reason"].tolist()
    score = detector.alarms.score(expected, step_s=4.0)
    # The windows before the first interval are not given.
    first_s = answer["t_s"].iloc[0] - 4.0
    found = [e.onset_s + first_s for e in detector.alarms.events(score, threshold=detector.threshold, step_s=4.0)]
    assert [line["onset_s"] for line in said if line["kind"] == "alarm"] == pytest.approx(found)
    assert len(found) >= 2
    assert [line["n"] for line in said] == list(range(1, len(said) + 1))


def test_an_alarm_ends_in_silence_live_and_in_batch(folder: Path, detector: SeizureDetector) -> None:
    """From 75 to 200 bpm, then 120 s without a beat, as of a lead that comes off in a seizure."""
    rng = np.random.default_rng(0)
    rr_ms = np.concatenate((rng.normal(800, 25, 500), rng.normal(300, 4, 200), rng.normal(800, 25, 300)))
    t_s = np.cumsum(rr_ms) / 1000
    silence_s = t_s[699], t_s[699] + 120.0
    t_s[700:] += 120.0
    beats = pd.DataFrame({"t_s": t_s, "rr_ms": rr_ms})
    live = Live(detector)
    said = [line for text in lines_of(beats) for line in live.take(text)] + live.end()
    probability = np.array([line["probability"] for line in said if line["kind"] == "step"], dtype=np.float64)
    answer = mlflow.pyfunc.load_model(str(folder)).predict(beats)
    expected = answer["probability"].to_numpy(dtype=np.float64, na_value=np.nan)
    assert np.allclose(probability, expected, rtol=1e-9, atol=1e-12, equal_nan=True)
    blind = ((answer["t_s"] > silence_s[0] + 10) & (answer["t_s"] <= silence_s[1])).to_numpy()
    assert np.isnan(expected[blind]).all()
    alarms = [line for line in said if line["kind"].startswith("alarm")]
    *_, start = [a for a in alarms if a["kind"] == "alarm" and a["onset_s"] < silence_s[0]]
    (end,) = [a for a in alarms if a["kind"] == "alarm_end" and a["number"] == start["number"]]
    assert end["end_s"] <= silence_s[0] + 10
    assert not any(silence_s[0] + 10 < a["onset_s"] < silence_s[1] for a in alarms)


def test_a_recording_that_begins_late_has_no_steps_before(detector: SeizureDetector) -> None:
    live = Live(detector)
    said = [line for i in range(60) for line in live.take(json.dumps({"t_s": 50_000.0 + i, "rr_ms": 1000}))]
    assert said[0]["t_s"] == 50_000.0
    assert said[-1]["t_s"] == 50_056.0
    assert said[-1]["probability"] is not None


def test_before_the_first_beat_there_is_nothing_to_say(detector: SeizureDetector) -> None:
    live = Live(detector)
    assert live.take('{"t_s": 3}') == live.end() == []
    assert live.take('{"t_s": 4, "rr_ms": 800}') == []
    assert [line["t_s"] for line in live.take('{"t_s": 8.5, "rr_ms": 800}')] == [4.0, 8.0]


def test_a_late_first_beat_is_confirmed_by_the_next_three(detector: SeizureDetector) -> None:
    live = Live(detector)
    assert [line["kind"] for line in live.take('{"t_s": 20, "rr_ms": 800}')] == ["held"]
    assert answers(live, beats_at(21, 22)) == []
    assert [(line["kind"], line["t_s"]) for line in live.take('{"t_s": 24.5, "rr_ms": 800}')] == [
        ("step", 20.0),
        ("step", 24.0),
    ]


def test_silence_is_said_as_it_passes(detector: SeizureDetector) -> None:
    live = Live(detector)
    for i in range(1, 61):
        live.take(json.dumps({"t_s": i, "rr_ms": 1000}))
    for t_s in range(70, 510, 10):
        # A tick each ten seconds is never held back, however long the silence is.
        last = next(line for line in reversed(live.take(json.dumps({"t_s": t_s}))) if line["kind"] == "step")
        assert t_s - 4 < last["t_s"] <= t_s
    assert (last["t_s"], last["probability"], last["score"]) == (500.0, None, None)
    assert last["reason"] == "no beats in the window"
    # Said again, as by a sender that comes back, it changes nothing.
    assert live.take('{"t_s": 500}') == live.take('{"t_s": 499}') == []


def test_it_can_end_in_silence(detector: SeizureDetector) -> None:
    live = Live(detector)
    live.take('{"t_s": 0.95, "rr_ms": 602.8}')
    assert live.take('{"t_s": 10}')
    assert live.take('{"t_s": 20}')
    assert live.end() == []
    assert live.take('{"t_s": 25, "rr_ms": 800}')


DAY_AHEAD = ('{"t_s": 86101.3, "rr_ms": 800}', '{"t_s": 86101.3}', '{"t_s": 86101.3, "rr_ms": 86041300}')


def steps(lines: list[Any]) -> list[tuple[Any, ...]]:
    return [(line["t_s"], line["probability"], line["score"]) for line in lines if line["kind"] == "step"]


def answers(live: Live, texts: list[str]) -> list[Any]:
    return [line for text in texts for line in live.take(text)]


@pytest.mark.parametrize("wrong", DAY_AHEAD)
@pytest.mark.parametrize("at", [0, 1, 57])
def test_a_wrong_time_is_refused_and_costs_nothing(detector: SeizureDetector, wrong: str, at: int) -> None:
    right = beats_at(*range(1, 121))
    live, other = Live(detector), Live(detector)
    expected = answers(other, right)
    said = answers(live, [*right[:at], wrong, *right[at:]])
    assert steps(said) == steps(expected)
    assert any(probability is not None for _, probability, _ in steps(said))
    about = [(line["kind"], line["t_s"]) for line in said if line["kind"] in ("held", "refused")]
    # Before the first beat a tick says nothing, so there is nothing to hold back.
    assert about == ([] if at == 0 and "rr_ms" not in wrong else [("held", 86101.3), ("refused", 86101.3)])
    assert live.ready_line()["after_s"] == 120
    assert live.n_held == 0


@pytest.mark.parametrize("tick", [False, True])
def test_a_gap_is_confirmed_by_the_lines_after_it_and_nothing_is_lost(detector: SeizureDetector, tick: bool) -> None:
    before, after = beats_at(*range(1, 61)), beats_at(*range(7200, 7300))
    if tick:
        after.insert(0, '{"t_s": 7199.5}')
    live, stream = Live(detector), FeatureStream(detector.spec)
    n_waiting = 0
    for text in [*before, *after]:
        live.take(text)
        n_waiting += live.n_held > 0
    rows = pd.concat([stream.push(float(t_s), 1000.0) for t_s in (*range(1, 61), *range(7200, 7300))])
    said = [line for line in live.lines_after(0) if line["kind"] == "step"]
    assert [line["t_s"] for line in said] == rows["t_s"].tolist()
    expected = detector.probability(rows)
    assert np.array_equal([np.nan if line["probability"] is None else line["probability"] for line in said], expected,
                          equal_nan=True)  # fmt: skip
    # The jump waits for three lines.
    assert n_waiting == 3
    assert [line["kind"] for line in live.lines_after(0)].count("held") == 1


@pytest.mark.parametrize(
    ("ahead_s", "rr_ms"), [(5.1, 800.0), (29.0, 800.0), (31.0, 800.0), (10.1, None), (29.0, None), (31.0, None)]
)
@pytest.mark.parametrize("n_before", [0, 10])
def test_one_wrong_line_a_little_ahead_costs_no_right_beat(ahead_s: float, rr_ms: float | None, n_before: int) -> None:
    right = [Entry(float(t_s), 1000.0) for t_s in range(1, 61)]
    wrong = Entry(n_before + ahead_s, rr_ms)
    quarantine = Quarantine()
    verdicts = [quarantine.judge(entry) for entry in [*right[:n_before], wrong, *right[n_before:]]]
    assert verdicts[n_before].held
    assert [entry for verdict in verdicts for entry in verdict.accepted] == right
    assert [entry for verdict in verdicts for entry in verdict.refused] == [wrong]


@pytest.mark.parametrize("step_s", [10.1, 29.9, 31.0, 3600.0])
@pytest.mark.parametrize("key", ["beat", "tick"])
def test_wrong_times_in_steps_do_not_add_up(detector: SeizureDetector, step_s: float, key: str) -> None:
    """Whatever their steps beyond the pace of beats and ticks: what follows at the right time is all taken."""
    live = Live(detector)
    answers(live, beats_at(*range(1, 61)))
    times_s = [60 + step_s * i for i in range(1, 21)]
    answers(live, beats_at(*times_s) if key == "beat" else [json.dumps({"t_s": t_s}) for t_s in times_s])
    answers(live, beats_at(*range(61, 181)))
    assert live.ready_line()["after_s"] == 180
    assert live.lines_after(0)[-1]["t_s"] == 176
    assert live.lines_after(0)[-1]["probability"] is not None


def test_wrong_times_that_follow_each_other_need_as_many_as_a_gap(detector: SeizureDetector) -> None:
    live = Live(detector)
    answers(live, beats_at(*range(1, 61)))
    # Three lines far ahead are not enough, then the right ones go on.
    said = answers(live, beats_at(7200, 7201, 7202, 61, 62, 63, 64, 65))
    assert [line["t_s"] for line in said if line["kind"] == "refused"] == [7200, 7201, 7202]
    assert [line["t_s"] for line in said if line["kind"] == "step"] == [60, 64]
    assert live.ready_line()["after_s"] == 65


def test_a_wrong_time_after_a_gap_takes_nothing_with_it(detector: SeizureDetector) -> None:
    live = Live(detector)
    answers(live, beats_at(*range(1, 61)))
    said = answers(live, beats_at(200, 9000, 201, 202, 203, 204))
    assert [(line["kind"], line["t_s"]) for line in said if line["kind"] in ("held", "refused")] == [
        ("held", 200),
        ("held", 9000),
        ("refused", 9000),
    ]
    assert live.ready_line()["after_s"] == 204


def test_single_beats_in_noise_wait_for_a_heart(detector: SeizureDetector) -> None:
    noise_s = [60 + 40 * i for i in range(1, 1103)]
    live, other = Live(detector), Live(detector)
    answers(live, beats_at(*range(1, 61), *noise_s))
    # Only so many wait; the oldest are given up, and that is said.
    assert live.n_held == 1000
    refused = [line for line in live.lines_after(0) if line["kind"] == "refused"]
    assert [line["t_s"] for line in refused] == noise_s[:102]
    assert "no line confirmed it" in refused[0]["message"]
    answers(live, beats_at(*range(45_000, 45_060)))
    assert live.n_held == 0
    answers(other, beats_at(*range(1, 61), *noise_s[102:], *range(45_000, 45_060)))
    assert steps(live.lines_after(0))[-15:] == steps(other.lines_after(0))[-15:]


@pytest.mark.parametrize("confirmed", [False, True])
def test_what_is_held_back_survives_in_the_state(detector: SeizureDetector, confirmed: bool) -> None:
    right = beats_at(*range(1, 61))
    ahead = beats_at(7200, 7201)
    after = beats_at(7202, 7203) if confirmed else beats_at(61, 62)
    whole = Live(detector)
    expected = answers(whole, [*right, *ahead, *after])
    for at in range(len(right) - 1, len(right) + len(ahead) + len(after)):
        live = Live(detector)
        texts = [*right, *ahead, *after]
        said = answers(live, texts[:at])
        state = json.loads(json.dumps(live.state()))
        live = Live(detector)
        live.restore(state)
        # A sender that comes back says again what is held back, which changes nothing.
        again = [text for text in ahead if text in texts[:at]] if live.n_held else []
        assert answers(live, again) == []
        assert said + answers(live, texts[at:]) == expected
    assert whole.ready_line()["after_s"] == (7203 if confirmed else 62)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("hello", "this line is not JSON; allowed is a line such as"),
        ("[" * 5000, "this line is not JSON"),
        ("[1, 2]", "this line is not a beat"),
        ('{"rr_ms": 800}', "this line is not a beat"),
        ('{"t_s": 62, "rr_ms": 800, "name": "x"}', "this line is not a beat"),
        ('{"t_s": "62", "rr_ms": 800}', "t_s is not a number"),
        ('{"t_s": 62, "rr_ms": null}', "rr_ms is not a number"),
        ('{"t_s": true}', "t_s is not a number"),
        ('{"t_s": NaN, "rr_ms": 800}', "t_s=nan; allowed are times in seconds after 60"),
        ('{"t_s": 1764100000, "rr_ms": 800}', "times are in seconds from the start of the recording"),
        ('{"t_s": NaN}', "t_s=nan; allowed are times in seconds from 60"),
        ('{"t_s": Infinity}', "is more than a day after 60 s"),
        (
            '{"t_s": 3, "rr_ms": 800}',
            "t_s=3 is not after 60, the time of the last interval; allowed are later times; a new",
        ),
        ('{"t_s": 1' + "0" * 400 + "}", "a number is too large"),
        ('{"t_s": 62, "rr_ms": 0.8}', "rr_ms=0.8; allowed are milliseconds, 10 or more"),
        ('{"t_s": 60.5, "rr_ms": 800}', "begins before the one at 60 s ended"),
        ('{"t_s": 1e9, "rr_ms": 800}', "is more than a day after 60 s"),
    ],
)
def test_what_is_no_beat_is_refused_and_changes_nothing(detector: SeizureDetector, text: str, says: str) -> None:
    live, other = Live(detector), Live(detector)
    for one in (live, other):
        for i in range(1, 61):
            one.take(json.dumps({"t_s": i, "rr_ms": 1000}))
    with pytest.raises(AuraError, match=says):
        live.take(text)
    assert live.state() == other.state()
    assert live.take('{"t_s": 64.5, "rr_ms": 900}') == other.take('{"t_s": 64.5, "rr_ms": 900}')
