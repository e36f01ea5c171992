"""The lowest and highest value of short stretches of an ECG: fewer numbers, and no peak is lost."""

from bisect import bisect_right
from collections.abc import Iterator

import numpy as np

from aura.types import Ecg, Floats

# Samples that are read at once, to bound the memory.
AT_ONCE = 4_000_000


def envelope(ecg: Ecg, from_s: float, to_s: float, bin_s: float) -> Iterator[tuple[Floats, Floats, Floats]]:
    """Give the bins of a part of an ECG, one piece after the other.

    Parameters
    ----------
    ecg
        Of which it is a part.
    from_s, to_s
        Where it begins and ends, on the recording's clock.
    bin_s
        Length of a bin; every sample is one where that is no more than a sample.

    Yields
    ------
    t_s, low_mv, high_mv : (n_bins,) Floats
        Time of the first sample, and the lowest and highest of them. No bin reaches from one segment to the next.
    """
    n = max(int(bin_s * ecg.fs_hz + 1e-9), 1)
    for number in range(max(bisect_right(ecg.segments, from_s, key=lambda one: one.onset_s) - 1, 0), len(ecg.segments)):
        segment = ecg.segments[number]
        if segment.onset_s > to_s:
            break
        first = max(int(np.ceil((from_s - segment.onset_s) * ecg.fs_hz)), 0)
        stop = min(int((to_s - segment.onset_s) * ecg.fs_hz) + 1, segment.stop - segment.first)
        for begin in range(first, stop, AT_ONCE // n * n):
            mv = ecg.mv(segment.first + begin, segment.first + min(begin + AT_ONCE // n * n, stop))
            starts = np.arange(0, len(mv), n)
            t_s = segment.onset_s + (begin + starts) / ecg.fs_hz
            yield t_s, np.minimum.reduceat(mv, starts), np.maximum.reduceat(mv, starts)
