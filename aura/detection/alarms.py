"""From probabilities to alarms, each step of which knows only what came before it."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from aura.core.arrays import Floats
from aura.core.errors import AuraError
from aura.core.events import Event, from_mask

# Of less, a baseline says nothing.
BASELINE_FROM_S = 60.0


@dataclass(frozen=True)
class Alarms:
    """How a run of probabilities becomes alarms.

    Parameters
    ----------
    smoothing_s
        Length of the trailing mean of the probability; up to a step, there is none.
    baseline_s
        Length of the trailing baseline of the same person, which is taken off the probability, so that the threshold
        adapts to who always looks a little ictal, as those of De Cooman (2018) and Jeppesen (2023) do; 0 for none.
        In the first minute of a recording there is none, and no alarm.
    baseline_quantile
        Which of its values the baseline is.
    release
        An alarm goes on until the score falls below this share of the threshold, 0 to 1.
    min_duration_s
        How long the score has to stay up before there is an alarm.
    refractory_s
        Time after an alarm in which there is no other.

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
        """Refuse what cannot be meant."""
        for name in ("smoothing_s", "baseline_s", "min_duration_s", "refractory_s"):
            _check(name, getattr(self, name), 86_400)
        for name in ("baseline_quantile", "release"):
            _check(name, getattr(self, name), 1)

    def score(self, probability: Floats, *, step_s: float) -> Floats:
        """What is compared with the threshold: the probability, smoothed, above its baseline.

        Where most of the steps that are smoothed have no probability there is no score either, so that a step or two
        that can be assessed in the midst of noise raise no alarm.

        Parameters
        ----------
        probability
            (n_windows,) of each step of a recording, from its first on; NaN where there is none.
        step_s
            Time from one window to the next.

        Returns
        -------
        (n_windows,) Floats
            NaN where the probability is or was mostly, and before there is a baseline.
        """
        score = pd.Series(_trailing_mean(probability, max(round(self.smoothing_s / step_s), 1)))
        if self.baseline_s > step_s:
            before = score.rolling(round(self.baseline_s / step_s), min_periods=max(round(BASELINE_FROM_S / step_s), 1))
            score = score - before.quantile(self.baseline_quantile)
        found: Floats = np.where(np.isnan(probability), np.nan, score.to_numpy(dtype=np.float64))
        return found

    def memory(self, *, step_s: float) -> int:
        """Steps up to now that the score of a step depends on."""
        return max(round(self.smoothing_s / step_s), 1) + max(round(self.baseline_s / step_s), 1) - 1

    def events(self, score: Floats, *, threshold: float, step_s: float) -> tuple[Event, ...]:
        """Turn the scores of a recording into alarms.

        Parameters
        ----------
        score
            (n_windows,) as `score` gives it.
        threshold
            From which on a step is up; above 0.
        step_s
            Time from one window to the next; a window speaks for its last step.

        Returns
        -------
        tuple of Event
            Sorted and disjoint. An alarm begins with the step at whose end it is raised.
        """
        up = score >= threshold
        if self.release < 1:
            # Since the last step that was up, none was down.
            index = np.arange(len(score))
            last_up = np.maximum.accumulate(np.where(up, index, -1))
            last_down = np.maximum.accumulate(np.where(score >= self.release * threshold, -1, index))
            up = last_up > last_down
        waiting_s = max(self.min_duration_s - step_s, 0.0)
        events: list[Event] = []
        for run in from_mask(up, step_s=step_s):
            onset_s = run.onset_s + waiting_s
            if events:
                onset_s = max(onset_s, events[-1].end_s + self.refractory_s)
            # To within the rounding of sums of steps.
            if run.end_s - onset_s > 1e-6:
                events.append(Event(onset_s, run.end_s - onset_s))
        return tuple(events)


def _trailing_mean(values: Floats, n: int) -> Floats:
    """Trailing mean over the last n values, ignoring NaN; NaN where fewer than half of them are numbers.

    The values of a window are added up in their order, so that it has the same mean to the last digit whatever was
    before it: who sees only the end of a recording gets the same score.
    """
    padded = np.concatenate((np.full(n - 1, np.nan), values))
    there = ~np.isnan(padded)
    total, count = np.zeros(len(values)), np.zeros(len(values))
    for shift in range(n):
        part = slice(shift, shift + len(values))
        total += np.where(there[part], padded[part], 0.0)
        count += there[part]
    mean: Floats = np.divide(total, count, out=np.full(len(values), np.nan), where=2 * count >= n)
    return mean


def _check(name: str, value: float, high: float) -> None:
    if not isinstance(value, int | float) or not 0 <= value <= high:
        raise AuraError(f"alarms.{name}={value} is out of range; allowed is 0 to {high:g}")
