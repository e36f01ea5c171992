"""Read single channels of an EDF file, also of a damaged one (format: doi:10.1016/j.clinph.2003.09.004).

Existing readers assume undamaged files: pyedflib refuses a file with an impossible date. A memory map loads 7 GB to
read one channel of 40, and no reader keeps the gaps of EDF+D at their times.
"""

import math
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from fnmatch import fnmatchcase
from numbers import Integral
from os import PathLike
from pathlib import Path
from types import NoneType
from typing import Any, BinaryIO

import numpy as np

from aura.core.arrays import Int16s
from aura.core.errors import InvalidInput, RecordingError, check_type, quote
from aura.core.recordings import ECG_RATES_HZ, Ecg, Segment
from aura.formats.edf_clock import Clock, read_clock
from aura.formats.edf_header import (
    DIGITAL_MAX,
    DIGITAL_MIN,
    PHYSICAL_MAX,
    PHYSICAL_MIN,
    UNIT,
    Header,
    parse_number,
    read_header,
)
from aura.formats.units import MILLIVOLTS, is_voltage, quote_unit, read_unit

ANY_ECG = ("*EKG*", "*ECG*")
# Ten days at 256 Hz. More does not fit into 1 GiB together with the memory of a beat detector.
MAX_SAMPLES = 240_000_000
# Millivolts per digital step; no converter has smaller or larger steps.
SCALES_MV = (1e-15, 1e15)
# Shorter data records are read many at a time.
SMALL_BYTES = 4096


def read_ecg(
    edf: Path | str, channels: Sequence[str] = ANY_ECG, unit: str | None = None, signal: int | None = None
) -> Ecg:
    """Read the ECG of an EDF file: the first channel that `read_ecgs` yields.

    Parameters
    ----------
    edf
        The file.
    channels
        Patterns of channel labels in order of preference.
    unit, signal
        See `read_ecgs`.

    Examples
    --------
    >>> from datetime import datetime
    >>> from tempfile import TemporaryDirectory
    >>> from aura.formats.edf_writer import Channel, write_edf
    >>> with TemporaryDirectory() as folder:
    ...     edf = Path(folder) / "recording.edf"
    ...     write_edf(edf, [Channel("EEG EKG1-REF", np.full(2560, 500.0), 256)], start=datetime(2020, 1, 1))
    ...     ecg = read_ecg(edf)
    >>> ecg.channel, ecg.fs_hz, ecg.duration_s, ecg.mv(0, 2).round(3)
    ('EEG EKG1-REF', 256.0, 10.0, array([0.5, 0.5]))
    """
    check_type("edf", edf, (str, PathLike), "the path of an EDF file")
    check_patterns(channels)
    if unit is not None and (not isinstance(unit, str) or unit not in MILLIVOLTS):
        raise InvalidInput(
            f"unit={quote(unit)}; allowed are {', '.join(MILLIVOLTS)}, and None for the unit in the file"
        )
    check_type("signal", signal, (Integral, NoneType), "the number of a signal, or None")
    return next(read_ecgs(Path(edf), channels, unit, signal))


def check_patterns(channels: Any) -> None:
    """Raise InvalidInput unless the patterns of channel labels are a list of texts."""
    if isinstance(channels, str):
        raise InvalidInput(f"channels is a list of patterns; write [{channels!r}]")
    check_type("channels", channels, Sequence, "a list of patterns such as ['*ECG*']")
    if not channels or not all(isinstance(pattern, str) for pattern in channels):
        raise InvalidInput(f"channels={quote(channels)}; allowed is a list of patterns such as ['*ECG*']")


def read_ecgs(
    edf: Path, channels: Sequence[str], unit: str | None = None, signal: int | None = None, *, section: str = ""
) -> Iterator[Ecg]:
    """Read the channels of an EDF file that can be its ECG; no other channel is read.

    Parameters
    ----------
    edf
        The file.
    channels
        Patterns of channel labels in order of preference; ``*`` matches anything, case does not count. A pattern that
        equals a label matches that label alone, whatever special characters it has.
    unit
        Unit of the samples that overrides the file: ``uV``, ``mV``, ``V`` or ``nV``. None takes the unit in the file,
        and microvolts if it has none, as EEG amplifiers write.
    signal
        Number of the only signal to read, from 0, since labels can repeat; its label has to match as well. None reads
        all signals that match.
    section
        What messages put before the names of these parameters: ``dataset.`` if a configuration holds them.

    Yields
    ------
    Ecg
        Channels in a unit of voltage, at least one, in the order of preference. Time begins with the first data
        record; the gaps of an EDF+D file stay gaps.

    Raises
    ------
    RecordingError
        ``unreadable_edf``, ``no_ecg_channel``, ``unknown_unit``, ``bad_scaling``, ``bad_rate``, ``bad_clock``,
        ``too_large`` or ``empty_ecg``: the error of the preferred channel, if no channel can be read.
    """
    try:
        if edf.is_dir():
            raise RecordingError("unreadable_edf", "is a folder")
        # Reading a named pipe would block.
        if not stat.S_ISREG(edf.stat().st_mode):
            raise RecordingError("unreadable_edf", "is not a file")
        with edf.open("rb", buffering=0) as file:
            header = read_header(file)
            indices = _find_channels(header, channels, signal, section)
            yield from _read_all(file, header, indices, read_clock(file, header), unit, section)
    except OSError as error:
        is_missing = isinstance(error, FileNotFoundError)
        problem = "is not there, or is a link to nothing" if is_missing else f"cannot be read: {error.strerror}"
        raise RecordingError("unreadable_edf", problem) from error


def _find_channels(header: Header, channels: Sequence[str], signal: int | None, section: str) -> list[int]:
    """Return the signals that match a pattern, in the order of the patterns and then of the file."""
    labels = {index: _plain(label) for index, label in enumerate(header.labels) if not header.is_annotation(index)}
    matches: dict[int, None] = {}
    for pattern in map(_plain, channels):
        exact = [index for index, label in labels.items() if label == pattern]
        matches |= dict.fromkeys(exact or (index for index, label in labels.items() if fnmatchcase(label, pattern)))
    if not matches:
        message = f"none of its channels {list(header.labels)} matches {section}channels, {list(channels)}"
        raise RecordingError("no_ecg_channel", message)
    if signal is None:
        return list(matches)
    if signal not in matches:
        message = f"signal {signal} matches none of {list(channels)}; the signals that do are {sorted(matches)}"
        raise RecordingError("no_ecg_channel", message)
    return [signal]


def _plain(label: str) -> str:
    """Return a label in lower case with single spaces."""
    return " ".join(label.lower().split())


def _read_all(
    file: BinaryIO, header: Header, indices: Sequence[int], clock: Clock, unit: str | None, section: str
) -> Iterator[Ecg]:
    """Yield the signals that can be read; raise the error of the first if there are none."""
    errors, n_read = [], 0
    for index in indices:
        try:
            yield _read_signal(file, header, index, clock, unit, section)
            n_read += 1
        except RecordingError as error:
            errors.append(error)
    if not n_read:
        # The error of a channel in volts, if there is one.
        raise min(errors, key=lambda error: error.reason == "no_ecg_channel")


def _read_signal(file: BinaryIO, header: Header, index: int, clock: Clock, set_unit: str | None, section: str) -> Ecg:
    """Read one signal, scaled to millivolts."""
    label, written = header.labels[index], header.fields[UNIT][index]
    if not is_voltage(written):
        raise RecordingError("no_ecg_channel", f"channel {label!r} is in {quote_unit(written)}, which is not a voltage")
    unit = set_unit or read_unit(written)
    if unit is None:
        message = (
            f"channel {label!r} is in {quote_unit(written)}, which is not a known unit; set {section}unit to one "
            f"of {', '.join(MILLIVOLTS)}"
        )
        raise RecordingError("unknown_unit", message)
    per_step_mv = MILLIVOLTS[unit]
    low, high, first, last = (
        parse_number(header.fields[field][index]) for field in (PHYSICAL_MIN, PHYSICAL_MAX, DIGITAL_MIN, DIGITAL_MAX)
    )
    if low is None or high is None or first is None or last is None or low == high or first == last:
        raise RecordingError("bad_scaling", f"channel {label!r} has no range, so its samples have no scale")
    n = header.samples[index]
    fs_hz = n / header.record_s if header.record_s else float("inf")
    if not ECG_RATES_HZ[0] <= fs_hz <= ECG_RATES_HZ[1]:
        message = (
            f"channel {label!r} has {fs_hz:g} samples a second; allowed are {ECG_RATES_HZ[0]:g} to {ECG_RATES_HZ[1]:g}"
        )
        raise RecordingError("bad_rate", message)
    steps_mv = (high - low) / (last - first) * per_step_mv
    zero_mv = low * per_step_mv - first * steps_mv
    if not (SCALES_MV[0] <= abs(steps_mv) <= SCALES_MV[1] and math.isfinite(zero_mv)):
        raise RecordingError("bad_scaling", f"channel {label!r} has steps of {steps_mv:g} mV, so it has no scale")
    digital = _read_samples(file, header, index, clock)
    if not len(digital):
        raise RecordingError("empty_ecg", f"channel {label!r} holds no samples")
    segments = _segments(clock, n, len(digital))
    return Ecg(
        digital=digital.astype(np.int16, copy=False),
        mv_per_step=steps_mv,
        zero_mv=zero_mv,
        limits=(int(min(first, last)), int(max(first, last))),
        fs_hz=fs_hz,
        channel=label,
        signal=index,
        unit=unit,
        written_unit=written,
        start=header.start + timedelta(seconds=clock.start_s or 0.0) if header.start else None,
        segments=segments,
        n_excluded=clock.n_excluded,
        remarks=(*header.remarks, *clock.remarks, *(("gaps",) if len(segments) > 1 else ())),
    )


def _read_samples(file: BinaryIO, header: Header, index: int, clock: Clock) -> Int16s:
    """Read one signal's part of every data record and nothing else: the file can be larger than the memory."""
    n, at, descriptor = header.samples[index], 2 * sum(header.samples[:index]), file.fileno()
    # The signal's samples in a truncated last record; their time is known only without gaps.
    n_rest = 0 if not clock.contiguous else min(max(header.rest_bytes - at, 0) // 2, n)
    n_samples = n * header.n_records + n_rest
    if n_samples > MAX_SAMPLES:
        fs_hz = n / header.record_s
        message = (
            f"channel {header.labels[index]!r} is {n_samples / fs_hz / 3600:.1f} h long; at its {fs_hz:g} samples a "
            f"second, at most {MAX_SAMPLES / fs_hz / 3600:.1f} h can be read at a time: export it in parts"
        )
        raise RecordingError("too_large", message)
    digital = np.empty(n_samples, dtype="<i2")
    together = max(SMALL_BYTES // header.record_bytes, 1)
    for record in range(0, header.n_records, together):
        n_records = min(together, header.n_records - record)
        part, offset = digital[record * n : (record + n_records) * n], header.data_at + record * header.record_bytes
        if n_records == 1:
            n_read = os.preadv(descriptor, [part.data], offset + at)
        else:
            raw = os.pread(descriptor, n_records * header.record_bytes, offset)
            rows = np.frombuffer(raw[: len(raw) // header.record_bytes * header.record_bytes], dtype=np.uint8)
            rows = rows.reshape(-1, header.record_bytes)[:, at : at + 2 * n]
            n_read = rows.size
            part.view(np.uint8)[:n_read] = rows.ravel()
        if n_read != part.nbytes:
            raise RecordingError("unreadable_edf", "became shorter while it was read")
    if n_rest:
        rest = digital[n * header.n_records :]
        os.preadv(descriptor, [rest.data], header.data_at + header.n_records * header.record_bytes + at)
    return digital


def _segments(clock: Clock, n: int, n_samples: int) -> tuple[Segment, ...]:
    """Return the segments without a gap of a signal with ``n`` samples per data record."""
    segments = [Segment(run.first * n, run.stop * n, run.onset_s) for run in clock.runs]
    if clock.contiguous:
        segments[-1] = replace(segments[-1], stop=n_samples)
    return tuple(segments)
