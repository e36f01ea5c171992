"""Annotation tables: ``.csv_bi`` and ``.csv`` of TUSZ 2.0, and ``events.tsv`` of BIDS."""

import csv
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from aura.core.events import Event
from aura.formats.annotations import bad_file, bad_line, checked_event, checked_events, read_event, read_lines
from aura.formats.spreadsheet import as_text
from aura.formats.vocabulary import NO_WORDS, Words, is_missing

CSV_COLUMNS = ("channel", "start_time", "stop_time", "label", "confidence")
# Columns of an events.tsv file that can hold the type of an event, in lower case, the preferred one first.
KIND_COLUMNS = ("eventtype", "event_type", "trial_type", "type", "label", "description", "event", "value")
TSV_COLUMNS = ("onset", "duration", "eventType", "confidence", "channels", "dateTime", "recordingDuration")


def read_csv(path: Path, words: Words = NO_WORDS) -> tuple[Event, ...]:
    """Read all events of a ``.csv_bi`` or ``.csv`` file as they stand there, of all channels.

    Raises
    ------
    RecordingError
        ``bad_annotations`` for a row that is not an event, ``empty_annotations`` for a file without events.
    """
    rows = _rows(path, ",", ("start_time", "stop_time", "label"))
    return checked_events(
        path,
        (
            read_event(
                path, number, row["start_time"], row["stop_time"], row["label"], row.get("confidence", ""), words
            )
            for number, row in rows
        ),
    )


def read_events_tsv(path: Path, words: Words = NO_WORDS) -> tuple[Event, ...]:
    """Read all events of a BIDS ``events.tsv`` as they stand there.

    The type of an event is in ``eventType`` (SzCORE), ``trial_type`` or other columns that BIDS allows: the first of
    `KIND_COLUMNS` that is not empty in the row.

    Raises
    ------
    RecordingError
        ``bad_annotations`` for a row that is not an event, ``empty_annotations`` for a file without events.
    """
    return checked_events(path, (_bids_event(path, number, row, words) for number, row in _bids_rows(path)))


def _bids_rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield rows by column name in lower case; raise if no column can hold the type of an event."""
    for number, row in _rows(path, "\t", ("onset", "duration"), fold=True):
        if not any(column in row for column in KIND_COLUMNS):
            raise bad_file(
                path, "has no column that says what its events are; allowed are eventType, trial_type, value"
            )
        yield number, row


def _bids_event(path: Path, number: int, row: Mapping[str, str], words: Words) -> Event | None:
    """Parse a row, whose second time is a duration."""
    kinds = (row[column] for column in KIND_COLUMNS if column in row)
    kind = next((text for text in kinds if not is_missing(text)), "n/a")
    event = read_event(path, number, row["onset"], row["onset"], kind, row.get("confidence", ""), words)
    if event is None or is_missing(row["duration"]):
        return event
    try:
        end_s = event.onset_s + float(row["duration"])
    except ValueError as error:
        raise bad_line(path, number, "a duration that is not a number") from error
    return checked_event(path, number, event.onset_s, end_s, kind, event.confidence)


def write_csv_bi(path: Path, events: Sequence[Event], duration_s: float, name: str) -> None:
    """Write the events of a recording called ``name`` as a ``.csv_bi`` file."""
    head = (
        f"# version = csv_v1.0.0\n# bname = {as_text(' '.join(name.split()))}\n# duration = {duration_s:.2f} secs\n#\n"
    )
    rows = (f"TERM,{e.onset_s:.4f},{e.end_s:.4f},{e.kind},{e.confidence:.4f}\n" for e in events)
    path.write_text(f"{head}{','.join(CSV_COLUMNS)}\n" + "".join(rows), encoding="utf-8")


def write_events_tsv(path: Path, events: Sequence[Event], start: datetime, duration_s: float) -> None:
    """Write events as an ``events.tsv`` file of SzCORE; without events, one row labels all as background."""
    rows = [
        (f"{e.onset_s:.4f}", f"{e.duration_s:.4f}", e.kind, f"{e.confidence:.4f}", start + timedelta(seconds=e.onset_s))
        for e in events
    ] or [("0.0", f"{duration_s:.4f}", "bckg", "n/a", start)]
    lines = ("\t".join((*row[:4], "n/a", f"{row[4]:%Y-%m-%d %H:%M:%S}", f"{duration_s:.4f}")) + "\n" for row in rows)
    path.write_text("\t".join(TSV_COLUMNS) + "\n" + "".join(lines), encoding="utf-8")


def _rows(
    path: Path, delimiter: str, needed: Sequence[str], *, fold: bool = False
) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield line numbers and rows by column name; ``fold`` makes the names lower case."""
    lines = [(i, line) for i, line in enumerate(read_lines(path), start=1) if line.strip() and not line.startswith("#")]
    if not lines:
        raise bad_file(path, f"has no header; allowed is one with {', '.join(needed)}")
    try:
        header, *cells = csv.reader((line.replace("\0", " ") for _, line in lines), delimiter=delimiter, strict=True)
    except (csv.Error, ValueError) as error:
        raise bad_file(path, "is not a table of text") from error
    header = [name.strip().casefold() if fold else name.strip() for name in header]
    if not set(needed) <= set(header):
        raise bad_file(path, f"has no columns {', '.join(needed)}")
    # A quoted line break makes one row of two lines, so that the line numbers after it would be wrong.
    if len(cells) != len(lines) - 1:
        raise bad_file(path, "has quotes that span lines")
    for (number, _), row in zip(lines[1:], cells, strict=True):
        if len(row) != len(header):
            raise bad_line(path, number, f"{len(row)} columns; the header has {len(header)}")
        yield number, dict(zip(header, (cell.strip() for cell in row), strict=True))
