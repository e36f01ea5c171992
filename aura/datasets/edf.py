"""Read one channel of an EDF file, whatever else is wrong with it (format: doi:10.1016/j.clinph.2003.09.004).

The readers that exist were made for sound files: pyedflib refuses one with an impossible date, a memory map brings a
file of 7 GB into memory to read one channel of 40, and none keeps the gaps of EDF+D on the clock.
"""

import os
import re
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from pathlib import Path
from typing import BinaryIO

import numpy as np

from aura.errors import RecordingError
from aura.types import Ecg, Segment

FIXED_BYTES = 256
# Of each signal, in the order of the header: label, transducer, unit, physical and digital limits, filter, samples.
FIELD_BYTES = (16, 80, 8, 8, 8, 8, 8, 80, 8, 32)
LABEL, UNIT, PHYSICAL_MIN, PHYSICAL_MAX, DIGITAL_MIN, DIGITAL_MAX, N_SAMPLES = 0, 2, 3, 4, 5, 6, 8
MILLIVOLTS = {"nv": 1e-6, "uv": 1e-3, "µv": 1e-3, "μv": 1e-3, "mv": 1.0, "v": 1e3, "": 1e-3}
# Slower, no R-peak can be timed; faster, it is not an ECG.
FS_HZ = (50.0, 100_000.0)
# A clock that says more is wrong.
MAX_DURATION_S = 31 * 86_400.0
ANNOTATIONS = "EDF Annotations"
# Onset of a data record: the first annotation of its first annotation signal, which has no text.
ONSET = re.compile(rb"\s*([+-]\d+(?:\.\d*)?)\x14\x14")


@dataclass(frozen=True, slots=True)
class Header:
    """What a header says, and what it said wrongly.

    Parameters
    ----------
    labels
        Of all signals, annotations included.
    fields
        Per signal the other fields as text.
    samples
        Samples of each signal in a data record.
    data_at
        Where the data begin, in bytes.
    n_records
        Data records that are there in full.
    record_s
        Length of a data record in seconds.
    gaps
        Whether the data records can be apart (EDF+D).
    start
        On the wall clock, to the second.
    remarks
        Codes, as in `aura.types.Ecg`.
    """

    labels: tuple[str, ...]
    fields: tuple[tuple[str, ...], ...]
    samples: tuple[int, ...]
    data_at: int
    n_records: int
    record_s: float
    gaps: bool
    start: datetime | None
    remarks: tuple[str, ...]

    @property
    def record_bytes(self) -> int:
        """Length of a data record in bytes."""
        return 2 * sum(self.samples)


def read_ecgs(edf: Path, channels: Sequence[str]) -> Iterator[Ecg]:
    """Read the channels of an EDF file that can be its ECG, and nothing of the others.

    Parameters
    ----------
    edf
        The file.
    channels
        Patterns of channel labels in order of preference; ``*`` stands for anything, case does not count.

    Yields
    ------
    Ecg
        At least one, in the order of preference. A channel without a unit is read as microvolts, as EEG amplifiers
        write. Time begins with the first data record; the gaps of an EDF+D file stay gaps.

    Raises
    ------
    RecordingError
        ``unreadable_edf``, ``no_ecg_channel``, ``unknown_unit``, ``bad_scaling``, ``bad_rate``, ``bad_clock`` or
        ``empty_ecg``: of the preferred channel, where none can be read.
    """
    try:
        # A named pipe would wait for ever.
        if not stat.S_ISREG(edf.stat().st_mode):
            raise RecordingError("unreadable_edf", "is not a file")
        with edf.open("rb", buffering=0) as file:
            header = read_header(file)
            indices = _find_channels(header, channels)
            onsets_s = _record_onsets(file, header)
            yield from _read_all(file, header, indices, onsets_s)
    except OSError as error:
        raise RecordingError("unreadable_edf", f"cannot be read: {error.strerror}") from error


def read_header(file: BinaryIO) -> Header:
    """Read the header of an EDF file.

    Raises
    ------
    RecordingError
        ``unreadable_edf`` or ``bad_rate``, where the data cannot be found by it.
    """
    fixed = _read(file, 0, FIXED_BYTES)
    if len(fixed) < FIXED_BYTES or fixed[:8].strip(b" \0") != b"0":
        raise RecordingError("unreadable_edf", "is no EDF file; those begin with a 0 and have 256 bytes at least")
    n_signals = _n_signals(fixed)
    text = _read(file, FIXED_BYTES, FIXED_BYTES * n_signals)
    if len(text) < FIXED_BYTES * n_signals:
        raise RecordingError("unreadable_edf", f"ends in the header; {n_signals} signals need {FIXED_BYTES} bytes each")
    fields, at = [], 0
    for width in FIELD_BYTES:
        fields.append(tuple(_text(text[at + i * width : at + (i + 1) * width]) for i in range(n_signals)))
        at += width * n_signals
    samples = tuple(_whole(value) for value in fields[N_SAMPLES])
    if any(n is None or n < 0 for n in samples):
        raise RecordingError("unreadable_edf", "does not say how many samples each signal has in a data record")
    record_s = _number(_text(fixed[244:252]))
    if record_s is None or not 0 <= record_s < MAX_DURATION_S:
        raise RecordingError("bad_rate", "does not say how long a data record is, so the sampling rate is not known")
    record_bytes = 2 * sum(n or 0 for n in samples)
    if not record_bytes:
        raise RecordingError("unreadable_edf", "has data records without a sample")
    data_at = FIXED_BYTES * (1 + n_signals)
    n_records, remarks = _n_records(fixed, max(os.fstat(file.fileno()).st_size - data_at, 0), record_bytes)
    start = _start(_text(fixed[168:176]), _text(fixed[176:184]))
    return Header(
        labels=fields[LABEL],
        fields=tuple(fields),
        samples=tuple(n or 0 for n in samples),
        data_at=data_at,
        n_records=n_records,
        record_s=record_s,
        gaps=_text(fixed[192:236]).startswith("EDF+D"),
        start=start,
        remarks=(*remarks, *(() if start else ("no_start",))),
    )


def _n_signals(fixed: bytes) -> int:
    """Number of signals, which the header says twice; where both are numbers they have to agree."""
    said, header_bytes = _whole(_text(fixed[252:256])), _whole(_text(fixed[184:192]))
    derived = None
    if header_bytes is not None and header_bytes > FIXED_BYTES and header_bytes % FIXED_BYTES == 0:
        derived = header_bytes // FIXED_BYTES - 1
    if said is None or said <= 0:
        said = derived
    if said is None or (derived is not None and derived != said):
        raise RecordingError("unreadable_edf", "does not say how many signals it has, or says it in two ways")
    return said


def _n_records(fixed: bytes, data_bytes: int, record_bytes: int) -> tuple[int, list[str]]:
    """Data records to read: what is said, as far as it is there; all that are there, where nothing is said."""
    said, there = _whole(_text(fixed[236:244])), data_bytes // record_bytes
    if said is None or said < 0:
        return there, ["no_record_count"]
    if said > there:
        return there, ["truncated"]
    return said, ["longer_than_said"] if data_bytes > said * record_bytes else []


def _find_channels(header: Header, channels: Sequence[str]) -> list[int]:
    """Signals that match a pattern, by the order of the patterns and then of the file."""
    found: dict[int, None] = {}
    for pattern in channels:
        for index, label in enumerate(header.labels):
            if label != ANNOTATIONS and fnmatchcase(label.lower(), pattern.lower()):
                found.setdefault(index)
    if not found:
        raise RecordingError("no_ecg_channel", f"no channel matches {list(channels)}; there are {list(header.labels)}")
    return list(found)


def _read_all(
    file: BinaryIO, header: Header, indices: Sequence[int], onsets_s: Sequence[float] | None
) -> Iterator[Ecg]:
    """Read those signals that can be read; the error of the first where there is none."""
    errors, n_read = [], 0
    for index in indices:
        try:
            yield _read_signal(file, header, index, onsets_s)
            n_read += 1
        except RecordingError as error:
            errors.append(error)
    if not n_read:
        raise errors[0]


def _read_signal(file: BinaryIO, header: Header, index: int, onsets_s: Sequence[float] | None) -> Ecg:
    """Read one signal."""
    label, unit = header.labels[index], header.fields[UNIT][index]
    per_step_mv = MILLIVOLTS.get(unit.lower())
    if per_step_mv is None:
        raise RecordingError("unknown_unit", f"channel {label!r} is in {unit!r}; known are V, mV, uV and nV")
    low, high, first, last = (
        _number(header.fields[field][index]) for field in (PHYSICAL_MIN, PHYSICAL_MAX, DIGITAL_MIN, DIGITAL_MAX)
    )
    if low is None or high is None or first is None or last is None or low == high or first == last:
        raise RecordingError("bad_scaling", f"channel {label!r} has no range, so its samples have no scale")
    n = header.samples[index]
    if not n or not header.n_records:
        raise RecordingError("empty_ecg", f"channel {label!r} holds no samples")
    fs_hz = n / header.record_s if header.record_s else float("inf")
    if not FS_HZ[0] <= fs_hz <= FS_HZ[1]:
        message = f"channel {label!r} has {fs_hz:g} samples a second; allowed are {FS_HZ[0]:g} to {FS_HZ[1]:g}"
        raise RecordingError("bad_rate", message)
    segments = _segments(header, n, onsets_s)
    steps_mv = (high - low) / (last - first) * per_step_mv
    return Ecg(
        digital=np.frombuffer(_read_records(file, header, index), dtype="<i2").astype(np.int16, copy=False),
        mv_per_step=steps_mv,
        zero_mv=low * per_step_mv - first * steps_mv,
        limits=(int(min(first, last)), int(max(first, last))),
        fs_hz=fs_hz,
        channel=label,
        start=header.start + timedelta(seconds=onsets_s[0]) if header.start and onsets_s else header.start,
        segments=segments,
        remarks=(*header.remarks, *(("gaps",) if len(segments) > 1 else ())),
    )


def _read_records(file: BinaryIO, header: Header, index: int) -> bytearray:
    """Read a signal's part of every data record, and only that: the file can be many times the memory."""
    n_bytes = 2 * header.samples[index]
    at = header.data_at + 2 * sum(header.samples[:index])
    out = bytearray(n_bytes * header.n_records)
    view, descriptor = memoryview(out), file.fileno()
    for record in range(header.n_records):
        part = view[record * n_bytes : (record + 1) * n_bytes]
        if os.preadv(descriptor, [part], at + record * header.record_bytes) != n_bytes:
            raise RecordingError("unreadable_edf", "became shorter while it was read")
    return out


def _record_onsets(file: BinaryIO, header: Header) -> list[float] | None:
    """Onset of each data record in seconds from the start that the header says; None where it says nothing of gaps."""
    if ANNOTATIONS not in header.labels or not header.n_records:
        if header.gaps:
            raise RecordingError("bad_clock", "is EDF+D, with gaps in time, but does not say when its records begin")
        return None
    index = header.labels.index(ANNOTATIONS)
    n_bytes, at = 2 * header.samples[index], header.data_at + 2 * sum(header.samples[:index])
    onsets_s = []
    # Without gaps, the first one says the fraction of a second at which the recording began.
    for record in range(header.n_records if header.gaps else 1):
        found = ONSET.match(_read(file, at + record * header.record_bytes, n_bytes))
        if found is None and header.gaps:
            raise RecordingError("bad_clock", f"is EDF+D, with gaps in time, and record {record} does not say its time")
        onsets_s.append(float(found[1]) if found else 0.0)
    # More than a day before or after the start is no fraction of a second.
    return onsets_s if header.gaps or abs(onsets_s[0]) < 1 else None


def _segments(header: Header, n: int, onsets_s: Sequence[float] | None) -> tuple[Segment, ...]:
    """Stretches of samples without a gap; records that begin within half a sample of the last one's end follow it."""
    if not header.gaps or onsets_s is None:
        segments = [Segment(0, n * header.n_records, 0.0)]
    else:
        segments, half_sample_s = [], 0.5 * header.record_s / n
        for record, onset_s in enumerate(onset_s - onsets_s[0] for onset_s in onsets_s):
            stop = (record + 1) * n
            if segments:
                last = segments[-1]
                end_s = last.onset_s + (last.stop - last.first) * header.record_s / n
                if onset_s < end_s - half_sample_s:
                    raise RecordingError("bad_clock", f"is EDF+D, and record {record} begins before the last one ended")
                if onset_s <= end_s + half_sample_s:
                    segments[-1] = Segment(last.first, stop, last.onset_s)
                    continue
            segments.append(Segment(record * n, stop, onset_s))
    last = segments[-1]
    if last.onset_s + (last.stop - last.first) * header.record_s / n > MAX_DURATION_S:
        raise RecordingError("bad_clock", f"says it is longer than {MAX_DURATION_S / 86_400:g} days")
    return tuple(segments)


def _start(date: str, time: str) -> datetime | None:
    """Start on the wall clock; files with an impossible or withheld date are common and still hold an ECG."""
    numbers = [_whole(part) for part in re.split(r"[.:/-]", date) + re.split(r"[.:]", time)]
    if len(numbers) != 6:
        return None
    day, month, year, hour, minute, second = numbers
    try:
        # Two digits, of which 85 and more are of the last century.
        return datetime((1900 if (year or 0) >= 85 else 2000) + year, month, day, hour, minute, second)  # type: ignore[operator, arg-type]
    except (ValueError, TypeError):
        return None


def _read(file: BinaryIO, at: int, n_bytes: int) -> bytes:
    return os.pread(file.fileno(), n_bytes, at)


def _text(field: bytes) -> str:
    """Text of a header field. The standard allows ASCII; units come in UTF-8 and Latin-1 as well."""
    try:
        text = field.decode("utf-8")
    except UnicodeDecodeError:
        text = field.decode("latin-1")
    return text.replace("\0", " ").strip()


def _number(text: str) -> float | None:
    """A number; some programs write a decimal comma."""
    try:
        value = float(text.replace(",", "."))
    except ValueError:
        return None
    return value if np.isfinite(value) else None


def _whole(text: str) -> int | None:
    value = _number(text)
    return int(value) if value is not None and value == int(value) else None
