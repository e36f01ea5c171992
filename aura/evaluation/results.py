"""Scores of a detector on recordings: counts are pooled first, ratios follow from their sums."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import accumulate

import numpy as np
import pandas as pd

from aura.core.arrays import Floats, Ints
from aura.core.events import Event
from aura.detection.alarms import Alarms, Detections
from aura.ecg.heart_rate import RESPONDER_BPM
from aura.evaluation.bootstrap import confidence_interval, score_draws
from aura.evaluation.scoring import RATIOS, Counts, EventRules, compute_ratio, pool, score_events, score_samples
from aura.features.windows import window_ends
from aura.learning.labels import TARGET, Labelling


@dataclass(frozen=True, slots=True, eq=False)
class AnnotatedRecording:
    """A recording with its annotations.

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
    """An annotated recording with the scores of a detector.

    Parameters
    ----------
    step_s
        Time from one window to the next in seconds.
    probability
        (n_windows,) probability that a window is a target, such as ictal; NaN where there is none.
    score
        (n_windows,) smoothed probability that is compared with the threshold, see `aura.detection.alarms.Alarms.score`.
    threshold
        Score at which an alarm is raised, chosen without this recording.
    labels
        (n_windows,) as in `aura.learning.labels.Labels`.
    targets
        Stretches in which an alarm is correct.
    """

    step_s: float
    probability: Floats
    score: Floats
    threshold: float
    labels: Ints
    targets: tuple[Event, ...]

    @property
    def assessed_s(self) -> float:
        """Time in which an alarm was possible, in seconds: the steps with a score."""
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
    """Compute scores and labels of a recording from the probabilities of a detector.

    Parameters
    ----------
    recording
        The recording with its annotations.
    probability
        (n_windows,) one per window; window i ends at ``(i + 1) * step_s``.
    step_s
        Time from one window to the next in seconds.
    alarms, threshold
        Rules and threshold by which the detector raises alarms.
    labelling
        Labels that the detector was fitted to.
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
    """Raise the alarms of each recording, at its own threshold or at a common threshold."""
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
    """Alarms and counts of recordings, each at its own threshold.

    Parameters
    ----------
    recordings
        The scored recordings.
    alarms
        Alarms of each recording, sorted and disjoint.
    events, samples
        Counts of each recording, in events and in seconds.
    rules
        Rules by which events are matched.
    """

    recordings: Sequence[ScoredRecording]
    alarms: Sequence[tuple[Event, ...]]
    events: Sequence[Counts]
    samples: Sequence[Counts]
    rules: EventRules

    @property
    def subjects(self) -> list[str]:
        """Names of the subjects, sorted."""
        return sorted({r.subject for r in self.recordings})

    def pool_by_subject(self, counts: Sequence[Counts]) -> list[Counts]:
        """Pool the counts of the recordings of each subject."""
        return [
            pool(count for count, r in zip(counts, self.recordings, strict=True) if r.subject == subject)
            for subject in self.subjects
        ]

    def scores(self, *, seed: int) -> dict[str, float]:
        """Compute all scores by name, pooled over recordings.

        Event and sample scores also have ``_low`` and ``_high``, the 95 % interval over subjects.

        Parameters
        ----------
        seed
            Seed of the draws of subjects.
        """
        ratios_by_name: dict[str, float] = {}
        for kind, counts in (("event", self.events), ("sample", self.samples)):
            ratios, sums = pool(counts).ratios(), _sums(self.pool_by_subject(counts))
            for name in RATIOS:
                drawn = score_draws(sums, partial(compute_ratio, name=name), seed=seed)
                low, high = confidence_interval(drawn)
                key = f"{kind}_{name}"
                ratios_by_name |= {key: ratios[name], f"{key}_low": low, f"{key}_high": high}
        seizures = self.seizures()
        assessed_s = sum(r.assessed_s for r in self.recordings)
        in_alarm_s = sum(alarm.duration_s for alarms in self.alarms for alarm in alarms)
        return {
            **ratios_by_name,
            "assessed_share": assessed_s / sum(r.duration_s for r in self.recordings),
            "false_alarm_time_share": pool(self.samples).fp / assessed_s if assessed_s else float("nan"),
            **self._score_windows(),
            "latency_median_s": float(seizures.loc[seizures["found"], "latency_s"].median()),
            **_score_responders(seizures),
            "time_in_alarm_share": in_alarm_s / assessed_s if assessed_s else float("nan"),
        }

    def per_subject(self) -> pd.DataFrame:
        """Return a row of counts and scores per subject."""
        rows = []
        pooled = (self.pool_by_subject(self.events), self.pool_by_subject(self.samples))
        for subject, event, sample in zip(self.subjects, *pooled, strict=True):
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
        """Return a row per target: whether it was detected, the latency of the alarm, and the rise of the heart rate.

        Unlike events that are counted, targets are neither merged nor split. A latency is negative if the alarm
        precedes the onset, and at least ``-tolerance_before_s``, even if the alarm started earlier.

        Returns
        -------
        DataFrame
            ``recording``, ``subject``, ``onset_s``, ``duration_s``, ``rise_bpm`` (NaN if unknown), ``found``, and
            ``latency_s`` (NaN if not found).
        """
        rows = []
        for number, r in enumerate(self.recordings):
            # A forecasting target can belong to several seizures; then no rise belongs to it.
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

    def hits(self, number: int) -> list[bool]:
        """Return whether each target of recording ``number`` was detected."""
        return [hit is not None for hit in self._first_hits(number)]

    def correct_alarms(self, number: int) -> list[bool]:
        """Return whether each alarm of recording ``number`` detected a target."""
        spans = sorted(self._span(target) for target in self.recordings[number].targets)
        begins_s, latest_s = [begin_s for begin_s, _ in spans], list(accumulate((end_s for _, end_s in spans), max))
        # An alarm is correct if a span that begins before it ends also ends after it begins.
        before = [(alarm, bisect_left(begins_s, alarm.end_s)) for alarm in self.alarms[number]]
        return [n > 0 and latest_s[n - 1] > alarm.onset_s for alarm, n in before]

    def _first_hits(self, number: int) -> list[Event | None]:
        """Return the first alarm that detects each target of a recording, or None. Alarms are sorted and disjoint."""
        alarms = self.alarms[number]
        ends_s = [alarm.end_s for alarm in alarms]
        hits: list[Event | None] = []
        for target in self.recordings[number].targets:
            begin_s, end_s = self._span(target)
            first = bisect_right(ends_s, begin_s)
            hits.append(alarms[first] if first < len(alarms) and alarms[first].onset_s < end_s else None)
        return hits

    def _span(self, target: Event) -> tuple[float, float]:
        """Return begin and end of the time in which an alarm detects a target, in seconds."""
        return target.onset_s - self.rules.tolerance_before_s, target.end_s + self.rules.tolerance_after_s

    def _score_windows(self) -> dict[str, float]:
        """Compute scores of windows that need no threshold.

        Postictal windows count as well: they were left out of fitting, but an alarm in them is a false alarm.
        """
        probability = np.concatenate([r.probability for r in self.recordings])
        used = ~np.isnan(probability)
        is_target = np.concatenate([r.labels for r in self.recordings])[used] == TARGET
        if not is_target.any() or is_target.all():
            return {"roc_auc": float("nan"), "pr_auc": float("nan")}
        from sklearn.metrics import average_precision_score, roc_auc_score

        return {
            "roc_auc": float(roc_auc_score(is_target, probability[used])),
            "pr_auc": float(average_precision_score(is_target, probability[used])),
        }


def evaluate(recordings: Sequence[ScoredRecording], alarms: Alarms, rules: EventRules) -> Evaluation:
    """Raise the alarms of each recording at its own threshold, and count them."""
    raised = raise_alarms(recordings, alarms)
    samples = [
        replace(score_samples(r.targets, hyp, duration_s=r.duration_s), assessed_s=r.assessed_s)
        for r, hyp in zip(recordings, raised, strict=True)
    ]
    return Evaluation(recordings, raised, count_events(recordings, raised, rules), samples, rules)


def describe_alarms(alarms: Alarms, scored: ScoredRecording) -> Detections:
    """Return the alarms of a scored recording with their confidence, and the stretches that were not assessed."""
    return alarms.detect(
        scored.probability,
        scored.score,
        threshold=scored.threshold,
        step_s=scored.step_s,
        duration_s=scored.duration_s,
    )


def _sums(counts: Sequence[Counts]) -> Floats:
    return np.array([(c.n_ref, c.tp, c.fp, c.duration_s, c.assessed_s) for c in counts], dtype=np.float64)


def _score_responders(seizures: pd.DataFrame) -> dict[str, float]:
    """Compute the sensitivity for responder and non-responder seizures, where the rise is known."""
    responds = seizures["rise_bpm"] > RESPONDER_BPM
    others = seizures["rise_bpm"] <= RESPONDER_BPM
    return {
        "responder_seizures": float(responds.sum()),
        "responder_sensitivity": float(seizures.loc[responds, "found"].mean()) if responds.any() else float("nan"),
        "non_responder_seizures": float(others.sum()),
        "non_responder_sensitivity": float(seizures.loc[others, "found"].mean()) if others.any() else float("nan"),
    }
