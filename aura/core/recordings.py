"""Recordings and their ECG. Times are seconds from the start of the recording."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np

from aura.core.arrays import Floats, Int16s
from aura.core.events import Event


@dataclass(frozen=True, slots=True)
class RecordingRef:
    """Where a recording is, and whose: dataset > subject > session > recording.

    Parameters
    ----------
    dataset, subject, session, recording
        Names, the corpus's own; ``recording`` is unique in the corpus.
    edf
        The file with the ECG.
    annotations
        The file with its events, where there is one.
    split
        Side of the corpus's official split, where it has one.
    layout
        Name of the layout in `aura.corpora.layouts` that found the recording and reads its annotations.
    others
        Further files of the recording, which are not read: its EEG beside its ECG, its annotations in another form.
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
    """Samples ``[first, stop)`` that follow each other without a gap, the first of them at ``onset_s``."""

    first: int
    stop: int
    onset_s: float


@dataclass(frozen=True, slots=True, eq=False)
class Ecg:
    """One ECG channel of a recording, as the file holds it.

    A day at 1000 Hz is 170 MB so, and 690 MB in millivolts: those are made where they are needed, by `mv`.

    Parameters
    ----------
    digital
        (n_samples,) samples as the converter gave them.
    mv_per_step, zero_mv
        What they mean: ``zero_mv + digital * mv_per_step``.
    limits
        Smallest and largest value of the converter.
    fs_hz
        Sampling rate in hertz.
    channel
        The label it has in the file.
    signal
        Number of its signal in the file, from 0; labels can repeat.
    start
        Start of the recording on the wall clock, where the file says it.
    segments
        Stretches without a gap, in their order; one, where the recording was never interrupted.
    unit, written_unit
        Unit that the samples were read in, and what the file says of it.
    n_excluded
        Data records whose samples are in no segment, as their place in time is not known.
    remarks
        Codes of what was wrong with the file, but did not keep it from being read.
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
        """Length of the recording in seconds, its gaps included."""
        last = self.segments[-1]
        return last.onset_s + (last.stop - last.first) / self.fs_hz

    def gaps(self) -> tuple[Event, ...]:
        """Return the stretches between segments; where the clock jumps by less than a sample, nothing is missing."""
        ends_s = [segment.onset_s + (segment.stop - segment.first) / self.fs_hz for segment in self.segments]
        return tuple(
            Event(end_s, after.onset_s - end_s, "gap")
            for end_s, after in zip(ends_s, self.segments[1:], strict=False)
            if after.onset_s - end_s > 1 / self.fs_hz
        )

    def mv(self, first: int, stop: int) -> Floats:
        """Samples ``[first, stop)`` in millivolts."""
        ecg_mv: Floats = self.digital[first:stop].astype(np.float64) * self.mv_per_step + self.zero_mv
        return ecg_mv
