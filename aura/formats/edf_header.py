"""Read from an EDF header what is needed to find the samples of a channel, even if the rest is damaged."""

import os
import re
from dataclasses import dataclass
from datetime import datetime
from typing import BinaryIO

import numpy as np

from aura.core.errors import RecordingError
from aura.core.series import MAX_DURATION_S
from aura.core.wording import counted

ANNOTATIONS = "edf annotations"
FIXED_BYTES = 256
# The largest number that fits into the four characters of the field.
MAX_SIGNALS = 9999
# The fields that name people are 160 bytes; the date follows them.
NAMES_END = 168
# Fields per signal in the order of the header: label, transducer, unit, physical and digital limits, filter, samples.
FIELD_BYTES = (16, 80, 8, 8, 8, 8, 8, 80, 8, 32)
LABEL, UNIT, PHYSICAL_MIN, PHYSICAL_MAX, DIGITAL_MIN, DIGITAL_MAX, N_SAMPLES = 0, 2, 3, 4, 5, 6, 8
# Physical limits may have exponents.
NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
WHOLE = re.compile(r"([+-]?\d+)(?:[.,]0*)?", re.ASCII)
START = re.compile(r"(\d\d?)[.:/-](\d\d?)[.:/-](\d\d) (\d\d?)[.:](\d\d?)[.:](\d\d?)")


@dataclass(frozen=True, slots=True)
class Header:
    """The fields of a header, corrected where the file contradicts them.

    Parameters
    ----------
    labels
        Labels of all signals, annotations included.
    fields
        All fields as text, by field and then by signal.
    samples
        Number of samples of each signal in a data record.
    data_at
        Offset of the first data record in bytes.
    n_records
        Number of complete data records.
    rest_bytes
        Length of a truncated last data record in bytes.
    record_s
        Length of a data record in seconds.
    gaps
        Whether there can be gaps between data records (EDF+D).
    start
        Start on the wall clock, to the second.
    remarks
        Codes, as in `aura.core.recordings.Ecg`.
    """

    labels: tuple[str, ...]
    fields: tuple[tuple[str, ...], ...]
    samples: tuple[int, ...]
    data_at: int
    n_records: int
    rest_bytes: int
    record_s: float
    gaps: bool
    start: datetime | None
    remarks: tuple[str, ...]

    @property
    def record_bytes(self) -> int:
        """The length of a data record in bytes."""
        return 2 * sum(self.samples)

    def is_annotation(self, index: int) -> bool:
        """Whether a signal holds annotations instead of samples."""
        return " ".join(self.labels[index].lower().split()) == ANNOTATIONS

    @property
    def timekeeping(self) -> int | None:
        """The signal with the time stamps of the data records: the first one with annotations."""
        return next((index for index in range(len(self.labels)) if self.is_annotation(index)), None)


def read_header(file: BinaryIO) -> Header:
    """Read the header of an EDF file.

    Raises
    ------
    RecordingError
        ``unreadable_edf`` or ``bad_rate`` if the samples cannot be found.
    """
    fixed = os.pread(file.fileno(), 2 * FIXED_BYTES, 0)
    if not fixed:
        raise RecordingError("unreadable_edf", "is empty")
    if len(fixed) < FIXED_BYTES or fixed[:8].strip(b" \0") != b"0":
        raise RecordingError("unreadable_edf", "is not an EDF file; those begin with a 0 and have 256 bytes at least")
    shift = _shift(fixed)
    fixed = fixed[shift : shift + FIXED_BYTES]
    n_signals = _n_signals(fixed)
    file_bytes = os.fstat(file.fileno()).st_size
    # A damaged header can claim any number of signals; never allocate more than the size of the file.
    text = os.pread(file.fileno(), min(FIXED_BYTES * n_signals, file_bytes), FIXED_BYTES + shift)
    if len(text) < FIXED_BYTES * n_signals:
        need = counted(n_signals, "signal needs", "signals need")
        raise RecordingError("unreadable_edf", f"ends in the header; {need} {FIXED_BYTES} bytes each")
    fields, at = [], 0
    for width in FIELD_BYTES:
        fields.append(tuple(_text(text[at + i * width : at + (i + 1) * width]) for i in range(n_signals)))
        at += width * n_signals
    samples = tuple(_whole(value) for value in fields[N_SAMPLES])
    if any(n is None or n < 0 for n in samples):
        raise RecordingError("unreadable_edf", "does not say how many samples each signal has in a data record")
    record_s = parse_number(_text(fixed[244:252]))
    if record_s is None or not 0 <= record_s < MAX_DURATION_S:
        raise RecordingError("bad_rate", "does not say how long a data record is, so the sampling rate is not known")
    record_bytes = 2 * sum(n or 0 for n in samples)
    if not record_bytes:
        raise RecordingError("unreadable_edf", "has data records without a sample")
    data_at = FIXED_BYTES * (1 + n_signals) + shift
    n_records, rest_bytes, remarks = _n_records(fixed, max(file_bytes - data_at, 0), record_bytes)
    start = _start(_text(fixed[168:176]), _text(fixed[176:184]))
    return Header(
        labels=fields[LABEL],
        fields=tuple(fields),
        samples=tuple(n or 0 for n in samples),
        data_at=data_at,
        n_records=n_records,
        rest_bytes=rest_bytes,
        record_s=record_s,
        gaps="".join(_text(fixed[192:236]).split()).upper().startswith("EDF+D"),
        start=start,
        remarks=(*remarks, *(() if start else ("no_start",)), *(("shifted_header",) if shift else ())),
    )


def _shift(fixed: bytes) -> int:
    """Return by how many bytes the fields after a name are shifted: it was padded by letters but written in UTF-8."""
    late = sum(0x80 <= byte < 0xC0 for byte in fixed[8 : NAMES_END + 16])
    dates = [_start(_text(fixed[at : at + 8]), _text(fixed[at + 8 : at + 16])) for at in (NAMES_END, NAMES_END + late)]
    return late if dates[0] is None and dates[1] is not None else 0


def _n_signals(fixed: bytes) -> int:
    """Return the number of signals. The header holds it twice; if both are valid they have to agree."""
    n_signals, header_bytes = _whole(_text(fixed[252:256])), _whole(_text(fixed[184:192]))
    derived = None
    if header_bytes is not None and header_bytes > FIXED_BYTES and header_bytes % FIXED_BYTES == 0:
        derived = min(header_bytes // FIXED_BYTES - 1, MAX_SIGNALS + 1)
    if n_signals is None or n_signals <= 0:
        n_signals = derived
    if n_signals is None or (derived is not None and derived != n_signals):
        raise RecordingError("unreadable_edf", "does not say how many signals it has, or says it in two ways")
    if n_signals > MAX_SIGNALS:
        raise RecordingError("unreadable_edf", f"says it has more than {MAX_SIGNALS} signals")
    return n_signals


def _n_records(fixed: bytes, data_bytes: int, record_bytes: int) -> tuple[int, int, list[str]]:
    """Return the number of complete data records, the bytes of a truncated one, and remarks.

    The number in the header counts if the file is long enough for it; otherwise the length of the file does.
    """
    declared, (present, rest) = _whole(_text(fixed[236:244])), divmod(data_bytes, record_bytes)
    if declared is None or declared < 0:
        return present, rest, ["no_record_count"]
    if declared > present:
        return present, rest, ["truncated"]
    return declared, 0, ["longer_than_said"] if data_bytes > declared * record_bytes else []


def _start(date: str, time: str) -> datetime | None:
    """Parse the start on the wall clock; None for an impossible or withheld date, which is common."""
    match = START.fullmatch(f"{date} {time}")
    if match is None:
        return None
    day, month, year, hour, minute, second = map(int, match.groups())
    try:
        # Years of two digits from 85 on are in the last century.
        return datetime((1900 if year >= 85 else 2000) + year, month, day, hour, minute, second)
    except ValueError:
        return None


def _text(field: bytes) -> str:
    """Decode a header field. The standard allows ASCII; real units are in UTF-8 and Latin-1 as well."""
    try:
        text = field.decode("utf-8")
    except UnicodeDecodeError:
        text = field.decode("latin-1")
    return text.replace("\0", " ").strip()


def parse_number(text: str) -> float | None:
    """Parse a number, also with a decimal comma; None if it is not finite."""
    match = NUMBER.fullmatch(text.replace(",", "."))
    value = float(match[0]) if match else float("inf")
    return value if np.isfinite(value) else None


def _whole(text: str) -> int | None:
    """Parse a whole number in plain digits; None for other text."""
    match = WHOLE.fullmatch(text)
    return int(match[1]) if match else None
