"""``aura live`` answers, keeps its state and continues, whatever ends a run."""

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

import numpy as np
import pandas as pd
import pytest
from filelock import FileLock

from aura.cli import main
from aura.detection.detector import SeizureDetector
from aura.detection.live import Live
from tests.support.live import MODEL, beats_at, lines_of
from tests.support.project import Project

pytestmark = pytest.mark.integration


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
    assert b"refused: 2 of 102 lines" in err
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
    assert b"held back at the end: 1 line," in err
    assert [line["kind"] for line in map(json.loads, out.splitlines())] == ["ready", "held"]
    assert run_main(monkeypatch, folder, after, *words) == 1
    out, err = capsysbinary.readouterr()
    assert b"refused: 1 of 2 lines" in err
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
    assert "after_n must be the number of the last line that was received" in capsys.readouterr().out


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
