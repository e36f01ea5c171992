"""The progress of a stage in a terminal and in a file."""

import io
import re
import sys
from time import sleep

import pytest

from aura.execution import progress


class Terminal(io.StringIO):
    """A text file that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_a_file_gets_whole_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "LINE_EVERY_S", 1e-3)
    monkeypatch.setattr(sys, "stderr", file := io.StringIO())
    for _ in progress.show_progress(range(3), title="train", unit="fold"):
        sleep(0.01)
    said = file.getvalue()
    assert "\r" not in said
    assert re.match(r"train: 1 of 3 folds, .*fold.*, .* left\n", said)


def test_a_short_stage_writes_no_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", file := io.StringIO())
    with progress.show_progress(title="prepare", unit="recording", total=2) as bar:
        bar.update()
        bar.update()
    assert file.getvalue() == ""


def test_a_terminal_gets_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setattr(sys, "stderr", file := Terminal())
    list(progress.show_progress(range(2), title="detect", unit="recording"))
    assert "detect: 100%" in file.getvalue()
    assert "\x1b[32m" not in file.getvalue()
