"""Beats that arrive one by one get the probabilities and alarms of the whole recording, whatever happens on the way."""

import io
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import hypothesis.extra.numpy as hnp
import mlflow
import numpy as np
import pandas as pd
import pytest
from filelock import FileLock
from hypothesis import given
from hypothesis import strategies as st

from aura.cli import main
from aura.core.arrays import Floats
from aura.core.errors import AuraError
from aura.core.parquet import read_table
from aura.detection.alarm_stream import AlarmStream
from aura.detection.alarms import Alarms
from aura.detection.detector import SeizureDetector
from aura.detection.live import Live
from aura.detection.quarantine import Entry, Quarantine
from aura.features import FeatureStream
from aura.tracking.registry import load
from tests.support.project import Project
from tests.support.rr import SPEC, heart

pytestmark = pytest.mark.integration

MODEL = "models:/aura-seizure-detector-synthetic@champion"
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


@pytest.fixture(scope="module")
def folder(trained: Project, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The detector of the small corpus, made so anxious that it finds something."""
    folder = Path(mlflow.artifacts.download_artifacts(MODEL, dst_path=str(tmp_path_factory.mktemp("model"))))
    (file,) = folder.glob("data/*/detector.json")
    values = json.loads(file.read_text())
    values["threshold"], values["alarms"]["refractory_s"] = 0.1, 20
    file.write_text(json.dumps(values))
    return folder


@pytest.fixture(scope="module")
def detector(folder: Path) -> SeizureDetector:
    return load(str(folder)).detector


@pytest.fixture(scope="module")
def beats(trained: Project, folder: Path) -> pd.DataFrame:
    """The recording in which it finds the most."""
    model, detector, n_found = mlflow.pyfunc.load_model(str(folder)), load(str(folder)).detector, {}
    for file in sorted((trained.folder("prepared") / "rr").glob("*.parquet")):
        probability = model.predict(read_table(file)[0])["probability"].to_numpy(dtype="float64", na_value=np.nan)
        score = detector.alarms.score(probability, step_s=4.0)
        n_found[file] = len(detector.alarms.events(score, threshold=detector.threshold, step_s=4.0))
    return read_table(max(n_found, key=n_found.__getitem__))[0]


def lines_of(beats: pd.DataFrame) -> list[str]:
    return [
        json.dumps({"t_s": t_s, "rr_ms": rr_ms}) + "\n" for t_s, rr_ms in zip(beats["t_s"], beats["rr_ms"], strict=True)
    ]


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


def beats_at(*times_s: float) -> list[str]:
    return [json.dumps({"t_s": t_s, "rr_ms": 1000}) for t_s in times_s]


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
        ("[" * 5000, "this is no JSON"),
        ("[1, 2]", "this line is not a beat"),
        ('{"rr_ms": 800}', "this line is not a beat"),
        ('{"t_s": 62, "rr_ms": 800, "name": "x"}', "this line is not a beat"),
        ('{"t_s": "62", "rr_ms": 800}', "t_s is not a number"),
        ('{"t_s": 62, "rr_ms": null}', "rr_ms is not a number"),
        ('{"t_s": true}', "t_s is not a number"),
        ('{"t_s": NaN, "rr_ms": 800}', "an interval at nan s; allowed are times in seconds after 60"),
        ('{"t_s": 1764100000, "rr_ms": 800}', "times are in seconds from the start of the recording"),
        ('{"t_s": NaN}', "it cannot be nan s after 60 s"),
        ('{"t_s": Infinity}', "is more than a day after 60 s"),
        (
            '{"t_s": 3, "rr_ms": 800}',
            "t_s=3 is not after 60, the time of the last interval; allowed are later times; a new",
        ),
        ('{"t_s": 1' + "0" * 400 + "}", "a number is too large"),
        ('{"t_s": 62, "rr_ms": 0.8}', "an interval of 0.8 ms; allowed are milliseconds, 10 or more"),
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


def run_main(monkeypatch: pytest.MonkeyPatch, folder: Path, text: str, *words: str) -> int:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    return main(["live", f"model={folder}", *words])


def test_standard_input_is_answered_line_by_line(
    folder: Path,
    detector: SeizureDetector,
    beats: pd.DataFrame,
    monkeypatch: pytest.MonkeyPatch,
    capsysbinary: pytest.CaptureFixture[bytes],
) -> None:
    text = "".join(lines_of(beats)[:100])
    assert run_main(monkeypatch, folder, text + "\n  \nrubbish\n" + "x" * 9000 + "\n") == 1
    out, err = capsysbinary.readouterr()
    said = [json.loads(line) for line in out.splitlines()]
    made_by = said[0].pop("made_by")
    assert said[0] == {"kind": "ready", "after_s": None, "n": 0, "alarm": None}
    # The first line says which detector makes the others, and that it learned from synthetic data.
    named = "a folder, which says it is aura-seizure-detector-synthetic version 1"
    assert (made_by["model"], made_by["training_corpus"]) == (named, "synthetic")
    assert (made_by["synthetic_training"], made_by["threshold"]) == (True, 0.1)
    assert "trained on synthetic data" in made_by["warning"]
    assert f"live: model {named}" in err.decode()
    assert "live: warning: this model was trained on synthetic data" in err.decode()
    assert [line["kind"] for line in said].count("refused") == 2
    assert [line["line"] for line in said if line["kind"] == "refused"] == [101, 102]
    assert b"2 of 102 lines were refused" in err
    live = Live(detector)
    expected = [line for one in lines_of(beats)[:100] for line in live.take(one)] + live.end()
    assert [line for line in said if "n" in line and line["kind"] != "ready"] == expected


def test_the_state_belongs_to_a_model_and_an_output(
    folder: Path,
    beats: pd.DataFrame,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("aura.detection.live_state.N_SINCE", 7)
    state, output = tmp_path / "state = 1.json", tmp_path / "said.jsonl"
    text = "".join(lines_of(beats)[:100])
    assert run_main(monkeypatch, folder, text, f"state={state}", f"output={output}") == 0
    whole = output.read_bytes()
    first = json.loads(whole.splitlines()[0])
    assert (first["kind"], first["n"]) == ("model", 0)
    assert first["model"] == "a folder, which says it is aura-seizure-detector-synthetic version 1"
    # The same beats again: all are known, and nothing is said twice.
    assert run_main(monkeypatch, folder, text, f"state={state}", f"output={output}") == 0
    assert output.read_bytes() == whole
    # What the file has lost is added, and what is not of this state stays as it is.
    for n_bytes in (0, 1, len(whole) // 2, whole.index(b"\n") + 1, len(whole) - 1):
        output.write_bytes(whole[:n_bytes])
        assert run_main(monkeypatch, folder, "", f"state={state}", f"output={output}") == 0
        assert output.read_bytes() == whole
    ahead = whole + json.dumps({**json.loads(whole.splitlines()[-1]), "n": 999}).encode() + b"\n"
    for other in (b"notes", b"notes\n", b"{}\n", b'{"n": "1"}\n', ahead, whole.replace(b'"step"', b'"stop"')):
        output.write_bytes(other)
        assert run_main(monkeypatch, folder, "", f"state={state}", f"output={output}") == 1
        assert "does not belong to this state; name another file" in capsys.readouterr().err
        assert output.read_bytes() == other
    output.write_bytes(whole)
    assert run_main(monkeypatch, folder, "", f"output={output}") == 1
    assert "does not belong to this state" in capsys.readouterr().err
    monkeypatch.setattr("aura.detection.live.MAX_KEPT", 5)
    output.write_bytes(whole[: whole.index(b"\n") + 1])
    assert run_main(monkeypatch, folder, "", f"state={state}", f"output={output}") == 1
    assert "ends with line 0; the lines after it are no longer kept" in capsys.readouterr().err
    state.write_text(json.dumps({**json.loads(state.read_text().splitlines()[0]), "made_of": "another"}) + "\n")
    assert run_main(monkeypatch, folder, text, f"state={state}", f"output={output}") == 1
    assert "is of another model or installation; remove it to start a new recording" in capsys.readouterr().err
    state.write_text("{")
    assert run_main(monkeypatch, folder, text, f"state={state}", f"output={output}") == 1
    assert "is damaged or not a state file of live; remove it to start a new recording" in capsys.readouterr().err


def test_a_jump_is_told_to_the_sender_and_counted(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    words = [f"state={tmp_path / 's.json'}", f"output={tmp_path / 'said.jsonl'}"]
    ahead, after = "\n".join([*beats_at(1, 2, 3, 7200), ""]), "\n".join([*beats_at(4, 5), ""])
    # At the end of the input nothing has confirmed it, or contradicted it; the next run goes on there.
    assert run_main(monkeypatch, folder, ahead, *words) == 1
    out, err = capsysbinary.readouterr()
    assert b"the last 1 lines are held back" in err
    assert [line["kind"] for line in map(json.loads, out.splitlines())] == ["ready", "held"]
    assert run_main(monkeypatch, folder, after, *words) == 1
    out, err = capsysbinary.readouterr()
    assert b"1 of 2 lines were refused" in err
    ready, refused = map(json.loads, out.splitlines())
    assert ready["after_s"] == 3
    assert (refused["kind"], refused["t_s"]) == ("refused", 7200)
    assert "t_s=7200 was held back and is discarded: the next line continues at 4" in refused["message"]
    said = [json.loads(line) for line in (tmp_path / "said.jsonl").read_text().splitlines()]
    assert [line["kind"] for line in said] == ["model", "held", "refused", "step"]
    assert [line["n"] for line in said] == [0, 1, 2, 3]


@pytest.mark.parametrize("key", ["state", "output"])
def test_a_place_that_cannot_be_a_file_is_one_line(
    folder: Path, key: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "it").mkdir()
    assert run_main(monkeypatch, folder, "", f"{key}={tmp_path / 'it'}") == 1
    assert f"aura live: {key}={tmp_path / 'it'} is not a file; name a file" in capsys.readouterr().err


def test_a_token_opens_the_port_and_is_told_to_nobody(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AURA_LIVE_TOKEN", "a secret of the clinic")
    with served_live(folder, tmp_path) as port:
        for token, first in (("another", "refused"), ("a secret of the clinic", "ready")):
            with socket.create_connection(("127.0.0.1", port), timeout=30) as peer, peer.makefile("rb") as answers:
                peer.sendall(json.dumps({"token": token}).encode() + b'\n{"t_s": 1, "rr_ms": 800}\n')
                peer.shutdown(socket.SHUT_WR)
                assert json.loads(answers.readline())["kind"] == first
                answers.read()
    assert "secret" not in (tmp_path / "s.json").read_text()


def test_a_state_is_one_run_s_at_a_time(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with FileLock(tmp_path / "s.json.lock"):
        for key in ("state", "output"):
            assert run_main(monkeypatch, folder, "", f"{key}={tmp_path / 's.json'}") == 1
            assert f"{key}={tmp_path / 's.json'} is in use by another run; name another" in capsys.readouterr().err
    assert run_main(monkeypatch, folder, "", f"state={tmp_path / 's.json'}") == 0


def start(*words: str, **more: Any) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, "-m", "aura", "live", *words], **more)


def test_kill_9_loses_no_alarm_and_doubles_none(
    folder: Path, detector: SeizureDetector, beats: pd.DataFrame, tmp_path: Path
) -> None:
    texts = [line.encode() for line in lines_of(beats)]
    state, output = tmp_path / "state.json", tmp_path / "said.jsonl"
    words = (f"model={folder}", f"state={state}", f"output={output}")
    rng = np.random.default_rng(3)
    # With what is known written anew in between, and after the first kill half a line.
    for number in range(3):
        before = output.stat().st_size if output.exists() else 0
        # The sender begins at the beginning each time; what is known is left out.
        reading, writing = os.pipe()
        live = start(*words, stdin=reading, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.write(writing, b"".join(texts[: 3 * len(texts) // 4]))
        deadline = time.monotonic() + 60
        while (not output.exists() or output.stat().st_size <= before) and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(float(rng.uniform(0, 0.3)))
        live.send_signal(signal.SIGKILL)
        live.wait()
        os.close(reading)
        os.close(writing)
        if number == 0:
            with state.open("ab") as file:
                file.write(b'{"t_s": 12')
        assert output.stat().st_size > before or len(output.read_bytes().splitlines()) > 100
    done = subprocess.run(
        [sys.executable, "-m", "aura", "live", *words], input=b"".join(texts), capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr
    head, *said = [json.loads(line) for line in output.read_text().splitlines()]
    assert head["kind"] == "model"
    live_again = Live(detector)
    expected = [line for text in lines_of(beats) for line in live_again.take(text)] + live_again.end()
    assert said == expected
    assert sum(line["kind"] == "alarm" for line in said) >= 2


def test_a_connection_that_breaks_goes_on_where_it_was(
    folder: Path, detector: SeizureDetector, beats: pd.DataFrame, tmp_path: Path
) -> None:
    with served_live(folder, tmp_path) as port:
        texts, heard = [line.encode() for line in lines_of(beats)], dict[int, Any]()
        for part in (texts[:300], texts[:500], texts):
            with socket.create_connection(("127.0.0.1", port), timeout=30) as peer, peer.makefile("rb") as answers:
                ready = json.loads(answers.readline())
                assert ready["kind"] == "ready"
                # As `ready` asks: only what is new.
                new = [t for t in part if ready["after_s"] is None or json.loads(t)["t_s"] > ready["after_s"]]
                peer.sendall(b"".join(new))
                peer.shutdown(socket.SHUT_WR)
                for line in map(json.loads, answers):
                    assert heard.setdefault(line["n"], line) == line
        other = Live(detector)
        expected = [line for text in lines_of(beats) for line in other.take(text)] + other.end()
        kinds = {line["t_s"]: line["probability"] for line in expected if line["kind"] == "step"}
        assert {line["t_s"]: line["probability"] for line in heard.values() if line["kind"] == "step"} == kinds
        assert list(heard) == list(range(1, len(expected) + 1))


def test_what_was_lost_on_the_way_is_said_again(
    folder: Path, detector: SeizureDetector, beats: pd.DataFrame, tmp_path: Path
) -> None:
    texts = lines_of(beats)
    other = Live(detector)
    expected = [line for text in texts for line in other.take(text)] + other.end()
    with served_live(folder, tmp_path) as port:
        # It sends all, hears a little, and breaks the connection without a goodbye (RST).
        with socket.create_connection(("127.0.0.1", port), timeout=30) as peer:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            peer.sendall("".join(texts).encode())
            heard = [json.loads(line) for line, _ in zip(peer.makefile("rb"), range(1 + 20), strict=False)][1:]
        assert heard == expected[:20]
        with socket.create_connection(("127.0.0.1", port), timeout=30) as peer, peer.makefile("rb") as answers:
            ready = json.loads(answers.readline())
            peer.sendall(b'{"after_n": 20}\n' + "".join(texts).encode())
            peer.shutdown(socket.SHUT_WR)
            again = [json.loads(line) for line in answers]
    known = [line for line in again if line["kind"] == "known"]
    assert known == [{"kind": "known", "line": 2, "after_s": ready["after_s"]}]
    said = {line["n"]: line for line in again if "n" in line}
    assert [said[n] for n in sorted(said) if n > 20] == expected[20:]


def test_a_clock_that_begins_again_is_heard_of(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    def said_about(*times_s: int) -> list[Any]:
        text = "".join(f'{{"t_s": {t_s}, "rr_ms": 900}}\n' for t_s in times_s)
        run_main(monkeypatch, folder, text, f"state={tmp_path / 's.json'}")
        return [json.loads(line) for line in capsysbinary.readouterr().out.splitlines()]

    said_about(*range(100, 200))
    said = said_about(1, 2, 3, 200, 4)
    assert [(line["kind"], line["line"]) for line in said if "line" in line] == [("known", 1), ("refused", 5)]
    assert "t_s=4 is not after 200" in said[-2]["message"] + said[-1].get("message", "")


@pytest.mark.parametrize("text", ['{"after_n": "1"}', '{"after_n": true}', '{"after_n": 1, "t_s": 2}'])
def test_lines_are_asked_for_by_a_number(
    folder: Path, text: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_main(monkeypatch, folder, text + "\n") == 1
    assert "lines are asked for by the number of the last one" in capsys.readouterr().out


@contextmanager
def served_live(folder: Path, scratch: Path) -> Iterator[int]:
    """A live detector at a port."""
    live = start(f"model={folder}", "source=127.0.0.1:0", f"state={scratch / 's.json'}", stderr=subprocess.PIPE)
    assert live.stderr is not None
    try:
        yield next(int(line.split(b":")[-1]) for line in live.stderr if b"listening on" in line)
    finally:
        live.kill()
        live.wait()
        live.stderr.close()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["source=7011"], "source=7011; allowed are - for standard input, or HOST:PORT"),
        (["source=127.0.0.1:99999"], "allowed are - for standard input, or HOST:PORT"),
        (["model=models:/none@champion"], "model=models:/none@champion is not a model of"),
        (
            ["output=no/such/folder/x"],
            "output=no/such/folder/x: the folder no/such/folder does not exist; create it first",
        ),
        (
            ["state=no/such/folder/x"],
            "state=no/such/folder/x: the folder no/such/folder does not exist; create it first",
        ),
        (["source=no.such.host.invalid:7011"], "cannot be opened for listening"),
        (["source=0.0.0.0:0"], "source=0.0.0.0:0 can be reached from other machines; set AURA_LIVE_TOKEN"),
    ],
)
def test_what_cannot_be_is_one_line(
    words: list[str], says: str, trained: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [] if any(word.startswith("model=") for word in words) else [f"model={MODEL}"]
    assert main(["live", *words, *given]) == 1
    assert says in capsys.readouterr().err
