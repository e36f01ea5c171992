"""The nouns of the project. Times are seconds from the start of the recording."""

from dataclasses import dataclass

import numpy as np

from aura.core.arrays import Floats
from aura.core.errors import AuraError

# Times and intervals that were rounded to 10 ms still fit together to within this.
CLOCK_S = 0.0105
# Longer than any recording; times beyond it are no seconds.
MAX_DURATION_S = 31 * 86_400.0
# No heart beats faster than this for half of a recording; such intervals are no milliseconds.
MIN_MEDIAN_MS = 100.0


@dataclass(frozen=True, slots=True, eq=False)
class RRSeries:
    """RR intervals on the recording's own clock.

    Parameters
    ----------
    t_s
        (n_intervals,) time of the second beat of each interval, strictly rising.
    rr_ms
        (n_intervals,) length of each interval in ms.
    duration_s
        Length of the recording in seconds.

    Raises
    ------
    AuraError
        For numbers that are no RR intervals: one sentence with what is allowed.
    """

    t_s: Floats
    rr_ms: Floats
    duration_s: float

    def __post_init__(self) -> None:
        """Refuse what is none, and freeze the arrays as well."""
        for name in ("t_s", "rr_ms"):
            try:
                values = np.array(getattr(self, name), dtype=np.float64)
            except (TypeError, ValueError) as error:
                raise AuraError(f"{name} has to hold numbers ({error})") from error
            values.flags.writeable = False
            object.__setattr__(self, name, values)
        if self.t_s.ndim != 1 or self.t_s.shape != self.rr_ms.shape:
            raise AuraError(
                f"t_s and rr_ms have to be as long as each other; they are {len(self.t_s)}, {len(self.rr_ms)}"
            )
        if not 0 <= self.duration_s <= MAX_DURATION_S:
            raise AuraError(f"duration_s={self.duration_s:g}; allowed are seconds, 0 to {MAX_DURATION_S:g}")
        if len(self.t_s):
            _check_rr(self.t_s, self.rr_ms, self.duration_s)


def _check_rr(t_s: Floats, rr_ms: Floats, duration_s: float) -> None:
    """Refuse numbers that are no RR intervals."""
    if not (np.isfinite(t_s).all() and np.isfinite(rr_ms).all()):
        raise AuraError("t_s and rr_ms have to be numbers; some are missing or not finite")
    if (rr_ms <= 0).any():
        raise AuraError(f"rr_ms has to be positive; the smallest is {rr_ms.min():g}")
    if t_s.min() < 0 or t_s.max() > duration_s + CLOCK_S:
        wrong = t_s.min() if t_s.min() < 0 else t_s.max()
        raise AuraError(
            f"t_s has to be in seconds from the start of the recording, 0 to {duration_s:g}; there is {wrong:g}"
        )
    if (np.diff(t_s) <= 0).any():
        at = int(np.argmax(np.diff(t_s) <= 0)) + 1
        raise AuraError(f"t_s has to rise from row to row; row {at} has {t_s[at]:g} after {t_s[at - 1]:g}")
    if np.median(rr_ms) < MIN_MEDIAN_MS:
        raise AuraError(f"rr_ms has to be in milliseconds; the median is {np.median(rr_ms):g}")
    overlap_s = rr_ms / 1000 - np.diff(t_s, prepend=0.0)
    if (overlap_s > CLOCK_S).any():
        at = int(np.argmax(overlap_s > CLOCK_S))
        raise AuraError(
            f"an interval cannot begin before the one before it ended; row {at} has rr_ms {rr_ms[at]:g} "
            f"at t_s {t_s[at]:g}, after {t_s[at - 1] if at else 0:g}"
        )


@dataclass(frozen=True, slots=True, eq=False)
class NNSeries:
    """RR intervals that are left after cleaning (normal to normal).

    Parameters
    ----------
    t_s
        (n_intervals,) time of the second beat of each interval, strictly rising.
    nn_ms
        (n_intervals,) length of each interval in ms.
    duration_s
        Length of the recording in seconds.
    """

    t_s: Floats
    nn_ms: Floats
    duration_s: float
