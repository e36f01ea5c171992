"""Find the unusable stretches of an ECG: flat, saturated, out of range, without beats, or with disputed beats."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from aura.core.arrays import Bools, Floats, Int16s, Ints
from aura.core.events import Event
from aura.core.recordings import Ecg
from aura.ecg.intervals import is_normal, rr_from_beats

EPOCH_S = 10.0
SECONDS = int(EPOCH_S)
# An epoch is unusable if at least this share of it is.
BAD_SHARE = 0.5
# A second is saturated if at least this share of it stands at a limit.
SATURATED_SHARE = 0.05
# A second is flat if its samples change at most this often: a marker, or a heart rate per second, is not an ECG.
MAX_STEPS = 2
# Beats of two detectors within this time are the same beat.
TOLERANCE_S = 0.05
# Disputed beats are kept if this share of their intervals is normal, and the second detector confirms this share.
STEADY_SHARE, CONFIRMED_SHARE = 0.8, 1 / 3
# Longest time without a beat that is not a fault: monitors call 4 s without a QRS complex asystole, as the
# PhysioNet/CinC Challenge 2015 defines it (physionet.org/content/challenge-2015).
MAX_SILENCE_S = 4.0
# An extreme value closer to the median of the ECG is a clipped baseline, not the limit of an amplifier.
LIMIT_MV = 0.5
MEDIAN_OF = 100_000
# Samples examined together, to bound the memory.
BLOCK_SECONDS, BLOCK_SAMPLES = 3600, 8_000_000
FLAT, SATURATED, OUT_OF_RANGE = "flat", "saturated", "out_of_range"
DISAGREEMENT, NO_BEATS = "disagreement", "no_beats"


def find_unusable(ecg: Ecg, *, flat_mv: float, max_mv: float) -> tuple[Event, ...]:
    """Find the stretches of an ECG in which no heart is visible.

    An epoch of 10 s is unusable if half of its seconds are flat (their range is below ``flat_mv``, or their samples
    change at most twice), saturated (5 % of the samples stand at a limit of the converter, or of the recording, for two
    samples or more), or out of range (their range is above ``max_mv``).

    Parameters
    ----------
    ecg
        The recording.
    flat_mv, max_mv
        Smallest and largest range in mV of a second that shows a heart.

    Returns
    -------
    tuple of Event
        Sorted and disjoint. Their kind is the fault: ``flat``, ``saturated``, ``out_of_range``, or ``gap`` where
        nothing was recorded.
    """
    limits = _limits(ecg)
    return tuple(sorted([*ecg.gaps(), *_faults(ecg, limits, flat_mv, max_mv)], key=lambda event: event.onset_s))


def find_disagreement(
    beats_s: Floats, others_s: Floats, *, duration_s: float, min_agreement: float
) -> tuple[Event, ...]:
    """Find the epochs in which two detectors disagree and the beats of the first are irregular.

    If 80 % of the first detector's intervals are normal and the second confirms a third of its beats, the first is
    right: beats detected in noise are irregular, and a second detector that misses every other beat of a tachycardia,
    or takes T waves for beats, must not delete a seizure.

    Parameters
    ----------
    beats_s, others_s
        (n_beats,) times of the beats of the first and the second detector in seconds, rising.
    duration_s
        Length of the recording in seconds.
    min_agreement
        Share of all beats of an epoch, of both detectors, that both must detect within 50 ms.

    Returns
    -------
    tuple of Event
        Of kind ``disagreement``; an epoch without beats of either detector is not one.

    Examples
    --------
    >>> find_disagreement(np.array([1.0, 2.0]), np.array([1.04, 2.4]), duration_s=20.0, min_agreement=0.8)
    (Event(onset_s=0.0, duration_s=10.0, kind='disagreement', confidence=1.0),)
    >>> regular_s = np.arange(1.0, 10.0)
    >>> find_disagreement(regular_s, regular_s[::2], duration_s=10.0, min_agreement=0.8)
    ()
    """
    n_epochs = int(np.ceil(duration_s / EPOCH_S))
    n_first, n_confirmed = _count_agreed(beats_s, others_s, n_epochs)
    n_second, n_explained = _count_agreed(others_s, beats_s, n_epochs)
    disputed = n_confirmed + n_explained < min_agreement * (n_first + n_second)
    believed = _are_steady(beats_s, duration_s, n_epochs) & (n_confirmed >= CONFIRMED_SHARE * n_first)
    bad = disputed & ~believed
    edges_s = np.minimum(np.arange(n_epochs + 1) * EPOCH_S, duration_s)
    return runs_to_events(np.where(bad, 1, 0), edges_s, [None, DISAGREEMENT])


def find_silences(beats_s: Floats, faults: Sequence[Event], *, duration_s: float) -> tuple[Event, ...]:
    """Find the otherwise usable stretches of more than 4 s without a beat.

    The detector missed beats there, or the heart stood still: an asystole is included.

    Parameters
    ----------
    beats_s
        (n_beats,) times of the beats in seconds, rising.
    faults
        Stretches that are unusable for other reasons.
    duration_s
        Length of the recording in seconds.

    Returns
    -------
    tuple of Event
        Of kind ``no_beats``, each from a beat, a fault or the start to the next beat or fault, or to the end.

    Examples
    --------
    >>> find_silences(np.array([1.0, 2.0, 12.0]), [Event(12.5, 5.0, "flat")], duration_s=20.0)
    (Event(onset_s=2.0, duration_s=10.0, kind='no_beats', confidence=1.0),)
    """
    starts_s = np.array([fault.onset_s for fault in faults], dtype=np.float64)
    ends_s = np.array([fault.end_s for fault in faults], dtype=np.float64)
    # A beat inside a fault is an edge as well; the stretch before it lies in the fault.
    edges_s = np.unique(np.clip(np.concatenate((beats_s, starts_s, ends_s, [0.0, duration_s])), 0.0, duration_s))
    middles_s = (edges_s[:-1] + edges_s[1:]) / 2
    begun = np.searchsorted(np.sort(starts_s), middles_s, side="right")
    ended = np.searchsorted(np.sort(ends_s), middles_s, side="right")
    silent = (np.diff(edges_s) > MAX_SILENCE_S) & (begun == ended)
    return runs_to_events(silent.astype(np.int64), edges_s, [None, NO_BEATS])


def usable_share(events: Sequence[Event], duration_s: float) -> float:
    """Return the share of a recording without unusable stretches, which may overlap."""
    covered_s, until_s = 0.0, 0.0
    for event in sorted(events, key=lambda event: event.onset_s):
        end_s = min(event.end_s, duration_s)
        covered_s += max(end_s - max(event.onset_s, until_s), 0.0)
        until_s = max(until_s, end_s)
    return 1.0 - covered_s / duration_s


def _count_agreed(beats_s: Floats, others_s: Floats, n_epochs: int) -> tuple[Floats, Floats]:
    """Count the beats of each epoch, and those that the other detector confirms, both (n_epochs,)."""
    epochs = np.minimum((beats_s // EPOCH_S).astype(np.int64), n_epochs - 1)
    near = _distance_s(beats_s, others_s) <= TOLERANCE_S + 1e-9
    n: Floats = np.bincount(epochs, minlength=n_epochs).astype(np.float64)
    return n, np.bincount(epochs, weights=near, minlength=n_epochs).astype(np.float64)


def _are_steady(beats_s: Floats, duration_s: float, n_epochs: int) -> Bools:
    """Return (n_epochs,) whether an epoch has at least 3 intervals, of which 80 % are normal."""
    rr = rr_from_beats(beats_s, duration_s)
    epochs = np.minimum((rr.t_s // EPOCH_S).astype(np.int64), n_epochs - 1)
    n = np.bincount(epochs, minlength=n_epochs)
    n_normal = np.bincount(epochs, weights=is_normal(rr), minlength=n_epochs)
    steady: Bools = (n >= 3) & (n_normal >= STEADY_SHARE * n)
    return steady


def _limits(ecg: Ecg) -> tuple[int, int]:
    """Return the limits of the converter, or of the amplifier before it, which are far from the median."""
    low, high = int(ecg.digital.min()), int(ecg.digital.max())
    middle = np.median(ecg.digital[:: max(len(ecg.digital) // MEDIAN_OF, 1)])
    far = LIMIT_MV / abs(ecg.mv_per_step)
    return (
        max(low, ecg.limits[0]) if middle - low > far else ecg.limits[0],
        min(high, ecg.limits[1]) if high - middle > far else ecg.limits[1],
    )


def _faults(ecg: Ecg, limits: tuple[int, int], flat_mv: float, max_mv: float) -> list[Event]:
    """Find the unusable epochs of all segments; adjacent epochs with the same fault are one event."""
    firsts = np.array([segment.first for segment in ecg.segments])
    stops = np.array([segment.stop for segment in ecg.segments])
    onsets_s = np.array([segment.onset_s for segment in ecg.segments])
    n_seconds = np.maximum(((stops - firsts) / ecg.fs_hz).astype(np.int64), 1)
    segment, second = _count_up(n_seconds)
    starts = firsts[segment] + np.round(second * ecg.fs_hz).astype(np.int64)
    # Samples between segments, of data records without a known time, are examined separately.
    between = np.setdiff1d(np.append(stops, 0), np.append(firsts, len(ecg.digital)))
    all_starts = np.union1d(starts, between)
    step = max(min(BLOCK_SECONDS, int(BLOCK_SAMPLES / ecg.fs_hz)), 1)
    by_second = np.concatenate(
        [
            _seconds(ecg.digital[block[0] : stop], block - block[0], limits, abs(ecg.mv_per_step), flat_mv, max_mv)
            for block, stop in _blocks(all_starts, len(ecg.digital), step)
        ],
        axis=1,
    )
    faults = by_second[:, np.searchsorted(all_starts, starts)].astype(np.int64)
    # The rest of a second at the end belongs to the last whole second.
    epoch_segment, epoch = _count_up(-(-n_seconds // SECONDS))
    first_seconds = np.flatnonzero(second % SECONDS == 0)
    lengths = np.diff(np.append(first_seconds, len(second)))
    shares = np.add.reduceat(faults, first_seconds, axis=1) / lengths
    # The most frequent fault names the epoch.
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
    """Return for each element of groups of these lengths its group, and its index within the group."""
    groups = np.repeat(np.arange(len(lengths)), lengths)
    return groups, np.arange(len(groups)) - (np.cumsum(lengths) - lengths)[groups]


def _blocks(starts: Ints, stop: int, step: int) -> list[tuple[Ints, int]]:
    """Split the starts of seconds into blocks, each with the sample at which it ends."""
    cuts = [*range(0, len(starts), step), len(starts)]
    ends = [*starts[cuts[1:-1]], stop]
    return [(starts[a:b], int(end)) for (a, b), end in zip(pairwise(cuts), ends, strict=True)]


def _seconds(
    digital: Int16s, starts: Ints, limits: tuple[int, int], mv_per_step: float, flat_mv: float, max_mv: float
) -> Bools:
    """Return (3, n_seconds) whether a second is flat, saturated or out of range; each has at most one fault."""
    highest = np.maximum.reduceat(digital, starts).astype(np.int64)
    lowest = np.minimum.reduceat(digital, starts).astype(np.int64)
    range_mv = (highest - lowest) * mv_per_step
    changes = np.concatenate(([False], digital[1:] != digital[:-1]))
    flat = (range_mv < flat_mv) | (np.add.reduceat(changes.astype(np.int64), starts) <= MAX_STEPS)
    saturated = np.zeros(len(starts), dtype=np.bool_)
    if (highest >= limits[1]).any() or (lowest <= limits[0]).any():
        at_limit = (digital <= limits[0]) | (digital >= limits[1])
        # A single sample at the limit is a peak.
        at_limit[1:] &= digital[1:] == digital[:-1]
        n = np.diff(np.append(starts, len(digital)))
        saturated = ~flat & (np.add.reduceat(at_limit.astype(np.int64), starts) >= SATURATED_SHARE * n)
    return np.stack((flat, saturated, ~flat & ~saturated & (range_mv > max_mv)))


def _distance_s(beats_s: Floats, others_s: Floats) -> Floats:
    """Return the distance in seconds of each beat to the nearest of the others."""
    padded = np.concatenate(([-np.inf], others_s, [np.inf]))
    after = np.searchsorted(padded, beats_s)
    distance_s: Floats = np.minimum(beats_s - padded[after - 1], padded[after] - beats_s)
    return distance_s


def runs_to_events(kinds: Ints, edges_s: Floats, names: Sequence[str | None]) -> tuple[Event, ...]:
    """Turn runs of equal kinds into events.

    Parameters
    ----------
    kinds
        (n,) index into ``names`` for each stretch.
    edges_s
        (n + 1,) stretch i lasts from ``edges_s[i]`` to ``edges_s[i + 1]``.
    names
        Kinds of event; None for stretches that are not events.
    """
    cuts = np.concatenate(([0], np.flatnonzero(np.diff(kinds)) + 1, [len(kinds)])) if len(kinds) else np.zeros(1, int)
    return tuple(
        Event(float(edges_s[a]), float(edges_s[b] - edges_s[a]), name)
        for a, b in pairwise(cuts)
        if (name := names[kinds[a]]) is not None
    )
