"""The ``.tse_bi`` format: an event per line, ``onset end kind confidence``, times in seconds."""

from collections.abc import Sequence
from pathlib import Path

from aura.errors import RecordingError
from aura.types import Event, RecordingRef


def read_tse(ref: RecordingRef) -> tuple[Event, ...]:
    """Read all events of a recording's annotation file as they stand there.

    Raises
    ------
    RecordingError
        ``no_annotations`` where there is no file, ``bad_annotations`` where it does not say what it should.
    """
    if ref.annotations is None:
        raise RecordingError("no_annotations", f"{ref.edf.name}: no annotation file ({ref.edf.stem}.tse_bi) beside it")
    name = ref.annotations.name
    try:
        lines = ref.annotations.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise RecordingError("bad_annotations", f"{name}: cannot be read as text ({error})") from error
    events = tuple(
        _read_line(name, number, line.split())
        for number, line in enumerate(lines, start=1)
        if line.strip() and "=" not in line
    )
    if not events:
        raise RecordingError("bad_annotations", f"{name}: holds no event, not even background")
    return events


def write_tse(path: Path, events: Sequence[Event]) -> None:
    """Write events as a ``.tse_bi`` file."""
    rows = (f"{e.onset_s:.4f} {e.end_s:.4f} {e.kind} {e.confidence:.4f}\n" for e in events)
    path.write_text("version = tse_v1.0.0\n\n" + "".join(rows), encoding="utf-8")


def _read_line(name: str, number: int, fields: Sequence[str]) -> Event:
    """One event of the file."""
    allowed = "allowed is 'onset_s end_s kind confidence' with 0 <= onset_s <= end_s"
    try:
        onset, end, kind, confidence = fields
        event = Event(float(onset), float(end) - float(onset), kind, float(confidence))
    except ValueError:
        event = None
    # NaN and infinity are numbers to float(), but not times.
    if event is None or not (0 <= event.onset_s <= event.end_s < float("inf")):
        raise RecordingError("bad_annotations", f"{name}, line {number}: {' '.join(fields)!r}; {allowed}")
    return event
