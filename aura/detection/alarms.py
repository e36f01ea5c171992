"""Turn probabilities into alarms. Each step uses only what came before it."""

from dataclasses import dataclass

import numpy as np

from aura.core.arrays import Floats
from aura.core.errors import check_range
from aura.core.events import Event, from_mask, unite

# A baseline needs at least this much signal.
MIN_BASELINE_S = 60.0


@dataclass(frozen=True, slots=True)
class Detections:
    """Result of a detector for one recording.

    Parameters
    ----------
    alarms
        Alarms, sorted and disjoint. The confidence of an alarm is the highest probability of its windows.
    not_assessed
        Stretches without a score, sorted and disjoint. No alarm is possible in them.
    """

    alarms: tuple[Event, ...]
    not_assessed: tuple[Event, ...]


@dataclass(frozen=True)
class Alarms:
    """Rules that turn the probabilities of a recording into alarms.

    Parameters
    ----------
    smoothing_s
        Length of the trailing mean of the probability; no smoothing up to one step.
    baseline_s
        Length of the trailing baseline of the same person; 0 for none. It is subtracted from the probability, so that
        the threshold adapts to people whose probability is always high, as in De Cooman (2018) and Jeppesen (2023).
        The first minute of a recording has no baseline and therefore no alarm.
    baseline_quantile
        Quantile of the preceding values that serves as the baseline, 0 to 1.
    release
        An alarm lasts until the score falls below this share of the threshold, 0 to 1.
    min_duration_s
        Time for which the score must stay above the threshold before an alarm is raised.
    refractory_s
        Time after an alarm in which no other alarm is raised.

    Raises
    ------
    InvalidInput
        If a time is not within 0 to 86400 s, or a share not within 0 to 1.

    Examples
    --------
    >>> alarms = Alarms(
    ...     smoothing_s=0, baseline_s=0, baseline_quantile=0.5, release=0.5, min_duration_s=0, refractory_s=0
    ... )
    >>> alarms.events(np.array([0.1, 0.7, 0.4, 0.2]), threshold=0.6, step_s=2.0)
    (Event(onset_s=2.0, duration_s=4.0, kind='seiz', confidence=1.0),)
    """

    smoothing_s: float
    baseline_s: float
    baseline_quantile: float
    release: float
    min_duration_s: float
    refractory_s: float

    def __post_init__(self) -> None:
        """Check the range of each value."""
        for name in ("smoothing_s", "baseline_s", "min_duration_s", "refractory_s"):
            check_range(name, getattr(self, name), 0, 86_400)
        for name in ("baseline_quantile", "release"):
            check_range(name, getattr(self, name), 0, 1)

    def score(self, probability: Floats, *, step_s: float) -> Floats:
        """Compute the score that is compared with the threshold: the smoothed probability above its baseline.

        A step has a score only if at least half of the smoothed steps have a probability. A step or two that can be
        assessed in the midst of noise therefore raise no alarm.

        Parameters
        ----------
        probability
            (n_windows,) probability of each step, from the start of the recording; NaN where there is none.
        step_s
            Time from one window to the next in seconds.

        Returns
        -------
        (n_windows,) Floats
            NaN where the probability is NaN, where most of the smoothed steps are NaN, and before the first baseline.
        """
        import pandas as pd

        score = pd.Series(_trailing_mean(probability, max(round(self.smoothing_s / step_s), 1)))
        if self.baseline_s > step_s:
            before = score.rolling(round(self.baseline_s / step_s), min_periods=max(round(MIN_BASELINE_S / step_s), 1))
            score = score - before.quantile(self.baseline_quantile)
        assessed: Floats = np.where(np.isnan(probability), np.nan, score.to_numpy(dtype=np.float64))
        return assessed

    def memory(self, *, step_s: float) -> int:
        """Return how many steps, up to the present one, decide the score of a step."""
        return max(round(self.smoothing_s / step_s), 1) + max(round(self.baseline_s / step_s), 1) - 1

    def events(self, score: Floats, *, threshold: float, step_s: float) -> tuple[Event, ...]:
        """Turn the scores of a recording into alarms.

        Parameters
        ----------
        score
            (n_windows,) scores, as `score` returns them.
        threshold
            Score at which a step counts as above threshold; positive.
        step_s
            Time from one window to the next in seconds; a window stands for its last step.

        Returns
        -------
        tuple of Event
            Sorted and disjoint. An alarm is raised at the end of its first step.
        """
        is_up = score >= threshold
        if self.release < 1:
            # A step is still up if no step fell below the release level since the last one above the threshold.
            index = np.arange(len(score))
            last_up = np.maximum.accumulate(np.where(is_up, index, -1))
            last_down = np.maximum.accumulate(np.where(score >= self.release * threshold, -1, index))
            is_up = last_up > last_down
        waiting_s = max(self.min_duration_s - step_s, 0.0)
        events: list[Event] = []
        for run in from_mask(is_up, step_s=step_s):
            onset_s = run.onset_s + waiting_s
            if events:
                onset_s = max(onset_s, events[-1].end_s + self.refractory_s)
            # The tolerance covers the rounding of sums of steps.
            if run.end_s - onset_s > 1e-6:
                events.append(Event(onset_s, run.end_s - onset_s))
        return tuple(events)

    def detect(
        self, probability: Floats, score: Floats, *, threshold: float, step_s: float, duration_s: float
    ) -> Detections:
        """Find the alarms of a recording, and the stretches that could not be assessed.

        Parameters
        ----------
        probability
            (n_windows,) probability of each step; NaN where there is none.
        score
            (n_windows,) scores, as `score` returns them.
        threshold
            Score at which a step counts as above threshold; positive.
        step_s
            Time from one window to the next in seconds.
        duration_s
            Length of the recording in seconds.
        """
        alarms = []
        for alarm in self.events(score, threshold=threshold, step_s=step_s):
            steps = slice(int(alarm.onset_s / step_s), int(np.ceil(alarm.end_s / step_s)))
            highest = float(np.nanmax(probability[steps], initial=0.0))
            alarms.append(Event(alarm.onset_s, alarm.duration_s, "seiz", highest))
        without_score = from_mask(np.isnan(score), step_s=step_s)
        # The last step of a recording may be cut short.
        end_s = len(score) * step_s
        rest = (Event(end_s, duration_s - end_s),) if end_s < duration_s else ()
        return Detections(tuple(alarms), unite((*without_score, *rest), duration_s=duration_s))


def _trailing_mean(values: Floats, n: int) -> Floats:
    """Return the trailing mean over the last n values, ignoring NaN; NaN where fewer than half of them are numbers.

    The values of a window are added in their order. Its mean is then the same to the last digit whatever came before
    it, so a live detector that sees only the end of a recording gets the same score.
    """
    padded = np.concatenate((np.full(n - 1, np.nan), values))
    is_number = ~np.isnan(padded)
    total, count = np.zeros(len(values)), np.zeros(len(values))
    for shift in range(n):
        part = slice(shift, shift + len(values))
        total += np.where(is_number[part], padded[part], 0.0)
        count += is_number[part]
    mean: Floats = np.divide(total, count, out=np.full(len(values), np.nan), where=2 * count >= n)
    return mean
