"""Reduce an ECG to the lowest and highest value of short bins, so that no peak is lost."""

from bisect import bisect_right
from collections.abc import Iterator

import numpy as np

from aura.core.arrays import Floats
from aura.core.recordings import Ecg

# Samples read at once, to bound the memory.
AT_ONCE = 4_000_000


def compute_envelope(ecg: Ecg, from_s: float, to_s: float, bin_s: float) -> Iterator[tuple[Floats, Floats, Floats]]:
    """Compute the bins of a part of an ECG, piece by piece.

    Parameters
    ----------
    ecg
        The recording.
    from_s, to_s
        Start and end of the part on the recording's clock, in seconds.
    bin_s
        Length of a bin in seconds; at most a sample makes every sample a bin.

    Yields
    ------
    t_s, low_mv, high_mv : (n_bins,) Floats
        Time of the first sample of each bin, and its lowest and highest value. No bin spans two segments.
    """
    n = max(int(bin_s * ecg.fs_hz + 1e-9), 1)
    for first, stop, onset_s in runs_between(ecg, from_s, to_s):
        for begin in range(first, stop, AT_ONCE // n * n):
            mv = ecg.mv(begin, min(begin + AT_ONCE // n * n, stop))
            starts = np.arange(0, len(mv), n)
            t_s = onset_s + (begin - first + starts) / ecg.fs_hz
            yield t_s, np.minimum.reduceat(mv, starts), np.maximum.reduceat(mv, starts)


def runs_between(ecg: Ecg, from_s: float, to_s: float) -> Iterator[tuple[int, int, float]]:
    """Yield the runs of samples between two times, without a search through all segments.

    Yields
    ------
    first, stop, onset_s
        Samples ``[first, stop)`` without a gap, and the time of the first in seconds.
    """
    at = max(bisect_right(ecg.segments, from_s, key=lambda segment: segment.onset_s) - 1, 0)
    for number in range(at, len(ecg.segments)):
        segment = ecg.segments[number]
        if segment.onset_s > to_s:
            break
        skipped = max(int(np.ceil((from_s - segment.onset_s) * ecg.fs_hz)), 0)
        stop = min(segment.first + int((to_s - segment.onset_s) * ecg.fs_hz) + 1, segment.stop)
        if stop > segment.first + skipped:
            yield segment.first + skipped, stop, segment.onset_s + skipped / ecg.fs_hz
