"""Recordings and their ECG. Times are seconds from the start of the recording."""

from dataclasses import dataclass
from datetime import datetime
from numbers import Integral
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from aura.core.arrays import Floats, Int16s
from aura.core.errors import InvalidInput, check_number, check_range, check_type
from aura.core.events import Event
from aura.core.wording import counted

# Beat detectors need frequencies up to 30 Hz, hence at least 61 samples per second. No ECG has more than 100 000.
ECG_RATES_HZ = (61.0, 100_000.0)
# Sampling rates outside of this range are not in hertz.
MIN_FS_HZ, MAX_FS_HZ = 0.001, 1_000_000


@dataclass(frozen=True, slots=True)
class RecordingRef:
    """Names and files of a recording: dataset > subject > session > recording.

    Parameters
    ----------
    dataset, subject, session, recording
        Names in the corpus; ``recording`` is unique in it.
    edf
        File with the ECG.
    annotations
        File with its events; None if there is none.
    split
        Side of the official split of the corpus; None if it has no such split.
    layout
        Name of the layout in `aura.corpora.layouts` that found the recording and reads its annotations.
    others
        Further files of the recording, which are read only if the first cannot be read: an EEG file beside the ECG
        file, or annotations in another format.
    siblings
        EDF files of other recordings that share the annotation file. Their headers tell which events lie in them.
    """

    dataset: str
    subject: str
    session: str
    recording: str
    edf: Path
    annotations: Path | None
    split: str | None
    layout: str
    others: tuple[Path, ...] = ()
    siblings: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class Segment:
    """Samples ``[first, stop)`` without a gap, the first of them at ``onset_s`` seconds."""

    first: int
    stop: int
    onset_s: float


@dataclass(frozen=True, slots=True, eq=False)
class Ecg:
    """One ECG channel of a recording, as the file holds it.

    A day at 1000 Hz takes 170 MB, and 690 MB in millivolts; `mv` converts a part when it is needed.

    Parameters
    ----------
    digital
        (n_samples,) values of the converter.
    mv_per_step, zero_mv
        Scale: a sample is ``zero_mv + digital * mv_per_step`` millivolts.
    limits
        Smallest and largest value of the converter.
    fs_hz
        Sampling rate in hertz.
    channel
        Label in the file.
    signal
        Number of the signal in the file, from 0, since labels can repeat.
    start
        Start of the recording on the wall clock; None if the file does not contain it.
    segments
        Stretches without a gap, in order; a single one if the recording was never interrupted.
    unit, written_unit
        Unit by which the samples were scaled, and unit in the file.
    n_excluded
        Number of data records that are in no segment, since their time is unknown.
    remarks
        Codes of faults of the file that did not prevent reading it.
    """

    digital: Int16s
    mv_per_step: float
    zero_mv: float
    limits: tuple[int, int]
    fs_hz: float
    channel: str
    start: datetime | None
    segments: tuple[Segment, ...]
    signal: int = 0
    unit: str = "uV"
    written_unit: str = ""
    n_excluded: int = 0
    remarks: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Validate the types of what the methods use."""
        check_type("digital", self.digital, np.ndarray, "an array of (n_samples,); Ecg.from_array takes millivolts")
        if self.digital.ndim != 1 or self.digital.dtype.kind not in "iu":
            raise InvalidInput(
                f"digital has the shape {self.digital.shape} and the type {self.digital.dtype}; allowed are whole "
                "numbers in the shape (n_samples,)"
            )
        check_number("mv_per_step", self.mv_per_step, "millivolts")
        check_number("zero_mv", self.zero_mv, "millivolts")
        check_type("limits", self.limits, tuple, "a pair of numbers")
        check_range("fs_hz", self.fs_hz, MIN_FS_HZ, MAX_FS_HZ)
        _check_label(self.channel, self.start)
        check_type("segments", self.segments, tuple, "a tuple of Segment")
        if not self.segments or not all(isinstance(segment, Segment) for segment in self.segments):
            raise InvalidInput("segments is empty or holds something else; allowed is a tuple of at least one Segment")

    @classmethod
    def from_array(cls, x_mv: ArrayLike, fs_hz: float, *, channel: str = "ECG", start: datetime | None = None) -> "Ecg":
        """Make an ECG from samples in millivolts.

        The samples are stored in 16 bits, as in an EDF file; if they span 10 mV, the error is at most 0.1 µV.

        Parameters
        ----------
        x_mv
            (n_samples,) samples in millivolts; NaN where there is no signal. Each stretch of NaN becomes a gap.
        fs_hz
            Sampling rate in hertz.
        channel
            Label of the channel.
        start
            Start of the recording on the wall clock.

        Raises
        ------
        InvalidInput
            If the samples are not numbers in one dimension, if all are NaN, or if the rate is not allowed.

        Examples
        --------
        >>> ecg = Ecg.from_array([0.0, 0.5, np.nan, np.nan, 1.0], fs_hz=100)
        >>> ecg.duration_s, ecg.mv(0, 3).round(3)
        (0.05, array([0. , 0.5, 1. ]))
        >>> [(round(gap.onset_s, 3), round(gap.duration_s, 3)) for gap in ecg.gaps()]
        [(0.02, 0.02)]
        """
        if np.iscomplexobj(x_mv):
            raise InvalidInput("x_mv holds complex numbers; allowed are numbers in millivolts")
        try:
            samples_mv = np.asarray(x_mv, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise InvalidInput(
                f"x_mv is of the type {type(x_mv).__name__}; allowed are numbers in millivolts"
            ) from error
        if samples_mv.ndim != 1:
            raise InvalidInput(f"x_mv has the shape {samples_mv.shape}; allowed is (n_samples,), one channel")
        check_range("fs_hz", fs_hz, *ECG_RATES_HZ)
        _check_label(channel, start)
        if np.isinf(samples_mv).any():
            raise InvalidInput(
                f"x_mv is infinite at sample {int(np.argmax(np.isinf(samples_mv)))}; allowed are numbers"
            )
        has_signal = ~np.isnan(samples_mv)
        if not has_signal.any():
            raise InvalidInput(f"x_mv holds {counted(len(samples_mv), 'sample')}, none of them a number")
        edges = np.flatnonzero(np.diff(np.concatenate(([False], has_signal, [False]))))
        begins, ends = edges[::2], edges[1::2]
        firsts = np.concatenate(([0], np.cumsum(ends - begins)))
        segments = tuple(
            Segment(int(first), int(stop), float(begin / fs_hz))
            for first, stop, begin in zip(firsts[:-1], firsts[1:], begins, strict=True)
        )
        low_mv, high_mv = float(samples_mv[has_signal].min()), float(samples_mv[has_signal].max())
        # Stay inside the limits: a sample at a limit would count as clipped.
        mv_per_step = max(high_mv - low_mv, 1e-3) / 65_000
        zero_mv = (low_mv + high_mv) / 2
        digital = np.rint((samples_mv[has_signal] - zero_mv) / mv_per_step).astype(np.int16)
        return cls(digital, mv_per_step, zero_mv, (-32_768, 32_767), float(fs_hz), channel, start, segments, unit="mV")

    @property
    def duration_s(self) -> float:
        """Length of the recording in seconds, including gaps."""
        last = self.segments[-1]
        return last.onset_s + (last.stop - last.first) / self.fs_hz

    def gaps(self) -> tuple[Event, ...]:
        """Return the gaps between segments; a jump of the clock by less than one sample is no gap."""
        ends_s = [segment.onset_s + (segment.stop - segment.first) / self.fs_hz for segment in self.segments]
        return tuple(
            Event(end_s, after.onset_s - end_s, "gap")
            for end_s, after in zip(ends_s, self.segments[1:], strict=False)
            if after.onset_s - end_s > 1 / self.fs_hz
        )

    def mv(self, first: int, stop: int) -> Floats:
        """Return the samples ``[first, stop)`` in millivolts."""
        for name, index in (("first", first), ("stop", stop)):
            check_type(name, index, Integral, "the number of a sample, a whole number")
        ecg_mv: Floats = self.digital[first:stop].astype(np.float64) * self.mv_per_step + self.zero_mv
        return ecg_mv


def _check_label(channel: object, start: object) -> None:
    """Raise InvalidInput unless a label and a start of a recording have the right types."""
    check_type("channel", channel, str, "the label of the channel, a text")
    check_type("start", start, (datetime, type(None)), "a datetime, or None if it is unknown")
