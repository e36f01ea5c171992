"""Content of the page of a recording."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from aura.core.arrays import Floats
from aura.core.events import Event
from aura.core.recordings import Ecg
from aura.core.series import RRSeries


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """Content of the page of a recording.

    Parameters
    ----------
    name, duration_s, start
        Name and length of the recording, and its start on the wall clock; None if that is unknown.
    rr
        RR intervals.
    step_s, score, threshold
        Time from one step to the next, (n_steps,) scores, and the score at which an alarm is raised.
    detected, not_assessed
        Alarms of the detector, and stretches that it could not assess.
    reference
        Annotated seizures; None if the recording is not annotated.
    faults
        Stretches without a usable ECG, by kind.
    normal_share
        Share of the RR intervals that are normal.
    doubt
        Warning that `describe_doubt` returns.
    ecg
        ECG; None if it cannot be shown.
    model
        Name and version of the detector.
    provenance, warning
        Provenance of the detector on one line, and the warning that goes with its results; None if there is none.
    """

    name: str
    duration_s: float
    start: datetime | None
    rr: RRSeries
    step_s: float
    score: Floats
    threshold: float
    detected: Sequence[Event]
    not_assessed: Sequence[Event]
    reference: Sequence[Event] | None
    faults: Sequence[Event]
    normal_share: float
    doubt: str | None
    ecg: Ecg | None
    model: str
    provenance: str
    warning: str | None

    @property
    def events(self) -> list[Event]:
        """All events of the page, detected and annotated."""
        return [*self.detected, *(self.reference or ())]

    @property
    def start_s(self) -> float:
        """Time of day at which the recording starts, in seconds; 0 if it is unknown."""
        start = self.start
        return 0.0 if start is None else start.hour * 3600 + start.minute * 60 + start.second + start.microsecond / 1e6


def describe_doubt(normal_share: float, remarks: str) -> str | None:
    """Return the warning that the heartbeats of a recording are doubtful; None if they are not.

    Parameters
    ----------
    normal_share, remarks
        Values of the table of recordings.

    Examples
    --------
    >>> describe_doubt(0.724, "gaps;doubtful_beats")  # doctest: +NORMALIZE_WHITESPACE
    'heartbeats are doubtful: only 72 % of the intervals between them are normal, as when other waves are counted as
    beats; look at the ECG before you trust this result'
    >>> describe_doubt(0.724, "gaps")
    """
    if "doubtful_beats" not in remarks.split(";"):
        return None
    return (
        f"heartbeats are doubtful: only {100 * normal_share:.0f} % of the intervals between them are normal, as when "
        "other waves are counted as beats; look at the ECG before you trust this result"
    )
