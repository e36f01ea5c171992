"""Features while beats arrive: the rows of `extract_features`, in bounded memory."""

import math
from collections import deque
from typing import Any

import numpy as np
import pandas as pd

from aura.core.arrays import Floats
from aura.core.errors import InvalidInput, check_number, quote
from aura.core.series import CLOCK_S, RRSeries
from aura.features.extraction import check_spec, extract_windows
from aura.features.spec import DEFAULT, FeatureSpec

# After a longer silence, a new stream has to begin.
MAX_SILENCE_S = 86_400.0
# No two beats are closer; shorter intervals are not in milliseconds.
MIN_MS = 10.0


class FeatureStream:
    """Rows of features, one per step, while RR intervals are pushed one by one.

    A window is complete once a beat after its end has arrived, or once `advance` says that the time has passed. The
    stream keeps the intervals of the longest window and of the current step, no more.

    Parameters
    ----------
    spec
        Which features, on which windows; by default the 27 of the original system.

    Examples
    --------
    >>> stream = FeatureStream(FeatureSpec((("time_domain", (10.0,)),), step_s=5.0))
    >>> rows = pd.concat([stream.push(0.8 * i, 800.0) for i in range(1, 21)] + [stream.advance(16.0)])
    >>> rows[["t_s", "mean_nni__10s"]].to_numpy().tolist()
    [[5.0, nan], [10.0, 800.0], [15.0, 800.0]]
    """

    def __init__(self, spec: FeatureSpec = DEFAULT) -> None:
        check_spec(spec)
        self.spec = spec
        self._longest_s = max(length_s for _, lengths_s in spec.lengths_s for length_s in lengths_s)
        self.now_s = 0.0
        # Time, length, and whether the interval is normal.
        self._rr: deque[tuple[float, float, bool]] = deque()
        self._steps = 0
        self._no_rows = self._extract(np.zeros(0))
        # Time and length of the last interval, whether it is plausible, and whether it was dropped as ectopic.
        self._last: tuple[float, float, bool, bool] | None = None

    def push(self, t_s: float, rr_ms: float) -> pd.DataFrame:
        """Add an RR interval.

        Parameters
        ----------
        t_s
            Time of its second beat in seconds from the start of the recording, after all earlier ones.
        rr_ms
            Its length in ms.

        Returns
        -------
        DataFrame
            The rows of `aura.features.extract_features` for the windows that end before this beat and were not
            returned yet.

        Raises
        ------
        InvalidInput
            For a time that does not rise or jumps by more than a day, a length below 10 ms, or an interval that
            overlaps the one before it.
        """
        check_interval(t_s, rr_ms, now_s=self.now_s, beat_s=0.0 if self._last is None else self._last[0])
        # A window that ends with this beat contains it, so it is not complete yet.
        rows = self._complete(t_s, with_end=False)
        self._add(t_s, rr_ms)
        return rows

    def advance(self, now_s: float) -> pd.DataFrame:
        """Declare that all beats up to a time have been pushed; return rows as `push` does."""
        check_silence(now_s, now_s=self.now_s, name="now_s")
        return self._complete(now_s, with_end=True)

    def state(self) -> dict[str, Any]:
        """Return everything the stream remembers, as plain values for JSON."""
        return {
            "now_s": self.now_s,
            "steps": self._steps,
            "rr": [list(interval) for interval in self._rr],
            "last": self._last,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from the `state` of a stream of the same specification."""
        try:
            now_s, steps = float(state["now_s"]), int(state["steps"])
            rr = deque((float(t_s), float(rr_ms), bool(keep)) for t_s, rr_ms, keep in state["rr"])
            last = tuple(state["last"]) if state["last"] else None
        except (TypeError, ValueError, LookupError) as error:
            raise InvalidInput(
                f"state={quote(state)} is no state of a stream; allowed is what state() returns"
            ) from error
        self.now_s, self._steps, self._rr, self._last = now_s, steps, rr, last

    def _complete(self, now_s: float, *, with_end: bool) -> pd.DataFrame:
        """Return the rows of the windows that end up to a time."""
        self.now_s = now_s
        # Sums of steps are rounded, see `aura.features.windows.window_ends`.
        until = now_s / self.spec.step_s + 1e-9 if with_end else np.nextafter(now_s / self.spec.step_s, 0)
        n_steps = max(math.floor(until) - self._steps, 0)
        end_s = (self._steps + 1 + np.arange(n_steps, dtype=np.float64)) * self.spec.step_s
        if not with_end:
            end_s = end_s[end_s < now_s]
        if not len(end_s):
            return self._no_rows.copy()
        self._steps += len(end_s)
        rows = self._extract(end_s)
        next_s = (self._steps + 1) * self.spec.step_s
        while self._rr and self._rr[0][0] <= next_s - self._longest_s:
            self._rr.popleft()
        return rows

    def _extract(self, end_s: Floats) -> pd.DataFrame:
        """Compute the rows of the windows that end at these times."""
        t_s, rr_ms, keep = np.array(self._rr, dtype=np.float64).reshape(-1, 3).T.copy()
        return extract_windows(RRSeries(t_s, rr_ms, self.now_s), keep.astype(np.bool_), end_s, self.spec)

    def _add(self, t_s: float, rr_ms: float) -> None:
        """Store an interval, and whether it is normal, as `aura.ecg.intervals.is_normal` decides for a recording."""
        spec = self.spec
        plausible = spec.low_ms <= rr_ms <= spec.high_ms
        ectopic = False
        if self._last is not None:
            last_s, last_ms, last_plausible, last_ectopic = self._last
            adjacent = abs(t_s - last_s - rr_ms / 1000.0) <= CLOCK_S and plausible and last_plausible
            # Every second interval of a run of jumps is dropped.
            ectopic = adjacent and abs(rr_ms - last_ms) > spec.max_change * last_ms and not last_ectopic
        self._rr.append((t_s, rr_ms, plausible and not ectopic))
        self._last = (t_s, rr_ms, plausible, ectopic)


def check_interval(t_s: float, rr_ms: float, *, now_s: float, beat_s: float) -> None:
    """Raise unless an interval can follow those before it.

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
    InvalidInput
        As `FeatureStream.push`.
    """
    check_number("t_s", t_s, "seconds from the start of the recording")
    check_number("rr_ms", rr_ms, "milliseconds")
    if not (math.isfinite(t_s) and t_s > now_s):
        raise InvalidInput(f"t_s={t_s:g}; allowed are times in seconds after {now_s:g}, the last one")
    if not (math.isfinite(rr_ms) and rr_ms >= MIN_MS):
        raise InvalidInput(f"rr_ms={rr_ms:g}; allowed are milliseconds, {MIN_MS:g} or more")
    if t_s - rr_ms / 1000.0 < beat_s - CLOCK_S:
        raise InvalidInput(
            f"rr_ms={rr_ms:g} is too long: the interval that ends at {t_s:g} s begins before the one at {beat_s:g} s "
            "ended"
        )
    check_silence(t_s, now_s=now_s)


def check_silence(t_s: float, *, now_s: float, name: str = "t_s") -> None:
    """Raise unless a time in seconds follows the last one within a day; the message calls it by a name.

    Raises
    ------
    InvalidInput
        For a time that is not a number, goes back, or is more than a day ahead.
    """
    check_number(name, t_s, "seconds from the start of the recording")
    if not t_s >= now_s:
        raise InvalidInput(f"{name}={t_s:g}; allowed are times in seconds from {now_s:g}, the last one, on")
    if t_s - now_s > MAX_SILENCE_S:
        raise InvalidInput(
            f"{name}={t_s:g} is more than a day after {now_s:g} s; times are in seconds from the start of the "
            f"recording, and after a longer silence another one begins"
        )
