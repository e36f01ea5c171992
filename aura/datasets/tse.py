"""The ``.tse`` and ``.tse_bi`` formats: an event per line, ``onset end kind confidence``."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from aura.datasets.annotations import bad_line, checked_event, read_lines, refused
from aura.types import Event


def read_tse(path: Path, seconds: Callable[[str], float] = float) -> tuple[Event, ...]:
    """Read all events of a file as they stand there.

    Parameters
    ----------
    path
        The file.
    seconds
        Turns a time of the file into seconds from the start of the recording, or raises ValueError.

    Raises
    ------
    RecordingError
        ``bad_annotations`` where it does not say what it should.
    """
    events = tuple(
        _read_line(path, number, line.split(), seconds)
        for number, line in enumerate(read_lines(path), start=1)
        if line.strip() and "=" not in line and not line.startswith("#")
    )
    if not events:
        raise refused(path, "holds no event, not even background")
    return events


def write_tse(path: Path, events: Sequence[Event], start: datetime | None = None) -> None:
    """Write events as a ``.tse_bi`` file: in seconds, or where ``start`` is given as times of day, as La Teppe does."""

    def time(seconds: float) -> str:
        return (
            f"{seconds:.4f}" if start is None else (start + timedelta(seconds=seconds)).isoformat("T", "microseconds")
        )

    rows = (f"{time(e.onset_s)} {time(e.end_s)} {e.kind} {e.confidence:.4f}\n" for e in events)
    path.write_text("version = tse_v1.0.0\n\n" + "".join(rows), encoding="utf-8")


def _read_line(path: Path, number: int, fields: Sequence[str], seconds: Callable[[str], float]) -> Event:
    """One event of the file."""
    if len(fields) != 4:
        raise bad_line(path, number, f"{len(fields)} words; allowed are 4: onset end kind confidence")
    try:
        onset_s, end_s, confidence = seconds(fields[0]), seconds(fields[1]), float(fields[3])
    except ValueError as error:
        raise bad_line(path, number, "an onset, an end or a confidence that cannot be read") from error
    return checked_event(path, number, onset_s, end_s, fields[2], confidence)
