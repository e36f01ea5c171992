"""Scores of a detector on recordings: counts first, which add up; ratios after."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import accumulate

import numpy as np
import pandas as pd
from sklearn.metrics import average_precision_score, roc_auc_score

from aura.core.arrays import Floats, Ints
from aura.core.events import Event, from_mask, unite
from aura.detection.alarms import Alarms
from aura.ecg.heart_rate import RESPONDER_BPM
from aura.evaluation import bootstrap
from aura.evaluation.scoring import RATIOS, Counts, EventRules, compute_ratio, pool, score_events, score_samples
from aura.features.windows import window_ends
from aura.learning.labels import TARGET, Labelling


@dataclass(frozen=True, slots=True, eq=False)
class AnnotatedRecording:
    """A recording and what is true of it.

    Parameters
    ----------
    recording, subject
        Names of the recording and of its subject.
    duration_s
        Length of the recording in seconds.
    seizures
        Annotated seizures.
    rises_bpm
        (n_seizures,) rise of the heart rate in each seizure.
    """

    recording: str
    subject: str
    duration_s: float
    seizures: tuple[Event, ...]
    rises_bpm: Floats


@dataclass(frozen=True, slots=True, eq=False)
class ScoredRecording(AnnotatedRecording):
    """A recording with the scores of a detector beside what is true.

    Parameters
    ----------
    step_s
        Time from one window to the next in seconds.
    probability
        (n_windows,) probability of what the detector was taught.
    score
        (n_windows,) smoothed probability that is compared with the threshold, see `aura.detection.alarms.Alarms.score`.
    threshold
        Chosen without this recording.
    labels
        (n_windows,) as in `aura.learning.labels.Labels`.
    targets
        Stretches in which an alarm is right.
    """

    step_s: float
    probability: Floats
    score: Floats
    threshold: float
    labels: Ints
    targets: tuple[Event, ...]

    @property
    def assessed_s(self) -> float:
        """Time in which an alarm was possible, in seconds: the steps that have a score."""
        return min(float(np.count_nonzero(~np.isnan(self.score)) * self.step_s), self.duration_s)


def score_recording(
    recording: AnnotatedRecording,
    probability: Floats,
    *,
    step_s: float,
    alarms: Alarms,
    threshold: float,
    labelling: Labelling,
) -> ScoredRecording:
    """Put the probabilities of a detector beside what is true of a recording.

    Parameters
    ----------
    recording
        What is true.
    probability
        (n_windows,) one per window; window i ends at ``(i + 1) * step_s``.
    step_s
        Time from one window to the next in seconds.
    alarms, threshold
        How the detector turns probabilities into alarms.
    labelling
        What the detector was taught.
    """
    ends_s = window_ends(recording.duration_s, step_s)
    return ScoredRecording(
        recording=recording.recording,
        subject=recording.subject,
        duration_s=recording.duration_s,
        seizures=recording.seizures,
        rises_bpm=recording.rises_bpm,
        step_s=step_s,
        probability=probability,
        score=alarms.score(probability, step_s=step_s),
        threshold=threshold,
        labels=labelling(ends_s, step_s=step_s, seizures=recording.seizures).label,
        targets=labelling.targets(recording.seizures),
    )


def raise_alarms(
    recordings: Sequence[ScoredRecording], alarms: Alarms, threshold: float | None = None
) -> list[tuple[Event, ...]]:
    """Raise the alarms of each recording, at its own threshold or at a common one."""
    return [
        alarms.events(r.score, threshold=r.threshold if threshold is None else threshold, step_s=r.step_s)
        for r in recordings
    ]


def count_events(
    recordings: Sequence[ScoredRecording], raised: Sequence[tuple[Event, ...]], rules: EventRules
) -> list[Counts]:
    """Count detected events and false alarms of each recording."""
    return [
        replace(score_events(r.targets, alarms, duration_s=r.duration_s, rules=rules), assessed_s=r.assessed_s)
        for r, alarms in zip(recordings, raised, strict=True)
    ]


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """Alarms and counts of recordings, each at its own threshold."""

    recordings: Sequence[ScoredRecording]
    alarms: Sequence[tuple[Event, ...]]
    events: Sequence[Counts]
    samples: Sequence[Counts]
    rules: EventRules

    @property
    def subjects(self) -> list[str]:
        """Names, sorted."""
        return sorted({r.subject for r in self.recordings})

    def by_subject(self, counts: Sequence[Counts]) -> list[Counts]:
        """Counts pooled over the recordings of each subject."""
        return [
            pool(one for one, r in zip(counts, self.recordings, strict=True) if r.subject == subject)
            for subject in self.subjects
        ]

    def scores(self, *, seed: int) -> dict[str, float]:
        """All scores by name, pooled over recordings; with ``_low`` and ``_high``, a 95 % interval over subjects."""
        found: dict[str, float] = {}
        for kind, counts in (("event", self.events), ("sample", self.samples)):
            ratios, sums = pool(counts).ratios(), _sums(self.by_subject(counts))
            for name in RATIOS:
                low, high = bootstrap.interval(
                    bootstrap.scores_of_draws(sums, partial(compute_ratio, name=name), seed=seed)
                )
                key = f"{kind}_{name}"
                found |= {key: ratios[name], f"{key}_low": low, f"{key}_high": high}
        seizures = self.seizures()
        assessed_s = sum(r.assessed_s for r in self.recordings)
        in_alarm_s = sum(alarm.duration_s for alarms in self.alarms for alarm in alarms)
        return {
            **found,
            "assessed_share": assessed_s / sum(r.duration_s for r in self.recordings),
            "false_alarm_time_share": pool(self.samples).fp / assessed_s if assessed_s else float("nan"),
            **self._of_windows(),
            "latency_median_s": float(seizures.loc[seizures["found"], "latency_s"].median()),
            **_responders(seizures),
            "time_in_alarm_share": in_alarm_s / assessed_s if assessed_s else float("nan"),
        }

    def per_subject(self) -> pd.DataFrame:
        """A row of counts and scores per subject."""
        rows = []
        both = (self.by_subject(self.events), self.by_subject(self.samples))
        for subject, event, sample in zip(self.subjects, *both, strict=True):
            rows.append(
                {
                    "subject": subject,
                    "hours": event.duration_s / 3600,
                    "assessed_hours": event.assessed_s / 3600,
                    "ref_events": event.n_ref,
                    "found": event.tp,
                    "false_alarms": event.fp,
                    **{f"event_{name}": value for name, value in event.ratios().items()},
                    **{f"sample_{name}": value for name, value in sample.ratios().items()},
                }
            )
        return pd.DataFrame(rows)

    def seizures(self) -> pd.DataFrame:
        """A row per target: whether an alarm found it, and how long after its onset; and the rise of the heart rate.

        Targets are not united and split as events are for counting. A latency can be negative, down to the tolerance
        before an onset, within which an alarm counts as right; one that was up before that is no earlier.
        """
        rows = []
        for number, r in enumerate(self.recordings):
            # Where seizures are forecast, a stretch can belong to several; then no rise belongs to it.
            rises = r.rises_bpm if len(r.rises_bpm) == len(r.targets) else np.full(len(r.targets), np.nan)
            for target, rise_bpm, hit in zip(r.targets, rises, self._first_hits(number), strict=True):
                # An alarm is raised at the end of its first step.
                raised_s = hit.onset_s + r.step_s - target.onset_s if hit else np.nan
                latency_s = max(raised_s, -self.rules.tolerance_before_s) if hit else np.nan
                rows.append(
                    (r.recording, r.subject, target.onset_s, target.duration_s, rise_bpm, hit is not None, latency_s)
                )
        columns = ["recording", "subject", "onset_s", "duration_s", "rise_bpm", "found", "latency_s"]
        return pd.DataFrame(rows, columns=columns).astype({"found": "bool"})

    def found(self, number: int) -> list[bool]:
        """Whether each target of a recording was found."""
        return [hit is not None for hit in self._first_hits(number)]

    def right(self, number: int) -> list[bool]:
        """Whether each alarm of a recording found a target."""
        spans = sorted(self._span(target) for target in self.recordings[number].targets)
        begins_s, latest_s = [begin_s for begin_s, _ in spans], list(accumulate((end_s for _, end_s in spans), max))
        # Of the spans that begin before an alarm ends, one has to end after it begins.
        before = [(alarm, bisect_left(begins_s, alarm.end_s)) for alarm in self.alarms[number]]
        return [n > 0 and latest_s[n - 1] > alarm.onset_s for alarm, n in before]

    def _first_hits(self, number: int) -> list[Event | None]:
        """The first alarm that finds each target of a recording. Alarms are sorted and disjoint."""
        alarms = self.alarms[number]
        ends_s = [alarm.end_s for alarm in alarms]
        hits: list[Event | None] = []
        for target in self.recordings[number].targets:
            begin_s, end_s = self._span(target)
            first = bisect_right(ends_s, begin_s)
            hits.append(alarms[first] if first < len(alarms) and alarms[first].onset_s < end_s else None)
        return hits

    def _span(self, target: Event) -> tuple[float, float]:
        """Time in which an alarm finds a target."""
        return target.onset_s - self.rules.tolerance_before_s, target.end_s + self.rules.tolerance_after_s

    def _of_windows(self) -> dict[str, float]:
        """Scores of windows at no threshold.

        Postictal windows are judged as well: they were left out of fitting, but an alarm in them is a false one.
        """
        probability = np.concatenate([r.probability for r in self.recordings])
        used = ~np.isnan(probability)
        is_target = np.concatenate([r.labels for r in self.recordings])[used] == TARGET
        if not is_target.any() or is_target.all():
            return {"roc_auc": float("nan"), "pr_auc": float("nan")}
        return {
            "roc_auc": float(roc_auc_score(is_target, probability[used])),
            "pr_auc": float(average_precision_score(is_target, probability[used])),
        }


def evaluate(recordings: Sequence[ScoredRecording], alarms: Alarms, rules: EventRules) -> Evaluation:
    """Raise the alarms of each recording at its threshold, and count them."""
    raised = raise_alarms(recordings, alarms)
    samples = [
        replace(score_samples(r.targets, hyp, duration_s=r.duration_s), assessed_s=r.assessed_s)
        for r, hyp in zip(recordings, raised, strict=True)
    ]
    return Evaluation(recordings, raised, count_events(recordings, raised, rules), samples, rules)


def describe_alarms(alarms: Alarms, scored: ScoredRecording) -> tuple[tuple[Event, ...], tuple[Event, ...]]:
    """Return the alarms of a recording with their confidence, and the stretches that were not assessed.

    Returns
    -------
    alarms : tuple of Event
        The confidence of an alarm is the highest probability of its windows.
    not_assessed : tuple of Event
        Stretches without a score, sorted and disjoint.
    """
    raised, step_s = [], scored.step_s
    for alarm in alarms.events(scored.score, threshold=scored.threshold, step_s=step_s):
        steps = slice(int(alarm.onset_s / step_s), int(np.ceil(alarm.end_s / step_s)))
        highest = float(np.nanmax(scored.probability[steps], initial=0.0))
        raised.append(Event(alarm.onset_s, alarm.duration_s, "seiz", highest))
    blind = from_mask(np.isnan(scored.score), step_s=step_s)
    # The last step of a recording may be cut short.
    end_s = len(scored.score) * step_s
    rest = (Event(end_s, scored.duration_s - end_s),) if end_s < scored.duration_s else ()
    return tuple(raised), unite((*blind, *rest), duration_s=scored.duration_s)


def _sums(counts: Sequence[Counts]) -> Floats:
    return np.array([(c.n_ref, c.tp, c.fp, c.duration_s, c.assessed_s) for c in counts], dtype=np.float64)


def _responders(seizures: pd.DataFrame) -> dict[str, float]:
    """Seizures in which the heart rate rose far apart from the others, of those of which that is known."""
    responds = seizures["rise_bpm"] > RESPONDER_BPM
    others = seizures["rise_bpm"] <= RESPONDER_BPM
    return {
        "responder_seizures": float(responds.sum()),
        "responder_sensitivity": float(seizures.loc[responds, "found"].mean()) if responds.any() else float("nan"),
        "non_responder_seizures": float(others.sum()),
        "non_responder_sensitivity": float(seizures.loc[others, "found"].mean()) if others.any() else float("nan"),
    }
