"""Raise alarms while steps arrive: the same alarms as `aura.detection.alarms.Alarms` raises in a whole recording."""

import math
from collections import deque
from dataclasses import dataclass
from typing import Any

import numpy as np

from aura.detection.alarms import Alarms


@dataclass(frozen=True, slots=True)
class Alarm:
    """An alarm that was raised; ``end_s`` is None while it lasts. The first alarm of a recording has number 1."""

    number: int
    onset_s: float
    end_s: float | None


class AlarmStream:
    """Take the probabilities of a recording one at a time, and raise alarms.

    Parameters
    ----------
    alarms
        Rules that turn probabilities into alarms.
    threshold
        Score at which a step counts as above threshold.
    step_s
        Time from one step to the next in seconds.

    Examples
    --------
    >>> alarms = Alarms(
    ...     smoothing_s=0, baseline_s=0, baseline_quantile=0.5, release=0.5, min_duration_s=0, refractory_s=0
    ... )
    >>> stream = AlarmStream(alarms, threshold=0.6, step_s=2.0)
    >>> [stream.push(probability)[1] for probability in (0.1, 0.7, 0.4)]
    [None, Alarm(number=1, onset_s=2.0, end_s=None), None]
    >>> stream.push(0.2)
    (0.2, Alarm(number=1, onset_s=2.0, end_s=6.0))
    """

    def __init__(self, alarms: Alarms, *, threshold: float, step_s: float) -> None:
        self._alarms, self._threshold, self._step_s = alarms, threshold, step_s
        self._waiting_s = max(alarms.min_duration_s - step_s, 0.0)
        self._recent: deque[float] = deque(maxlen=alarms.memory(step_s=step_s))
        self._step = 0
        # First step of the present run of steps above threshold; None outside such a run.
        self._up_from: int | None = None
        self.last: Alarm | None = None

    def skip(self, n_steps: int) -> None:
        """Skip steps without data at the start of a recording."""
        self._step += n_steps

    def push(self, probability: float) -> tuple[float, Alarm | None]:
        """Take the probability of the next step; NaN if it has none.

        Returns
        -------
        score : float
            Score that is compared with the threshold.
        alarm : Alarm or None
            Alarm that is raised at the end of this step, or that ended with the step before it.
        """
        self._recent.append(probability)
        score = float(self._alarms.score(np.array(self._recent), step_s=self._step_s)[-1])
        begin_s, end_s = self._step * self._step_s, (self._step + 1) * self._step_s
        is_alarming = self.last is not None and self.last.end_s is None
        changed = None
        if score >= self._threshold or (self._up_from is not None and self._is_above_release(score)):
            if self._up_from is None:
                self._up_from = self._step
            onset_s = self._onset_s(self._up_from)
            if not is_alarming and end_s - onset_s > 1e-6:
                changed = Alarm(self.last.number + 1 if self.last else 1, onset_s, None)
        else:
            self._up_from = None
            if is_alarming and self.last is not None:
                changed = Alarm(self.last.number, self.last.onset_s, begin_s)
        self._step += 1
        self.last = changed or self.last
        return score, changed

    def state(self) -> dict[str, Any]:
        """Return the whole state as values that JSON can hold."""
        last = self.last and [self.last.number, self.last.onset_s, self.last.end_s]
        recent = [None if math.isnan(value) else value for value in self._recent]
        return {"recent": recent, "step": self._step, "up_from": self._up_from, "last": last}

    def restore(self, state: dict[str, Any]) -> None:
        """Restore a state that `state` returned."""
        self._recent.clear()
        self._recent.extend(math.nan if value is None else value for value in state["recent"])
        self._step, self._up_from = state["step"], state["up_from"]
        self.last = Alarm(*state["last"]) if state["last"] else None

    def _is_above_release(self, score: float) -> bool:
        return score >= self._alarms.release * self._threshold

    def _onset_s(self, up_from: int) -> float:
        """Return when a run raises its alarm: after its minimum duration and after the pause since the last alarm."""
        onset_s = up_from * self._step_s + self._waiting_s
        if self.last is not None and self.last.end_s is not None:
            onset_s = max(onset_s, self.last.end_s + self._alarms.refractory_s)
        return onset_s
