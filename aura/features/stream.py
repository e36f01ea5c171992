"""Features while beats arrive: the same rows as the batch gives, in bounded memory."""

import math
from collections import deque
from typing import Any

import numpy as np
import pandas as pd

from aura.core.arrays import Floats
from aura.core.errors import AuraError
from aura.core.series import CLOCK_S, RRSeries
from aura.features.extract import describe
from aura.features.spec import FeatureSpec

# Of a longer silence, nobody waits for the windows.
MAX_SILENCE_S = 86_400.0
# No two beats are nearer; such numbers are no milliseconds.
MIN_MS = 10.0


class Stream:
    """Rows of features, one for each step, as RR intervals are pushed one by one.

    A window is complete when a beat after its end has arrived, or when `advance` says that the time has come. It
    remembers the intervals of the longest window and of the step under way, and no more.

    Parameters
    ----------
    spec
        Which features, on which windows.

    Examples
    --------
    >>> stream = Stream(FeatureSpec((("time_domain", (10.0,)),), step_s=5.0))
    >>> rows = pd.concat([stream.push(0.8 * i, 800.0) for i in range(1, 21)] + [stream.advance(16.0)])
    >>> rows[["t_s", "mean_nni__10s"]].to_numpy().tolist()
    [[5.0, nan], [10.0, 800.0], [15.0, 800.0]]
    """

    def __init__(self, spec: FeatureSpec) -> None:
        self.spec = spec
        self._longest_s = max(length_s for _, lengths_s in spec.lengths_s for length_s in lengths_s)
        self.now_s = 0.0
        # Time, length, and whether it is normal.
        self._rr: deque[tuple[float, float, bool]] = deque()
        self._steps = 0
        self._nothing = self._describe(np.zeros(0))
        # The interval before, whether it can be one of a heart, and whether it was left out as ectopic.
        self._last: tuple[float, float, bool, bool] | None = None

    def push(self, t_s: float, rr_ms: float) -> pd.DataFrame:
        """Take an RR interval.

        Parameters
        ----------
        t_s
            Time of its second beat in seconds from the start of the recording, after all before it.
        rr_ms
            Its length.

        Returns
        -------
        DataFrame
            Rows as of `aura.features.extract`, of the windows that end before this beat and were not given yet.

        Raises
        ------
        AuraError
            For a time that does not rise or jumps by more than a day, a length that is none, or an interval that
            overlaps with the one before it.
        """
        check_interval(t_s, rr_ms, now_s=self.now_s, beat_s=0.0 if self._last is None else self._last[0])
        # A window that ends with this beat has it, so it is not complete yet.
        rows = self._complete(t_s, with_end=False)
        self._add(t_s, rr_ms)
        return rows

    def advance(self, now_s: float) -> pd.DataFrame:
        """Say that no beat up to this time is still to come; gives the rows as `push` does."""
        check_silence(now_s, now_s=self.now_s)
        return self._complete(now_s, with_end=True)

    def state(self) -> dict[str, Any]:
        """All that it remembers, as JSON can hold it."""
        return {"now_s": self.now_s, "steps": self._steps, "rr": [list(one) for one in self._rr], "last": self._last}

    def restore(self, state: dict[str, Any]) -> None:
        """Remember what another one of the same specification remembered."""
        self.now_s, self._steps = state["now_s"], state["steps"]
        self._rr = deque((t_s, rr_ms, keep) for t_s, rr_ms, keep in state["rr"])
        self._last = tuple(state["last"]) if state["last"] else None

    def _complete(self, now_s: float, *, with_end: bool) -> pd.DataFrame:
        """Rows of the windows that end up to a time."""
        self.now_s = now_s
        # Sums of steps are rounded, as in `aura.features.windows.window_ends`.
        until = now_s / self.spec.step_s + 1e-9 if with_end else np.nextafter(now_s / self.spec.step_s, 0)
        n_steps = max(math.floor(until) - self._steps, 0)
        end_s = (self._steps + 1 + np.arange(n_steps, dtype=np.float64)) * self.spec.step_s
        if not with_end:
            end_s = end_s[end_s < now_s]
        if not len(end_s):
            return self._nothing.copy()
        self._steps += len(end_s)
        rows = self._describe(end_s)
        next_s = (self._steps + 1) * self.spec.step_s
        while self._rr and self._rr[0][0] <= next_s - self._longest_s:
            self._rr.popleft()
        return rows

    def _describe(self, end_s: Floats) -> pd.DataFrame:
        """Rows of windows by their ends."""
        t_s, rr_ms, keep = np.array(self._rr, dtype=np.float64).reshape(-1, 3).T.copy()
        return describe(RRSeries(t_s, rr_ms, self.now_s), keep.astype(np.bool_), end_s, self.spec)

    def _add(self, t_s: float, rr_ms: float) -> None:
        """Keep an interval, and whether `aura.ecg.intervals.is_normal` says so, knowing the interval before."""
        spec = self.spec
        plausible = spec.low_ms <= rr_ms <= spec.high_ms
        ectopic = False
        if self._last is not None:
            last_s, last_ms, last_plausible, last_ectopic = self._last
            adjacent = abs(t_s - last_s - rr_ms / 1000.0) <= CLOCK_S and plausible and last_plausible
            # Of a run of jumps every second one goes.
            ectopic = adjacent and abs(rr_ms - last_ms) > spec.max_change * last_ms and not last_ectopic
        self._rr.append((t_s, rr_ms, plausible and not ectopic))
        self._last = (t_s, rr_ms, plausible, ectopic)


def check_interval(t_s: float, rr_ms: float, *, now_s: float, beat_s: float) -> None:
    """Refuse what cannot be the next RR interval.

    Parameters
    ----------
    t_s, rr_ms
        The interval.
    now_s
        Time of the last interval or tick before it.
    beat_s
        Time of the last interval before it; 0 if there is none.

    Raises
    ------
    AuraError
        As of `Stream.push`.
    """
    if not (math.isfinite(t_s) and t_s > now_s):
        raise AuraError(f"an interval at {t_s:g} s; allowed are times in seconds after {now_s:g}, the last one")
    if not (math.isfinite(rr_ms) and rr_ms >= MIN_MS):
        raise AuraError(f"an interval of {rr_ms:g} ms; allowed are milliseconds, {MIN_MS:g} or more")
    if t_s - rr_ms / 1000.0 < beat_s - CLOCK_S:
        raise AuraError(f"an interval of {rr_ms:g} ms at {t_s:g} s begins before the one at {beat_s:g} s ended")
    check_silence(t_s, now_s=now_s)


def check_silence(t_s: float, *, now_s: float) -> None:
    """Refuse a time that is not in seconds, or that lies in another recording.

    Raises
    ------
    AuraError
        For a time that is not a number, goes back, or is more than a day ahead.
    """
    if not t_s >= now_s:
        raise AuraError(f"it cannot be {t_s:g} s after {now_s:g} s")
    if t_s - now_s > MAX_SILENCE_S:
        raise AuraError(
            f"{t_s:g} s is more than a day after {now_s:g} s; times are in seconds from the start of the recording, "
            f"and after a longer silence another one begins"
        )
