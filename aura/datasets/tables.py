"""Annotations as tables: ``.csv_bi`` and ``.csv`` of TUSZ 2.0, and ``events.tsv`` of BIDS."""

import csv
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from aura.datasets.annotations import bad_line, checked_event, is_seizure, read_lines, refused
from aura.spreadsheet import as_text
from aura.types import Event

CSV_COLUMNS = ("channel", "start_time", "stop_time", "label", "confidence")
TSV_COLUMNS = ("onset", "duration", "eventType", "confidence", "channels", "dateTime", "recordingDuration")


def read_csv(path: Path) -> tuple[Event, ...]:
    """Read all events of a ``.csv_bi`` or ``.csv`` file as they stand there; of all channels, where they differ.

    Raises
    ------
    RecordingError
        ``bad_annotations`` where it does not say what it should.
    """
    events = []
    for number, row in _rows(path, ",", ("start_time", "stop_time", "label")):
        try:
            onset_s, end_s = float(row["start_time"]), float(row["stop_time"])
            confidence = float(row.get("confidence") or 1.0)
        except ValueError as error:
            raise bad_line(path, number, "a time or a confidence that is no number") from error
        events.append(checked_event(path, number, onset_s, end_s, row["label"], confidence))
    if not events:
        raise refused(path, "holds no event, not even background")
    return tuple(events)


def read_events_tsv(path: Path) -> tuple[Event, ...]:
    """Read all events of a BIDS ``events.tsv`` as they stand there.

    Raises
    ------
    RecordingError
        ``bad_annotations`` where it does not say what it should.
    """
    events = []
    for number, row in _rows(path, "\t", ("onset", "duration", "eventType")):
        if "n/a" in (row["onset"], row["duration"]) and not is_seizure(row["eventType"]):
            continue
        try:
            onset_s, duration_s = float(row["onset"]), float(row["duration"])
            confidence = row.get("confidence") or "n/a"
            sure = 1.0 if confidence == "n/a" else float(confidence)
        except ValueError as error:
            raise bad_line(path, number, "an onset, a duration or a confidence that is no number") from error
        events.append(checked_event(path, number, onset_s, onset_s + duration_s, row["eventType"], sure))
    if not events:
        raise refused(path, "holds no event, not even background")
    return tuple(events)


def write_csv_bi(path: Path, events: Sequence[Event], duration_s: float, name: str) -> None:
    """Write events of a recording of that name as a ``.csv_bi`` file."""
    head = (
        f"# version = csv_v1.0.0\n# bname = {as_text(' '.join(name.split()))}\n# duration = {duration_s:.2f} secs\n#\n"
    )
    rows = (f"TERM,{e.onset_s:.4f},{e.end_s:.4f},{e.kind},{e.confidence:.4f}\n" for e in events)
    path.write_text(f"{head}{','.join(CSV_COLUMNS)}\n" + "".join(rows), encoding="utf-8")


def write_events_tsv(path: Path, events: Sequence[Event], start: datetime, duration_s: float) -> None:
    """Write events as SzCORE does; without a seizure, one row says that all of it is background."""
    rows = [
        (f"{e.onset_s:.4f}", f"{e.duration_s:.4f}", e.kind, f"{e.confidence:.4f}", start + timedelta(seconds=e.onset_s))
        for e in events
    ] or [("0.0", f"{duration_s:.4f}", "bckg", "n/a", start)]
    lines = ("\t".join((*row[:4], "n/a", f"{row[4]:%Y-%m-%d %H:%M:%S}", f"{duration_s:.4f}")) + "\n" for row in rows)
    path.write_text("\t".join(TSV_COLUMNS) + "\n" + "".join(lines), encoding="utf-8")


def _rows(path: Path, delimiter: str, needed: Sequence[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """Rows by column name, with the number of their line."""
    lines = [(i, line) for i, line in enumerate(read_lines(path), start=1) if line.strip() and not line.startswith("#")]
    if not lines:
        raise refused(path, f"has no header; allowed is one with {', '.join(needed)}")
    try:
        header, *cells = csv.reader((line.replace("\0", " ") for _, line in lines), delimiter=delimiter, strict=True)
    except (csv.Error, ValueError) as error:
        raise refused(path, "is no table of text") from error
    header = [name.strip() for name in header]
    if not set(needed) <= set(header):
        raise refused(path, f"has no columns {', '.join(needed)}")
    # A quoted line break would make one row of two lines, and every number after it wrong.
    if len(cells) != len(lines) - 1:
        raise refused(path, "has quotes that reach over lines")
    for (number, _), row in zip(lines[1:], cells, strict=True):
        if len(row) != len(header):
            raise bad_line(path, number, f"{len(row)} columns; the header has {len(header)}")
        yield number, dict(zip(header, (cell.strip() for cell in row), strict=True))
