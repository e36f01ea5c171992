"""Gaps in a series of RR intervals, over which figures draw no line."""

import numpy as np

from aura.core.arrays import Floats, Ints

# A longer time without an interval is a gap.
GAP_S = 3.0


def find_gaps(t_s: Floats) -> Ints:
    """Return the indices of the intervals after a gap, (n_gaps,).

    Parameters
    ----------
    t_s
        (n,) times of the intervals.

    Examples
    --------
    >>> find_gaps(np.array([0.8, 1.6, 9.0, 9.8]))
    array([2])
    """
    gaps: Ints = np.flatnonzero(np.diff(t_s) > GAP_S) + 1
    return gaps
