"""La Teppe: segments ``PAT_7/EEG_38_s1.edf`` to ``_sN.edf`` that share ``PAT_7/PAT_7_Annotations_EEG_38.tse_bi``.

The annotations are times of day. The start in the header of each EDF file converts them to seconds of that segment.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import astuple
from datetime import datetime, timedelta
from functools import lru_cache, partial
from itertools import product
from pathlib import Path

from aura.core.errors import RecordingError
from aura.core.events import Event, OutsideSegments
from aura.core.files import write_whole
from aura.core.recordings import RecordingRef
from aura.corpora.layout import AnnotatedRecording, Layout, Place
from aura.formats.annotations import bad_line, checked_event, checked_events
from aura.formats.clock import readings_s
from aura.formats.edf_header import read_header
from aura.formats.tse import Line, read_event_lines, write_tse
from aura.formats.vocabulary import NO_WORDS, Words, is_missing, is_no_seizure, is_seizure

SUBJECT = re.compile(r"PAT_\w+")
SEGMENT = re.compile(r"(?P<record>EEG_\w+?)(_s\d+)?")
Span = tuple[float, float]


def index(files: Sequence[Path], root: Path, dataset: str) -> Iterator[RecordingRef]:
    """Find the segments; each is a recording of its own."""
    by_name = {(path.parent, path.name.lower()): path for path in files}
    folders: dict[Path, dict[str, list[Path]]] = {}
    for edf in files:
        subject, segment = edf.parent.name, SEGMENT.fullmatch(edf.stem)
        if edf.suffix.lower() != ".edf" or not SUBJECT.fullmatch(subject) or not segment:
            continue
        if edf.parent not in folders:
            folders[edf.parent] = _segments(edf.parent)
        annotations = by_name.get((edf.parent, f"{subject}_Annotations_{segment['record']}.tse_bi".lower()))
        siblings = folders[edf.parent].get(segment["record"], []) if annotations else []
        yield RecordingRef(
            dataset=dataset,
            subject=subject,
            session=segment["record"],
            recording=f"{subject}_{edf.stem}",
            edf=edf,
            annotations=annotations,
            split=None,
            layout=LAYOUT.name,
            siblings=tuple(path for path in siblings if path != edf),
        )


def read_events(
    ref: RecordingRef, start: datetime | None, duration_s: float, words: Words = NO_WORDS
) -> Iterable[Event]:
    """Read the events that overlap this segment, and the seizures between this segment and the next.

    A seizure outside all segments belongs to the last segment that began before it, so exactly one recording reports
    it. It is an `OutsideSegments` if the date and the times of the file are evidently right: the seizure lies between
    two segments, or another seizure lies in a segment.

    Raises
    ------
    RecordingError
        ``bad_annotations``; ``empty_annotations``; ``no_start`` if the EDF file has no start;
        ``annotations_elsewhere`` if no annotation lies in this segment; ``unknown_zone``, ``ambiguous_start`` or
        ``ambiguous_time`` if the times do not determine when an event was.
    """
    assert ref.annotations is not None
    if start is None:
        message = "its annotations are times of day, and the EDF does not say when it began"
        raise RecordingError("no_start", message)
    path = ref.annotations
    events = checked_events(path, (_event(path, line, start, words) for line in read_event_lines(path)))
    inside = [event for event in events if _overlaps(event, (0.0, duration_s))]
    outside = [event for event in events if not _overlaps(event, (0.0, duration_s))]
    outside = [event for event in outside if not is_no_seizure(event.kind, words)]
    spans = [span for sibling in ref.siblings if (span := _span(sibling, start)) is not None] if outside else []
    begins_s = (0.0, *(begin_s for begin_s, _ in spans))
    nowhere = [event for event in outside if not any(_overlaps(event, span) for span in spans)]
    times_right = any(is_seizure(event.kind, words) for event in events if event not in nowhere)
    for event in nowhere:
        if _last_begun(event, begins_s) == 0.0:
            between = 0.0 <= event.onset_s < max(begins_s)
            inside.append(OutsideSegments(*astuple(event)) if times_right or between else event)
    if not inside:
        message = "none of its annotations lies between its begin and its end, as the date and time in the EDF say"
        raise RecordingError("annotations_elsewhere", message)
    return inside


def _event(path: Path, line: Line, start: datetime, words: Words) -> Event | None:
    """Read a line whose times are times of day; if a time is ambiguous, the shortest event counts."""
    harmless = is_no_seizure(line.kind, words)
    if is_missing(line.onset) and harmless:
        return None
    try:
        onsets_s = readings_s(datetime.fromisoformat(line.onset), start)
        ends_s = onsets_s if is_missing(line.end) else readings_s(datetime.fromisoformat(line.end), start)
        confidence = 1.0 if is_missing(line.confidence) else float(line.confidence)
    except ValueError as error:
        raise bad_line(path, line.number, "an onset, an end or a confidence that cannot be read") from error
    if not onsets_s or not ends_s:
        raise bad_line(path, line.number, f"a time that the clock of dataset.timezone={start.tzinfo} skips")
    spans = sorted((end_s - onset_s, onset_s, end_s) for onset_s, end_s in product(onsets_s, ends_s))
    forward = [span for span in spans if span[0] >= 0] or spans
    length_s, onset_s, end_s = forward[0]
    if not harmless and any(other[0] == length_s and other[1] != onset_s for other in forward):
        problem = (
            f"a time that the clock of dataset.timezone={start.tzinfo} shows twice; add its offset, such as +01:00"
        )
        raise RecordingError("ambiguous_time", bad_line(path, line.number, problem).message)
    return checked_event(path, line.number, onset_s, end_s, line.kind, confidence)


def _overlaps(event: Event, span: Span) -> bool:
    """Whether an event overlaps a segment; an event without duration may lie at its end."""
    begin_s, end_s = span
    if not event.duration_s:
        return begin_s <= event.onset_s <= end_s
    return event.onset_s < end_s and event.end_s > begin_s


def _last_begun(event: Event, begins_s: Sequence[float]) -> float:
    """Return the start of the last segment that began before the event ended, or of the first segment."""
    return max((begin_s for begin_s in begins_s if begin_s <= event.end_s), default=min(begins_s))


def _segments(folder: Path) -> dict[str, list[Path]]:
    """Return the EDF files of each record in a folder."""
    segments: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() == ".edf" and (name := SEGMENT.fullmatch(path.stem)):
            segments.setdefault(name["record"], []).append(path)
    return segments


def _span(edf: Path, start: datetime) -> Span | None:
    """Return the begin and end of another segment in seconds of this one; None if its header lacks them."""
    try:
        status = edf.stat()
        began, length_s = _read_span(edf, status.st_size, status.st_mtime_ns)
        onsets_s = () if began is None else readings_s(began, start)
    except (OSError, RecordingError):
        return None
    return (onsets_s[0], onsets_s[0] + length_s) if len(onsets_s) == 1 else None


# Every segment of a record reads the headers of all others.
@lru_cache(maxsize=4096)
def _read_span(edf: Path, size: int, changed_ns: int) -> tuple[datetime | None, float]:
    """Return the start and length in the header of an EDF file; its size and time of change are keys of the cache."""
    if not edf.is_file():
        raise RecordingError("unreadable_edf", "is not a file")
    with edf.open("rb") as file:
        header = read_header(file)
    return header.start, header.n_records * header.record_s


def place(subject: int, recording: int) -> Place:
    """Return ``PAT_1/EEG_1_s1.edf``, and one annotation file for all segments of a subject."""
    name, stem = f"PAT_{subject + 1}", f"EEG_1_s{recording + 1}"
    return Place(f"{name}_{stem}", Path(name, f"{stem}.edf"), Path(name, f"{name}_Annotations_EEG_1.tse_bi"))


def write_events(path: Path, recordings: Sequence[AnnotatedRecording]) -> None:
    """Write the ``.tse_bi`` file that all segments of a record share."""
    start = recordings[0].start
    tiles = [
        Event((segment.start - start) / timedelta(seconds=1) + tile.onset_s, tile.duration_s, tile.kind)
        for segment in recordings
        for tile in segment.tiles()
    ]
    write_whole(path, partial(write_tse, events=tiles, start=start))


LAYOUT = Layout(name="teppe", index=index, read_events=read_events, place=place, write_events=write_events)
