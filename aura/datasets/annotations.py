"""What all annotation files have in common. What stands in them is never quoted: their comments name people."""

import codecs
from pathlib import Path

from aura.errors import RecordingError
from aura.types import Event

# A year of annotations has less.
MAX_BYTES = 50_000_000
# Of TUSZ and SeizeIT2: background, artefacts, calibration, impedance checks.
BACKGROUND = frozenset(
    (
        *("bckg", "background", "n/a", "null", "impd", "artf", "eyem", "eybl", "chew", "shiv", "musc", "elpp", "elec"),
        *("elst", "calb", "hphs", "trip", "musc_elec", "eyem_musc", "eyem_elec", "eyem_chew", "eyem_shiv", "chew_elec"),
        *("chew_musc", "shiv_elec"),
    )
)


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


def checked_event(path: Path, number: int, onset_s: float, end_s: float, kind: str, confidence: float) -> Event:
    """Give an event, or refuse times that are none; times are kept to the microsecond."""
    # NaN and infinity are numbers to float(), but not times.
    if not 0 <= end_s - onset_s < float("inf"):
        raise bad_line(path, number, "an event that ends before it begins, or never")
    return Event(onset_s, round(end_s - onset_s, 6), kind, confidence)


def is_seizure(kind: str) -> bool:
    """Whether a type of event of Temple University Hospital or of SzCORE is a seizure; case does not count.

    Those of the one are ``seiz`` or end in ``sz`` (``cpsz``), those of the other begin with it (``sz_foc_ia``).
    """
    kind = kind.lower()
    return kind in ("seiz", "seizure", "seizures") or kind.startswith("sz") or kind.endswith("sz")


def is_background(kind: str) -> bool:
    """Whether a type of event is known to be none: background, artefacts, an impedance check."""
    return kind.lower() in BACKGROUND


def bad_line(path: Path, number: int, says: str) -> RecordingError:
    """Error for a line that cannot be read."""
    return refused(path, f"line {number} has {says}")


def refused(path: Path, says: str) -> RecordingError:
    """Error for a file that cannot be read."""
    return RecordingError("bad_annotations", f"its {path.suffix.lower()} annotation file: {says}")
