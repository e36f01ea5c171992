"""Parameters of the synthetic corpus, apart from the code that draws it, which needs SciPy."""

from dataclasses import dataclass
from typing import Annotated

from aura.core.ranges import Range, check_fields

# File of a synthetic corpus that holds its parameters.
MANIFEST = "synthesis.json"


@dataclass(frozen=True, slots=True)
class Synthesis:
    """The parameters of a synthetic corpus; the same parameters give the same bytes.

    Parameters
    ----------
    seed
        Seed of all random numbers.
    subjects
        Number of subjects.
    hours_per_subject, recording_minutes
        Total length of a subject's recordings, and length of each.
    seizures_per_subject
        Expected number of seizures. Each subject has at least one, and no recording has more than it has room for.
    arousals_per_hour, exercises_per_hour
        Expected number of tachycardias that are not seizures.
    eeg_channels
        Number of EEG-like channels beside the ECG and two channels of 1 Hz.
    layout
        Name in `aura.corpora.layouts.writable_layouts`.
    """

    seed: int
    subjects: Annotated[int, Range(2, 10_000)]
    hours_per_subject: Annotated[float, Range(0.1, 1_000)]
    recording_minutes: Annotated[float, Range(10, 1_440)]
    seizures_per_subject: Annotated[float, Range(1, 100)]
    arousals_per_hour: Annotated[float, Range(0, 100)]
    exercises_per_hour: Annotated[float, Range(0, 20)]
    eeg_channels: Annotated[int, Range(0, 23)]
    layout: str

    def __post_init__(self) -> None:
        """Raise InvalidInput for a number that is out of range."""
        check_fields(self)
