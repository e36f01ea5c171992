"""Which stretches of an ECG can be used: not flat, not saturated, not out of range, and two detectors agree."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from aura.types import Bools, Ecg, Event, Floats, Int16s, Ints

EPOCH_S = 10.0
SECONDS = int(EPOCH_S)
# An epoch is unusable when at least so much of it is.
BAD_SHARE = 0.5
# A second is saturated when so much of it stands at a limit.
SATURATED_SHARE = 0.05
# Two detectors mean the same beat within this time.
TOLERANCE_S = 0.05
# Nearer to the median of an ECG, its lowest value is a baseline that was cut off, and not where an amplifier ended.
LIMIT_MV = 0.5
MEDIAN_OF = 100_000
# Samples that are looked at together, to bound the memory.
BLOCK_SECONDS, BLOCK_SAMPLES = 3600, 8_000_000
FLAT, SATURATED, OUT_OF_RANGE, DISAGREEMENT = "flat", "saturated", "out_of_range", "disagreement"


def unusable(ecg: Ecg, *, flat_mv: float, max_mv: float) -> tuple[Event, ...]:
    """Find the stretches of an ECG that show no heart.

    Each second is judged, and each epoch of 10 s by its seconds: it is unusable when half of them are flat (their
    range is below ``flat_mv``), saturated (5 % of the samples stand at a limit of the converter, or of the recording,
    for two samples or more), or out of range (their range is above ``max_mv``).

    Parameters
    ----------
    ecg
        The recording.
    flat_mv, max_mv
        Smallest and largest range of a second in which there is a heart.

    Returns
    -------
    tuple of Event
        In their order, disjoint, the kind being the fault: ``flat``, ``saturated``, ``out_of_range``, and ``gap`` where
        nothing was recorded.
    """
    limits = _limits(ecg)
    return tuple(sorted([*ecg.gaps(), *_faults(ecg, limits, flat_mv, max_mv)], key=lambda event: event.onset_s))


def disagreement(beats_s: Floats, others_s: Floats, *, duration_s: float, min_agreement: float) -> tuple[Event, ...]:
    """Find the epochs in which two detectors do not find the same beats.

    Parameters
    ----------
    beats_s, others_s
        (n_beats,) times of the beats by the one and the other, rising.
    duration_s
        Length of the recording in seconds.
    min_agreement
        Share of the beats of an epoch, of both together, that both have to have found within 50 ms.

    Returns
    -------
    tuple of Event
        Of kind ``disagreement``; an epoch without beats of either is none.

    Examples
    --------
    >>> disagreement(np.array([1.0, 2.0]), np.array([1.04, 2.4]), duration_s=20.0, min_agreement=0.8)
    (Event(onset_s=0.0, duration_s=10.0, kind='disagreement', confidence=1.0),)
    """
    n_epochs = int(np.ceil(duration_s / EPOCH_S))
    found, agreed = np.zeros(n_epochs), np.zeros(n_epochs)
    for one_s, other_s in ((beats_s, others_s), (others_s, beats_s)):
        epochs = np.minimum((one_s // EPOCH_S).astype(np.int64), n_epochs - 1)
        found += np.bincount(epochs, minlength=n_epochs)
        agreed += np.bincount(epochs, weights=_distance_s(one_s, other_s) <= TOLERANCE_S + 1e-9, minlength=n_epochs)
    bad = agreed < min_agreement * found
    edges_s = np.minimum(np.arange(n_epochs + 1) * EPOCH_S, duration_s)
    return _runs(np.where(bad, 1, 0), edges_s, [None, DISAGREEMENT])


def usable_share(events: Sequence[Event], duration_s: float) -> float:
    """Share of a recording that no unusable stretch covers; stretches may overlap."""
    covered_s, until_s = 0.0, 0.0
    for event in sorted(events, key=lambda one: one.onset_s):
        end_s = min(event.end_s, duration_s)
        covered_s += max(end_s - max(event.onset_s, until_s), 0.0)
        until_s = max(until_s, end_s)
    return 1.0 - covered_s / duration_s


def _limits(ecg: Ecg) -> tuple[int, int]:
    """Where the converter, or the amplifier before it, ended: far from where the ECG mostly is."""
    low, high = int(ecg.digital.min()), int(ecg.digital.max())
    middle = np.median(ecg.digital[:: max(len(ecg.digital) // MEDIAN_OF, 1)])
    far = LIMIT_MV / abs(ecg.mv_per_step)
    return (
        max(low, ecg.limits[0]) if middle - low > far else ecg.limits[0],
        min(high, ecg.limits[1]) if high - middle > far else ecg.limits[1],
    )


def _faults(ecg: Ecg, limits: tuple[int, int], flat_mv: float, max_mv: float) -> list[Event]:
    """Unusable epochs of all segments, those beside each other with the same fault as one."""
    firsts = np.array([segment.first for segment in ecg.segments])
    stops = np.array([segment.stop for segment in ecg.segments])
    onsets_s = np.array([segment.onset_s for segment in ecg.segments])
    n_seconds = np.maximum(((stops - firsts) / ecg.fs_hz).astype(np.int64), 1)
    segment, second = _count_up(n_seconds)
    starts = firsts[segment] + np.round(second * ecg.fs_hz).astype(np.int64)
    # Samples between segments, of data records without a place in time, are judged apart.
    between = np.setdiff1d(np.append(stops, 0), np.append(firsts, len(ecg.digital)))
    all_starts = np.union1d(starts, between)
    step = max(min(BLOCK_SECONDS, int(BLOCK_SAMPLES / ecg.fs_hz)), 1)
    of_all = np.concatenate(
        [
            _seconds(ecg.digital[block[0] : stop], block - block[0], limits, abs(ecg.mv_per_step), flat_mv, max_mv)
            for block, stop in _blocks(all_starts, len(ecg.digital), step)
        ],
        axis=1,
    )
    faults = of_all[:, np.searchsorted(all_starts, starts)].astype(np.int64)
    # The rest of a second at the end is judged with the last whole one.
    epoch_segment, epoch = _count_up(-(-n_seconds // SECONDS))
    first_seconds = np.flatnonzero(second % SECONDS == 0)
    lengths = np.diff(np.append(first_seconds, len(second)))
    shares = np.add.reduceat(faults, first_seconds, axis=1) / lengths
    # Of several faults the one that is most of it.
    kinds = np.where(shares.sum(axis=0) >= BAD_SHARE, shares.argmax(axis=0) + 1, 0)
    begins_s = onsets_s[epoch_segment] + epoch * EPOCH_S
    ends_s = onsets_s[epoch_segment] + (epoch + 1) * EPOCH_S
    last = np.append(np.diff(epoch_segment) != 0, True)
    ends_s[last] = onsets_s + (stops - firsts) / ecg.fs_hz
    runs = np.flatnonzero(np.concatenate(([True], (np.diff(kinds) != 0) | last[:-1], [True])))
    return [
        Event(float(begins_s[a]), float(ends_s[b - 1] - begins_s[a]), (FLAT, SATURATED, OUT_OF_RANGE)[kinds[a] - 1])
        for a, b in pairwise(runs)
        if kinds[a]
    ]


def _count_up(lengths: Ints) -> tuple[Ints, Ints]:
    """Number the elements of groups of these lengths: the group of each, and its place in the group."""
    groups = np.repeat(np.arange(len(lengths)), lengths)
    return groups, np.arange(len(groups)) - (np.cumsum(lengths) - lengths)[groups]


def _blocks(starts: Ints, stop: int, step: int) -> list[tuple[Ints, int]]:
    cuts = [*range(0, len(starts), step), len(starts)]
    ends = [*starts[cuts[1:-1]], stop]
    return [(starts[a:b], int(end)) for (a, b), end in zip(pairwise(cuts), ends, strict=True)]


def _seconds(
    digital: Int16s, starts: Ints, limits: tuple[int, int], mv_per_step: float, flat_mv: float, max_mv: float
) -> Bools:
    """(3, n_seconds) whether each second is flat, saturated or out of range; one fault at most."""
    highest = np.maximum.reduceat(digital, starts).astype(np.int64)
    lowest = np.minimum.reduceat(digital, starts).astype(np.int64)
    range_mv = (highest - lowest) * mv_per_step
    flat = range_mv < flat_mv
    saturated = np.zeros(len(starts), dtype=np.bool_)
    if (highest >= limits[1]).any() or (lowest <= limits[0]).any():
        at_limit = (digital <= limits[0]) | (digital >= limits[1])
        # One sample at the limit is a peak.
        at_limit[1:] &= digital[1:] == digital[:-1]
        n = np.diff(np.append(starts, len(digital)))
        saturated = ~flat & (np.add.reduceat(at_limit.astype(np.int64), starts) >= SATURATED_SHARE * n)
    return np.stack((flat, saturated, ~flat & ~saturated & (range_mv > max_mv)))


def _distance_s(beats_s: Floats, others_s: Floats) -> Floats:
    """Distance of each beat to the nearest of the others."""
    padded = np.concatenate(([-np.inf], others_s, [np.inf]))
    after = np.searchsorted(padded, beats_s)
    distance_s: Floats = np.minimum(beats_s - padded[after - 1], padded[after] - beats_s)
    return distance_s


def _runs(kinds: Ints, edges_s: Floats, names: Sequence[str | None]) -> tuple[Event, ...]:
    """Events of the runs of equal kinds."""
    cuts = np.concatenate(([0], np.flatnonzero(np.diff(kinds)) + 1, [len(kinds)])) if len(kinds) else np.zeros(1, int)
    return tuple(
        Event(float(edges_s[a]), float(edges_s[b] - edges_s[a]), name)
        for a, b in pairwise(cuts)
        if (name := names[kinds[a]]) is not None
    )
