"""What all annotation files have in common. Error messages never quote them: their comments name people."""

import codecs
from collections.abc import Iterable
from pathlib import Path

from aura.core.errors import RecordingError
from aura.core.events import Event
from aura.formats.vocabulary import Words, is_missing, says_no_seizure

# A year of annotations has less.
MAX_BYTES = 50_000_000


def read_lines(path: Path) -> list[str]:
    """Read the lines of a text file, in whichever of the usual encodings it is.

    Raises
    ------
    RecordingError
        ``bad_annotations``.
    """
    try:
        if not path.is_file() or path.stat().st_size > MAX_BYTES:
            raise refused(path, f"is no file, or one of more than {MAX_BYTES // 1_000_000} MB")
        content = path.read_bytes()
    except OSError as error:
        raise refused(path, f"cannot be read: {error.strerror}") from error
    try:
        encoding = "utf-16" if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"
        text = content.decode(encoding)
    except UnicodeDecodeError:
        # Any byte is a letter there; what has to be ASCII is checked when it is read.
        text = content.decode("latin-1")
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


def read_event(path: Path, number: int, onset: str, end: str, kind: str, confidence: str, words: Words) -> Event | None:
    """Read an event from the texts of a line, with times in seconds.

    An event without an end, such as ``n/a``, has a duration of 0. One without an onset is None where it is known not
    to be a seizure.

    Raises
    ------
    RecordingError
        ``bad_annotations`` where a text is no number, or where a seizure has no onset.
    """
    try:
        if is_missing(onset):
            if says_no_seizure(kind, words):
                return None
            raise ValueError
        onset_s = float(onset)
        end_s = onset_s if is_missing(end) else float(end)
        sure = 1.0 if is_missing(confidence) else float(confidence)
    except ValueError as error:
        raise bad_line(path, number, "a time or a confidence that is no number") from error
    return checked_event(path, number, onset_s, end_s, kind, sure)


def checked_event(path: Path, number: int, onset_s: float, end_s: float, kind: str, confidence: float) -> Event:
    """Build an event; raise if its times are invalid. Times are kept to the microsecond."""
    # NaN and infinity are numbers to float(), but not times.
    if not 0 <= end_s - onset_s < float("inf"):
        raise bad_line(path, number, "an event that ends before it begins, or never")
    return Event(onset_s, round(end_s - onset_s, 6), kind, confidence)


def checked_events(path: Path, events: Iterable[Event | None]) -> tuple[Event, ...]:
    """Return the events of a file; raise ``empty_annotations`` if there are none.

    A file without an event does not say that nothing happened: nobody has annotated it yet.
    """
    known = tuple(event for event in events if event is not None)
    if not known:
        message = f"its {path.suffix.lower()} annotation file holds no event, not even background"
        raise RecordingError("empty_annotations", message)
    return known


def bad_line(path: Path, number: int, says: str) -> RecordingError:
    """Error for a line that cannot be read."""
    return refused(path, f"line {number} has {says}")


def refused(path: Path, says: str) -> RecordingError:
    """Error for a file that cannot be read."""
    return RecordingError("bad_annotations", f"its {path.suffix.lower()} annotation file: {says}")
