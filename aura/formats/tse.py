"""The annotation formats ``.tse`` and ``.tse_bi``: one event per line, ``onset end kind confidence``."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from aura.core.events import Event
from aura.formats.annotations import bad_line, checked_events, read_event, read_lines
from aura.formats.vocabulary import NO_WORDS, Words


@dataclass(frozen=True, slots=True)
class Line:
    """The fields of an event as text, and the number of its line."""

    number: int
    onset: str
    end: str
    kind: str
    confidence: str


def read_tse(path: Path, words: Words = NO_WORDS) -> tuple[Event, ...]:
    """Read all events of a file with times in seconds.

    Raises
    ------
    RecordingError
        ``bad_annotations`` for a line that is not an event, ``empty_annotations`` for a file without events.
    """
    lines = read_event_lines(path)
    return checked_events(
        path,
        (read_event(path, line.number, line.onset, line.end, line.kind, line.confidence, words) for line in lines),
    )


def read_event_lines(path: Path) -> Iterator[Line]:
    """Yield the lines with events; the kind may be several words.

    Raises
    ------
    RecordingError
        ``bad_annotations``.
    """
    for number, line in enumerate(read_lines(path), start=1):
        if line.strip() and "=" not in line and not line.startswith("#"):
            words = line.split()
            if len(words) < 4:
                raise bad_line(path, number, f"{len(words)} words; allowed are 4: onset end kind confidence")
            yield Line(number, words[0], words[1], " ".join(words[2:-1]), words[-1])


def write_tse(path: Path, events: Sequence[Event], start: datetime | None = None) -> None:
    """Write events as a ``.tse_bi`` file: in seconds, or as times of day (La Teppe) if ``start`` is given."""

    def time(seconds: float) -> str:
        return (
            f"{seconds:.4f}" if start is None else (start + timedelta(seconds=seconds)).isoformat("T", "microseconds")
        )

    rows = (f"{time(e.onset_s)} {time(e.end_s)} {e.kind} {e.confidence:.4f}\n" for e in events)
    path.write_text("version = tse_v1.0.0\n\n" + "".join(rows), encoding="utf-8")
