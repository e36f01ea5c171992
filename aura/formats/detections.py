"""What a detector found, in the annotation formats of those who look at it; what it could not assess is said apart."""

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
# TUSZ calls so what nobody annotated; readers of TUSZ take it for neither a seizure nor background.
NOT_ASSESSED = "null"
# Of files that say no start.
NO_DATE = datetime(1985, 1, 1)


def write_detections(
    path: Path,
    found: Sequence[Event],
    not_assessed: Sequence[Event],
    *,
    start: datetime | None,
    duration_s: float,
    about: Mapping[str, Any],
) -> None:
    """Write an annotation file, in the format that its name says, whole or not at all.

    ``.tse_bi`` and ``.csv_bi`` say of each stretch of the recording what it is: ``seiz``, ``bckg``, or ``null`` where
    the detector could not see. ``events.tsv`` names seizures, and what could not be assessed as background with a
    confidence of 0, since readers of SzCORE know no other types.

    Parameters
    ----------
    path
        Ends in ``.tse_bi``, ``.csv_bi`` or ``_events.tsv``; its folder is made.
    found, not_assessed
        Sorted and disjoint.
    start
        Of the recording on the wall clock.
    duration_s
        Of the recording.
    about
        Who annotated it and when, or which detector; plain values. They are comments below the first line of
        ``.tse_bi`` and ``.csv_bi``, which their readers skip. ``events.tsv`` can hold none, so BIDS has them in
        ``_events.json`` beside it.
    """
    blind = [replace(event, kind=NOT_ASSESSED, confidence=1.0) for event in not_assessed]
    if path.name.endswith(FORMATS["events_tsv"]):
        named = [replace(event, kind="sz") for event in found] or [Event(0.0, duration_s, "bckg")]
        named += [replace(event, kind="bckg", confidence=0.0) for event in not_assessed]
        events = sorted(named, key=lambda event: event.onset_s)
        write_whole(path, lambda part: write_events_tsv(part, events, start or NO_DATE, duration_s))
        write_json(sidecar(path), about)
        return
    events = _filled([*found, *blind], duration_s)

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
    """Return a comment of one line, whatever line breaks the value holds."""
    return f"# {key} = {' '.join(value.split())}"


def sidecar(path: Path) -> Path:
    """Path of the JSON file that BIDS has beside an ``events.tsv``."""
    return path.with_name(path.name.replace(FORMATS["events_tsv"], "_events.json"))


def _filled(events: Sequence[Event], duration_s: float) -> list[Event]:
    """Events, and background between them."""
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
