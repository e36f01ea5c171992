"""Write detections in annotation formats, with the stretches that the detector could not assess."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from aura.core.events import Event
from aura.core.files import write_json, write_whole
from aura.formats.spreadsheet import as_text
from aura.formats.tabular import write_csv_bi, write_events_tsv
from aura.formats.tse import write_tse

FORMATS = {"tse_bi": ".tse_bi", "csv_bi": ".csv_bi", "events_tsv": "_events.tsv"}
# Label of TUSZ for stretches without annotation; readers of TUSZ treat it as neither seizure nor background.
NOT_ASSESSED = "null"
# Start in events.tsv if the recording has none.
NO_DATE = datetime(1985, 1, 1)


def write_detections(
    path: Path,
    detected: Sequence[Event],
    not_assessed: Sequence[Event],
    *,
    start: datetime | None,
    duration_s: float,
    about: Mapping[str, Any],
) -> None:
    """Write an annotation file atomically, in the format of its suffix.

    ``.tse_bi`` and ``.csv_bi`` files label the whole recording: ``seiz``, ``bckg``, or ``null`` where the detector
    could not assess it. ``events.tsv`` files list seizures, and as ``bckg`` with confidence 0 what could not be
    assessed, since readers of SzCORE know no other types.

    Parameters
    ----------
    path
        Path that ends in ``.tse_bi``, ``.csv_bi`` or ``_events.tsv``; its folder is created.
    detected, not_assessed
        Events, sorted and disjoint.
    start
        Start of the recording on the wall clock.
    duration_s
        Length of the recording in seconds.
    about
        Plain values that describe the annotator or the detector. They become comments below the first line of
        ``.tse_bi`` and ``.csv_bi`` files, which readers skip. ``events.tsv`` allows no comments, so they go to
        ``_events.json`` beside it, as BIDS has it.
    """
    unseen = [replace(event, kind=NOT_ASSESSED, confidence=1.0) for event in not_assessed]
    if path.name.endswith(FORMATS["events_tsv"]):
        named = [replace(event, kind="sz") for event in detected] or [Event(0.0, duration_s, "bckg")]
        named += [replace(event, kind="bckg", confidence=0.0) for event in not_assessed]
        events = sorted(named, key=lambda event: event.onset_s)
        write_whole(path, lambda part: write_events_tsv(part, events, start or NO_DATE, duration_s))
        write_json(sidecar(path), about)
        return
    events = _with_background([*detected, *unseen], duration_s)

    def write(part: Path) -> None:
        if path.suffix == FORMATS["csv_bi"]:
            write_csv_bi(part, events, duration_s, path.stem)
        else:
            write_tse(part, events)
        version, rest = part.read_text(encoding="utf-8").split("\n", 1)
        comments = [_comment(key, "unknown" if value is None else str(value)) for key, value in about.items()]
        if path.suffix == FORMATS["csv_bi"]:
            comments = [as_text(comment) for comment in comments]
        part.write_text("\n".join([version, *comments, rest]), encoding="utf-8")

    write_whole(path, write)


def _comment(key: str, value: str) -> str:
    """Return a comment of one line; line breaks of the value become spaces."""
    return f"# {key} = {' '.join(value.split())}"


def sidecar(path: Path) -> Path:
    """Return the path of the JSON file that BIDS has beside an ``events.tsv``."""
    return path.with_name(path.name.replace(FORMATS["events_tsv"], "_events.json"))


def _with_background(events: Sequence[Event], duration_s: float) -> list[Event]:
    """Return the events and the background between them."""
    filled: list[Event] = []
    at_s = 0.0
    for event in sorted(events, key=lambda event: event.onset_s):
        if event.onset_s > at_s:
            filled.append(Event(at_s, event.onset_s - at_s, "bckg"))
        filled.append(event)
        at_s = event.end_s
    if at_s < duration_s:
        filled.append(Event(at_s, duration_s - at_s, "bckg"))
    return filled
