"""What all annotation formats share. Error messages never quote a file, since comments can name people."""

import codecs
from collections.abc import Iterable
from pathlib import Path

from aura.core.errors import RecordingError
from aura.core.events import Event
from aura.formats.vocabulary import Words, is_missing, is_no_seizure

# Annotations of a year are smaller.
MAX_BYTES = 50_000_000


def read_lines(path: Path) -> list[str]:
    """Read the lines of a text file in UTF-8, UTF-16 or Latin-1.

    Raises
    ------
    RecordingError
        ``bad_annotations``.
    """
    try:
        if not path.is_file() or path.stat().st_size > MAX_BYTES:
            raise bad_file(path, f"is not a regular file, or larger than {MAX_BYTES // 1_000_000} MB")
        content = path.read_bytes()
    except OSError as error:
        raise bad_file(path, f"cannot be read: {error.strerror}") from error
    try:
        encoding = "utf-16" if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"
        text = content.decode(encoding)
    except UnicodeDecodeError:
        # Latin-1 decodes any bytes; numbers are checked when they are parsed.
        text = content.decode("latin-1")
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


def read_event(path: Path, number: int, onset: str, end: str, kind: str, confidence: str, words: Words) -> Event | None:
    """Parse the fields of a line as an event, with times in seconds.

    Parameters
    ----------
    path, number
        File and number of the line, for errors.
    onset, end, kind, confidence
        Fields as text. An event without an end (such as ``n/a``) lasts 0 s; a missing confidence is 1.
    words
        The clinic's own words.

    Returns
    -------
    Event or None
        None for an event without an onset that is known not to be a seizure.

    Raises
    ------
    RecordingError
        ``bad_annotations`` if a field is not a number, or if a seizure has no onset.
    """
    try:
        if is_missing(onset):
            if is_no_seizure(kind, words):
                return None
            raise ValueError
        onset_s = float(onset)
        end_s = onset_s if is_missing(end) else float(end)
        confidence_value = 1.0 if is_missing(confidence) else float(confidence)
    except ValueError as error:
        raise bad_line(path, number, "a time or a confidence that is not a number") from error
    return checked_event(path, number, onset_s, end_s, kind, confidence_value)


def checked_event(path: Path, number: int, onset_s: float, end_s: float, kind: str, confidence: float) -> Event:
    """Build an event; raise if its times are invalid. Times are kept to the microsecond."""
    # float() accepts NaN and infinity, which are no times.
    if not 0 <= end_s - onset_s < float("inf"):
        raise bad_line(path, number, "an event that ends before it begins, or never")
    return Event(onset_s, round(end_s - onset_s, 6), kind, confidence)


def checked_events(path: Path, events: Iterable[Event | None]) -> tuple[Event, ...]:
    """Return the events of a file; raise ``empty_annotations`` if there are none.

    An empty file means that nobody has annotated the recording yet, not that it has no seizure.
    """
    present = tuple(event for event in events if event is not None)
    if not present:
        message = f"its {path.suffix.lower()} annotation file holds no event, not even background"
        raise RecordingError("empty_annotations", message)
    return present


def bad_line(path: Path, number: int, problem: str) -> RecordingError:
    """Return the error for a line that cannot be read."""
    return bad_file(path, f"line {number} has {problem}")


def bad_file(path: Path, problem: str) -> RecordingError:
    """Return the error for an annotation file that cannot be read."""
    return RecordingError("bad_annotations", f"its {path.suffix.lower()} annotation file: {problem}")
