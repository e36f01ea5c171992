"""The nouns of the project. Times are seconds from the start of the recording."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


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
class RecordingRef:
    """Where a recording is, and whose: dataset > subject > session > recording."""

    dataset: str
    subject: str
    session: str
    recording: str
    edf: Path
    annotations: Path | None
    split: str | None


@dataclass(frozen=True, slots=True, eq=False)
class Ecg:
    """One ECG channel of a recording.

    Parameters
    ----------
    ecg_mv
        (n_samples,) ECG in millivolts.
    fs_hz
        Sampling rate in hertz.
    channel
        The label it has in the file.
    start
        Start of the recording on the wall clock, where the file says it.
    """

    ecg_mv: Floats
    fs_hz: float
    channel: str
    start: datetime | None

    @property
    def duration_s(self) -> float:
        """Length of the recording in seconds."""
        return len(self.ecg_mv) / self.fs_hz


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
    """

    t_s: Floats
    rr_ms: Floats
    duration_s: float

    def __post_init__(self) -> None:
        """Freeze the arrays as well."""
        self.t_s.flags.writeable = False
        self.rr_ms.flags.writeable = False


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
