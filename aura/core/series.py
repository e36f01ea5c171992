"""Series of RR intervals. Times are seconds from the start of the recording."""

from dataclasses import dataclass

import numpy as np

from aura.core.arrays import Floats, copy_numbers
from aura.core.errors import InvalidInput, check_range
from aura.core.wording import counted

# Tolerance for times and intervals that were rounded to 10 ms.
CLOCK_S = 0.0105
# Longest recording; times beyond it are not in seconds.
MAX_DURATION_S = 31 * 86_400.0
# Shortest plausible median interval; shorter intervals are not in milliseconds.
MIN_MEDIAN_MS = 100.0


@dataclass(frozen=True, slots=True, eq=False)
class RRSeries:
    """RR intervals on the clock of the recording.

    Parameters
    ----------
    t_s
        (n_intervals,) time of the second beat of each interval, in seconds, strictly rising.
    rr_ms
        (n_intervals,) length of each interval in ms.
    duration_s
        Length of the recording in seconds.

    Raises
    ------
    InvalidInput
        If the arrays are not a valid series of RR intervals.
    """

    t_s: Floats
    rr_ms: Floats
    duration_s: float

    def __repr__(self) -> str:
        """Describe the series in a line; a day has 100 000 intervals."""
        median = f", median {np.median(self.rr_ms):.0f} ms" if len(self.rr_ms) else ""
        return f"RRSeries({counted(len(self.rr_ms), 'interval')} in {self.duration_s:g} s{median})"

    def __post_init__(self) -> None:
        """Validate, and make the arrays read-only."""
        for name in ("t_s", "rr_ms"):
            values = copy_numbers(name, getattr(self, name))
            values.flags.writeable = False
            object.__setattr__(self, name, values)
        if self.t_s.ndim != 1 or self.t_s.shape != self.rr_ms.shape:
            raise InvalidInput(
                f"t_s and rr_ms must have the same length and one dimension; their shapes are {self.t_s.shape} and "
                f"{self.rr_ms.shape}"
            )
        check_range("duration_s", self.duration_s, 0, MAX_DURATION_S)
        if len(self.t_s):
            _check_rr(self.t_s, self.rr_ms, self.duration_s)


def _check_rr(t_s: Floats, rr_ms: Floats, duration_s: float) -> None:
    """Raise unless the arrays are a valid series of RR intervals."""
    if not (np.isfinite(t_s).all() and np.isfinite(rr_ms).all()):
        raise InvalidInput("t_s and rr_ms must be finite; some values are missing or infinite")
    if (rr_ms <= 0).any():
        raise InvalidInput(f"rr_ms must be positive; the smallest is {rr_ms.min():g}")
    if t_s.min() < 0 or t_s.max() > duration_s + CLOCK_S:
        wrong = t_s.min() if t_s.min() < 0 else t_s.max()
        raise InvalidInput(
            f"t_s must be in seconds from the start of the recording, 0 to {duration_s:g}; it holds {wrong:g}"
        )
    if (np.diff(t_s) <= 0).any():
        at = int(np.argmax(np.diff(t_s) <= 0)) + 1
        raise InvalidInput(f"t_s must rise from row to row; row {at} has {t_s[at]:g} after {t_s[at - 1]:g}")
    if np.median(rr_ms) < MIN_MEDIAN_MS:
        raise InvalidInput(f"rr_ms must be in milliseconds; the median is {np.median(rr_ms):g}")
    overlap_s = rr_ms / 1000 - np.diff(t_s, prepend=0.0)
    if (overlap_s > CLOCK_S).any():
        at = int(np.argmax(overlap_s > CLOCK_S))
        raise InvalidInput(
            f"rr_ms must not overlap: an interval begins after the previous one has ended; row {at} has rr_ms "
            f"{rr_ms[at]:g} at t_s {t_s[at]:g}, after {t_s[at - 1] if at else 0:g}"
        )


@dataclass(frozen=True, slots=True, eq=False)
class NNSeries:
    """Normal-to-normal intervals: the RR intervals left after cleaning.

    Parameters
    ----------
    t_s
        (n_intervals,) time of the second beat of each interval, in seconds, strictly rising.
    nn_ms
        (n_intervals,) length of each interval in ms.
    duration_s
        Length of the recording in seconds.
    """

    t_s: Floats
    nn_ms: Floats
    duration_s: float
