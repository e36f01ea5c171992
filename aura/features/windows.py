"""Which intervals are in which window. A window is stamped with its end and contains nothing after it."""

from dataclasses import dataclass

import numpy as np

from aura.core.arrays import Floats, Ints


@dataclass(frozen=True, slots=True, eq=False)
class NNWindows:
    """NN intervals, and which of them are in which window: the input of a feature family.

    Parameters
    ----------
    t_s
        (n_intervals,) time of the second beat of each interval in seconds, rising within a window.
    nn_ms
        (n_intervals,) length of each interval in ms.
    end_s
        (n_windows,) ends of the windows in seconds.
    first, stop
        (n_windows,) ``nn_ms[first[i]:stop[i]]`` are the intervals of window i.
    """

    t_s: Floats
    nn_ms: Floats
    end_s: Floats
    first: Ints
    stop: Ints

    @classmethod
    def one(cls, nn_ms: Floats) -> "NNWindows":
        """Return a single window that contains all intervals, one after the other."""
        t_s = np.cumsum(nn_ms) / 1000.0
        return cls(t_s, nn_ms, t_s[-1:], np.zeros(1, dtype=np.int64), np.array([len(nn_ms)], dtype=np.int64))


def window_ends(duration_s: float, step_s: float) -> Floats:
    """Return the ends of the windows of a recording: one after each full step.

    Parameters
    ----------
    duration_s
        Length of the recording in seconds.
    step_s
        Time from one window to the next in seconds.

    Returns
    -------
    (n_windows,) Floats
        In seconds from the start of the recording.

    Examples
    --------
    >>> window_ends(7.0, 2.0)
    array([2., 4., 6.])
    """
    # A recording of 0.3 s contains three steps of 0.1 s, though 0.3 // 0.1 is 2.
    n_windows = int(np.floor(duration_s / step_s + 1e-9))
    return np.arange(1, n_windows + 1, dtype=np.float64) * step_s


def find_intervals(t_s: Floats, end_s: Floats, length_s: float) -> tuple[Ints, Ints]:
    """Find the intervals of each window ``(end - length, end]``.

    Parameters
    ----------
    t_s
        (n_intervals,) times of the intervals, rising.
    end_s
        (n_windows,) ends of the windows.
    length_s
        Length of each window in seconds.

    Returns
    -------
    first, stop : (n_windows,) Ints
        ``t_s[first[i]:stop[i]]`` are the intervals of window i.
    """
    first = np.searchsorted(t_s, end_s - length_s, side="right")
    stop = np.searchsorted(t_s, end_s, side="right")
    return first.astype(np.int64), stop.astype(np.int64)
