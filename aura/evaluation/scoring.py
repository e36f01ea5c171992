"""Scores under the rules of SzCORE (doi:10.1111/epi.18113): counts are pooled first, ratios follow from their sums."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np

from aura.core.arrays import Floats
from aura.core.events import Event, unite
from aura.core.ranges import Range, check_fields

# timescoring takes a tenth of a second; the configuration needs the rules alone.
if TYPE_CHECKING:
    from timescoring.annotations import Annotation

SAMPLE_HZ = 1
# Sampling rate at which timescoring scores events.
EVENT_HZ = 10

# Numerator and denominator of each score, by name. To add a score, add a line here: scores of events and of seconds,
# their intervals, the tables and MLflow's metrics follow.
RATIOS: Mapping[str, Callable[[Floats, Floats, Floats, Floats, Floats], tuple[Floats, Floats]]] = {
    "sensitivity": lambda n_ref, tp, fp, duration_s, assessed_s: (tp, n_ref),
    "precision": lambda n_ref, tp, fp, duration_s, assessed_s: (tp, tp + fp),
    "f1": lambda n_ref, tp, fp, duration_s, assessed_s: (2 * tp, n_ref + tp + fp),
    "false_alarms_per_24h": lambda n_ref, tp, fp, duration_s, assessed_s: (fp, duration_s / 86_400),
    "false_alarms_per_assessed_24h": lambda n_ref, tp, fp, duration_s, assessed_s: (fp, assessed_s / 86_400),
}
# Thresholds are chosen and versions compared by this rate: a detector must not look better because it cannot assess
# half of the time.
FALSE_ALARM_RATE = "false_alarms_per_assessed_24h"
# Scores that a search can optimise, and the direction in which each improves. The false alarm rate is that of assessed
# time: a search for few alarms per recorded day would find settings under which little is assessed.
OBJECTIVES: Mapping[str, Literal["maximize", "minimize"]] = {
    "f1": "maximize",
    "sensitivity": "maximize",
    FALSE_ALARM_RATE: "minimize",
}


@dataclass(frozen=True, slots=True)
class EventRules:
    """Rules by which a detected event matches a reference event; the defaults are those of SzCORE."""

    tolerance_before_s: Annotated[float, Range(0, 3_600)] = 30.0
    tolerance_after_s: Annotated[float, Range(0, 3_600)] = 60.0
    merge_gap_s: Annotated[float, Range(0, 3_600)] = 90.0
    max_event_s: Annotated[float, Range(1, 604_800)] = 300.0

    def __post_init__(self) -> None:
        """Raise InvalidInput for a rule that is out of range."""
        check_fields(self)


@dataclass(frozen=True, slots=True)
class Counts:
    """Counts of events or of seconds; the counts of several recordings are added.

    Parameters
    ----------
    n_ref
        Reference events, or seconds of them.
    tp
        Detected ones among them.
    fp
        False alarms, or seconds of them.
    duration_s
        Length of the recording in seconds.
    assessed_s
        Time in which the detector could raise an alarm, in seconds.
    """

    n_ref: int = 0
    tp: int = 0
    fp: int = 0
    duration_s: float = 0.0
    assessed_s: float = 0.0

    def __add__(self, other: "Counts") -> "Counts":
        """Pool two sets of counts."""
        return Counts(
            self.n_ref + other.n_ref,
            self.tp + other.tp,
            self.fp + other.fp,
            self.duration_s + other.duration_s,
            self.assessed_s + other.assessed_s,
        )

    def ratios(self) -> dict[str, float]:
        """Compute each of `RATIOS` by name; NaN where it is not defined."""
        totals = np.array([[self.n_ref, self.tp, self.fp, self.duration_s, self.assessed_s]], dtype=np.float64)
        return {name: float(compute_ratio(totals, name)[0]) for name in RATIOS}


def compute_ratio(totals: Floats, name: str) -> Floats:
    """Compute a score from sums of counts.

    Parameters
    ----------
    totals
        (n, 5) reference events, detected ones among them, false alarms, seconds, and assessed seconds.
    name
        Name of the score, one of `RATIOS`.

    Returns
    -------
    Floats
        (n,) scores; NaN where the denominator is 0.
    """
    part, whole = RATIOS[name](*totals.T)
    score: Floats = np.where(whole > 0, part / np.where(whole > 0, whole, 1), np.nan)
    return score


def score_events(ref: Sequence[Event], hyp: Sequence[Event], *, duration_s: float, rules: EventRules) -> Counts:
    """Count detected events and false alarms of one recording.

    Parameters
    ----------
    ref, hyp
        Reference and detected events, in any order; they are merged and clipped first.
    duration_s
        Length of the recording in seconds.
    rules
        Rules of matching.
    """
    n_samples = int(duration_s * EVENT_HZ)
    if n_samples < 1:
        return Counts()
    from timescoring.scoring import EventScoring

    parameters = EventScoring.Parameters(
        toleranceStart=rules.tolerance_before_s,
        toleranceEnd=rules.tolerance_after_s,
        minDurationBetweenEvents=rules.merge_gap_s,
        maxEventDuration=rules.max_event_s,
    )
    # Merged beforehand, since the time that timescoring takes is quadratic in the number of events.
    merged = [_merge(_convert_events(events, EVENT_HZ, n_samples), rules.merge_gap_s) for events in (ref, hyp)]
    scored = EventScoring(*merged, parameters)
    return Counts(int(scored.refTrue), int(scored.tp), int(scored.fp), duration_s)


def score_samples(ref: Sequence[Event], hyp: Sequence[Event], *, duration_s: float) -> Counts:
    """Count detected seconds and seconds of false alarm of one recording, at 1 Hz.

    Parameters
    ----------
    ref, hyp
        Reference and detected events, in any order; they are merged and clipped first.
    duration_s
        Length of the recording in seconds; a fraction of a second at the end is ignored.
    """
    n_samples = int(duration_s * SAMPLE_HZ)
    if n_samples < 1:
        return Counts()
    from timescoring.scoring import SampleScoring

    converted = [_convert_events(events, SAMPLE_HZ, n_samples) for events in (ref, hyp)]
    scored = SampleScoring(*converted, SAMPLE_HZ)
    return Counts(int(scored.refTrue), int(scored.tp), int(scored.fp), float(n_samples))


def pool(counts: Iterable[Counts]) -> Counts:
    """Add the counts of recordings: a seizure counts the same in whichever recording it is."""
    return sum(counts, Counts())


def _merge(annotation: "Annotation", gap_s: float) -> "Annotation":
    """Merge events that are less than ``gap_s`` apart."""
    from timescoring.annotations import Annotation

    merged: list[tuple[float, float]] = []
    for onset_s, end_s in annotation.events:
        if merged and onset_s - merged[-1][1] < gap_s:
            merged[-1] = merged[-1][0], end_s
        else:
            merged.append((onset_s, end_s))
    return Annotation(merged, annotation.fs, len(annotation.mask))


def _convert_events(events: Sequence[Event], fs_hz: int, n_samples: int) -> "Annotation":
    """Convert events for timescoring, whose counts need sorted, disjoint events of at least one sample."""
    from timescoring.annotations import Annotation

    duration_s, step_s = n_samples / fs_hz, 1 / fs_hz
    long = [
        replace(event, onset_s=min(event.onset_s, duration_s - step_s), duration_s=max(event.duration_s, step_s))
        for event in unite(events, duration_s=duration_s)
    ]
    return Annotation([(e.onset_s, e.end_s) for e in unite(long, duration_s=duration_s)], fs_hz, n_samples)
