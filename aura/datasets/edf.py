"""Read one channel of an EDF file, and write such files."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase
from pathlib import Path

import edfio
import numpy as np
import pyedflib

from aura.errors import RecordingError
from aura.types import Ecg, Floats

# What edfio raises on damaged headers and data: it has no error class of its own.
UNREADABLE = (OSError, ValueError, IndexError, ArithmeticError, NameError)
PHYSICAL_RANGE_UV = 5000.0
MILLIVOLTS = {"nv": 1e-6, "uv": 1e-3, "µv": 1e-3, "μv": 1e-3, "mv": 1.0, "v": 1e3, "": 1e-3}
# The µ of Latin-1, which is no ASCII and so arrives as the replacement character.
MILLIVOLTS["\ufffdv"] = 1e-3


def read_ecg(edf: Path, channels: Sequence[str]) -> Ecg:
    """Read the ECG channel of an EDF file, and nothing of the others.

    Parameters
    ----------
    edf
        The file.
    channels
        Patterns of channel labels in order of preference; ``*`` stands for anything, case does not count.

    Returns
    -------
    Ecg
        In millivolts; a file without a unit is read as microvolts, as EEG amplifiers write.

    Raises
    ------
    RecordingError
        ``unreadable_edf``, ``discontinuous_edf``, ``no_ecg_channel``, ``unknown_unit``, ``bad_scaling``,
        ``bad_rate`` or ``empty_ecg``.
    """
    try:
        opened = edfio.read_edf(edf, lazy_load_data=True)
    except UNREADABLE as error:
        raise RecordingError("unreadable_edf", f"{edf.name}: not a readable EDF file ({_sentence(error)})") from error
    if not opened.is_continuous:
        raise RecordingError("discontinuous_edf", f"{edf.name}: EDF+D with gaps in time; allowed are EDF and EDF+C")
    labels = [signal.label for signal in opened.signals]
    signal = opened.signals[_find_channel(edf, labels, channels)]
    scale = MILLIVOLTS.get(signal.physical_dimension.strip().lower())
    if scale is None:
        raise RecordingError(
            "unknown_unit",
            f"{edf.name}: channel {signal.label!r} is in {signal.physical_dimension!r}; known are V, mV, uV and nV",
        )
    if signal.physical_min == signal.physical_max or signal.digital_min == signal.digital_max:
        raise RecordingError("bad_scaling", f"{edf.name}: channel {signal.label!r} has an empty range, so no scale")
    fs_hz = float(signal.sampling_frequency)
    if not 0 < fs_hz < float("inf"):
        raise RecordingError("bad_rate", f"{edf.name}: channel {signal.label!r} has a sampling rate of {fs_hz:g} Hz")
    try:
        ecg_mv = np.asarray(signal.data, dtype=np.float64) * scale
    except UNREADABLE as error:
        raise RecordingError(
            "unreadable_edf", f"{edf.name}: channel {signal.label!r} cannot be read ({_sentence(error)})"
        ) from error
    if not len(ecg_mv):
        raise RecordingError("empty_ecg", f"{edf.name}: channel {signal.label!r} holds no samples")
    if not np.isfinite(ecg_mv).all():
        raise RecordingError("bad_scaling", f"{edf.name}: channel {signal.label!r} has samples that are no numbers")
    return Ecg(ecg_mv=ecg_mv, fs_hz=fs_hz, channel=signal.label, start=_start(opened))


def _find_channel(edf: Path, labels: Sequence[str], channels: Sequence[str]) -> int:
    """Index of the first label that the first matching pattern matches."""
    for pattern in channels:
        for index, label in enumerate(labels):
            if fnmatchcase(label.lower(), pattern.lower()):
                return index
    raise RecordingError(
        "no_ecg_channel", f"{edf.name}: no channel matches {list(channels)}; the file has {list(labels)}"
    )


def _start(opened: edfio.Edf) -> datetime | None:
    """Start on the wall clock; files with an impossible or withheld date are common and still hold an ECG."""
    try:
        return datetime.combine(opened.startdate, opened.starttime)
    except (ValueError, edfio.AnonymizedDateError):
        return None


def _sentence(error: Exception) -> str:
    """Message of another library's error, on one line."""
    return " ".join(str(error).split()) or type(error).__name__


@dataclass(frozen=True, slots=True, eq=False)
class Channel:
    """A channel to write.

    Parameters
    ----------
    label
        Up to 16 ASCII characters.
    samples_uv
        (duration_s * fs_hz,) samples in microvolts; what lies outside the physical range is clipped, as amplifiers do.
    fs_hz
        Sampling rate, a whole number of hertz.
    """

    label: str
    samples_uv: Floats
    fs_hz: int


def write_edf(edf: Path, channels: Sequence[Channel], *, start: datetime, patient: str = "") -> None:
    """Write channels of whole seconds as a plain EDF file; the same input gives the same bytes."""
    writer = pyedflib.EdfWriter(str(edf), len(channels), file_type=pyedflib.FILETYPE_EDF)
    try:
        writer.setStartdatetime(start)
        writer.setPatientCode(patient)
        writer.setSignalHeaders(
            [
                {
                    "label": channel.label,
                    "dimension": "uV",
                    "sample_frequency": channel.fs_hz,
                    "physical_min": -PHYSICAL_RANGE_UV,
                    "physical_max": PHYSICAL_RANGE_UV,
                    "digital_min": -32767,
                    "digital_max": 32767,
                    "transducer": "",
                    "prefilter": "",
                }
                for channel in channels
            ]
        )
        scale = 32767 / PHYSICAL_RANGE_UV
        digital = [
            np.clip(np.round(channel.samples_uv * scale), -32767, 32767).astype(np.int32) for channel in channels
        ]
        writer.writeSamples(digital, digital=True)
    finally:
        writer.close()
