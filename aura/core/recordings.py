"""Recordings and their ECG. Times are seconds from the start of the recording."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np

from aura.core.arrays import Floats, Int16s
from aura.core.events import Event


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
        Further files of the recording, which are read only if the first cannot be: its EEG beside its ECG, its
        annotations in another format.
    siblings
        EDF files of other recordings that share the annotations. Their headers say which events lie in them.
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
        Start of the recording on the wall clock; None if the file does not tell.
    segments
        Stretches without a gap, in order; a single one if the recording was never interrupted.
    unit, written_unit
        Unit that the samples were read in, and unit in the file.
    n_excluded
        Number of data records that are in no segment, since their time is not known.
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

    @property
    def duration_s(self) -> float:
        """Length of the recording in seconds, including gaps."""
        last = self.segments[-1]
        return last.onset_s + (last.stop - last.first) / self.fs_hz

    def gaps(self) -> tuple[Event, ...]:
        """Return the stretches between segments; a jump of the clock by less than a sample is no gap."""
        ends_s = [segment.onset_s + (segment.stop - segment.first) / self.fs_hz for segment in self.segments]
        return tuple(
            Event(end_s, after.onset_s - end_s, "gap")
            for end_s, after in zip(ends_s, self.segments[1:], strict=False)
            if after.onset_s - end_s > 1 / self.fs_hz
        )

    def mv(self, first: int, stop: int) -> Floats:
        """Return the samples ``[first, stop)`` in millivolts."""
        ecg_mv: Floats = self.digital[first:stop].astype(np.float64) * self.mv_per_step + self.zero_mv
        return ecg_mv
