"""The nouns of the project. Times are seconds from the start of the recording."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aura.errors import AuraError

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]
Ints = NDArray[np.int64]
Int16s = NDArray[np.int16]
Bools = NDArray[np.bool_]
# Times and intervals that were rounded to 10 ms still fit together to within this.
CLOCK_S = 0.0105
# Longer than any recording; times beyond it are no seconds.
MAX_DURATION_S = 31 * 86_400.0
# No heart beats faster than this for half of a recording; such intervals are no milliseconds.
MIN_MEDIAN_MS = 100.0


@dataclass(frozen=True, slots=True)
class Event:
    """A stretch of a recording that means something, such as a seizure.

    Parameters
    ----------
    onset_s, duration_s
        Start on the recording's clock and length, in seconds.
    kind
        ``seiz`` for a seizure, as TUSZ and SzCORE write it.
    confidence
        Between 0 and 1.
    """

    onset_s: float
    duration_s: float
    kind: str = "seiz"
    confidence: float = 1.0

    @property
    def end_s(self) -> float:
        """End on the recording's clock, in seconds."""
        return self.onset_s + self.duration_s


@dataclass(frozen=True, slots=True)
class OutsideSegments(Event):
    """An event that lies in no segment of its record, where the times of the annotations are known to be right."""


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
        Name of the module in `aura.datasets` that knows how to read the annotations.
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


@dataclass(frozen=True, slots=True, eq=False)
class RRSeries:
    """RR intervals on the recording's own clock.

    Parameters
    ----------
    t_s
        (n_intervals,) time of the second beat of each interval, strictly rising.
    rr_ms
        (n_intervals,) length of each interval in ms.
    duration_s
        Length of the recording in seconds.

    Raises
    ------
    AuraError
        For numbers that are no RR intervals: one sentence with what is allowed.
    """

    t_s: Floats
    rr_ms: Floats
    duration_s: float

    def __post_init__(self) -> None:
        """Refuse what is none, and freeze the arrays as well."""
        for name in ("t_s", "rr_ms"):
            try:
                values = np.array(getattr(self, name), dtype=np.float64)
            except (TypeError, ValueError) as error:
                raise AuraError(f"{name} has to hold numbers ({error})") from error
            values.flags.writeable = False
            object.__setattr__(self, name, values)
        if self.t_s.ndim != 1 or self.t_s.shape != self.rr_ms.shape:
            raise AuraError(
                f"t_s and rr_ms have to be as long as each other; they are {len(self.t_s)}, {len(self.rr_ms)}"
            )
        if not 0 <= self.duration_s <= MAX_DURATION_S:
            raise AuraError(f"duration_s={self.duration_s:g}; allowed are seconds, 0 to {MAX_DURATION_S:g}")
        if len(self.t_s):
            _check_rr(self.t_s, self.rr_ms, self.duration_s)


def _check_rr(t_s: Floats, rr_ms: Floats, duration_s: float) -> None:
    """Refuse numbers that are no RR intervals."""
    if not (np.isfinite(t_s).all() and np.isfinite(rr_ms).all()):
        raise AuraError("t_s and rr_ms have to be numbers; some are missing or not finite")
    if (rr_ms <= 0).any():
        raise AuraError(f"rr_ms has to be positive; the smallest is {rr_ms.min():g}")
    if t_s.min() < 0 or t_s.max() > duration_s + CLOCK_S:
        wrong = t_s.min() if t_s.min() < 0 else t_s.max()
        raise AuraError(
            f"t_s has to be in seconds from the start of the recording, 0 to {duration_s:g}; there is {wrong:g}"
        )
    if (np.diff(t_s) <= 0).any():
        at = int(np.argmax(np.diff(t_s) <= 0)) + 1
        raise AuraError(f"t_s has to rise from row to row; row {at} has {t_s[at]:g} after {t_s[at - 1]:g}")
    if np.median(rr_ms) < MIN_MEDIAN_MS:
        raise AuraError(f"rr_ms has to be in milliseconds; the median is {np.median(rr_ms):g}")
    overlap_s = rr_ms / 1000 - np.diff(t_s, prepend=0.0)
    if (overlap_s > CLOCK_S).any():
        at = int(np.argmax(overlap_s > CLOCK_S))
        raise AuraError(
            f"an interval cannot begin before the one before it ended; row {at} has rr_ms {rr_ms[at]:g} "
            f"at t_s {t_s[at]:g}, after {t_s[at - 1] if at else 0:g}"
        )


@dataclass(frozen=True, slots=True, eq=False)
class NNSeries:
    """RR intervals that are left after cleaning (normal to normal).

    Parameters
    ----------
    t_s
        (n_intervals,) time of the second beat of each interval, strictly rising.
    nn_ms
        (n_intervals,) length of each interval in ms.
    duration_s
        Length of the recording in seconds.
    """

    t_s: Floats
    nn_ms: Floats
    duration_s: float
