"""Beats to RR intervals, and RR to NN intervals."""

from collections.abc import Sequence

import numpy as np

from aura.core.arrays import Bools, Floats, Ints, copy_numbers
from aura.core.errors import InvalidInput, check_range
from aura.core.events import Event, check_events
from aura.core.recordings import MAX_FS_HZ, MIN_FS_HZ
from aura.core.series import CLOCK_S, MAX_DURATION_S, NNSeries, RRSeries

# 250 bpm: most seizures raise the heart rate (doi:10.1016/j.seizure.2014.02.012), and young hearts reach 220 bpm.
LOW_MS = 240.0
# 20 bpm: an interval above 3 s is asystole, no longer bradycardia (doi:10.1111/epi.13644).
HIGH_MS = 3000.0
# Malik's 20 % removes respiratory arrhythmia of the young and onsets of tachycardia; docs/features.md has the numbers.
MAX_CHANGE = 0.3


def rr_from_beats(beats_s: Floats, duration_s: float, unusable: Sequence[Event] = ()) -> RRSeries:
    """Turn beats into RR intervals on the recording's own clock.

    Parameters
    ----------
    beats_s
        (n_beats,) times of the beats in seconds, strictly rising.
    duration_s
        Length of the recording in seconds.
    unusable
        Stretches without valid beats: beats inside them do not count, beats at their edges do, and no interval spans
        one.

    Returns
    -------
    RRSeries
        Intervals timed at their second beat. Their lengths are rounded to a nanosecond, so that the same two beats have
        the same interval wherever they are in the recording.

    Raises
    ------
    InvalidInput
        For arguments of another type, and for times that do not rise or are outside of the recording.

    Examples
    --------
    >>> rr_from_beats(np.array([1.0, 2.0, 2.8, 9.0, 9.5]), 10.0, [Event(3.0, 5.0)]).rr_ms
    array([1000.,  800.,  500.])
    """
    beats_s = copy_numbers("beats_s", beats_s)
    check_range("duration_s", duration_s, 0, MAX_DURATION_S)
    unusable = check_events("unusable", unusable)
    if not (beats_s.ndim == 1 and np.isfinite(beats_s).all() and (np.diff(beats_s) > 0).all()):
        raise InvalidInput("beats_s has to hold times in seconds that rise from beat to beat")
    # Number of stretches that began, and that ended, before each beat.
    onsets_s = np.sort([event.onset_s for event in unusable])
    ends_s = np.sort([event.end_s for event in unusable])
    begun = np.searchsorted(onsets_s, beats_s, side="left")
    ended = np.searchsorted(ends_s, beats_s, side="right")
    inside = begun > ended
    beats_s, begun = beats_s[~inside], begun[~inside]
    if len(beats_s) and not (beats_s[0] >= -CLOCK_S and beats_s[-1] <= duration_s + CLOCK_S):
        wrong_s = beats_s[0] if beats_s[0] < 0 else beats_s[-1]
        raise InvalidInput(f"beats_s holds {wrong_s:g}; allowed are seconds from 0 to {duration_s:g}, the duration_s")
    unbroken = np.diff(begun) == 0
    rr_ms = np.round(np.diff(beats_s) * 1000.0, 6)
    return RRSeries(t_s=beats_s[1:][unbroken], rr_ms=rr_ms[unbroken], duration_s=duration_s)


def rr_from_peaks(r_peaks: Ints, fs_hz: float, duration_s: float) -> RRSeries:
    """Turn R-peaks into RR intervals on the recording's own clock.

    Parameters
    ----------
    r_peaks
        (n_beats,) sample indices of the R-peaks, strictly rising.
    fs_hz
        Sampling rate in hertz.
    duration_s
        Length of the recording in seconds.

    Raises
    ------
    InvalidInput
        For values that are not sample indices, a sampling rate that is not in hertz, and as `rr_from_beats`.

    Examples
    --------
    >>> rr_from_peaks(np.array([100, 300, 460]), 200.0, 3.0).rr_ms
    array([1000.,  800.])
    """
    try:
        indices = np.asarray(r_peaks)
    except ValueError as error:
        raise InvalidInput(f"r_peaks has to hold sample indices ({error})") from error
    if indices.dtype.kind not in "iuf" or not np.isfinite(indices).all() or not (np.mod(indices, 1) == 0).all():
        raise InvalidInput(
            "r_peaks has to hold sample indices, whole numbers; for times in seconds there is rr_from_beats"
        )
    if not (indices.ndim == 1 and (indices[1:] > indices[:-1]).all()):
        raise InvalidInput("r_peaks has to hold sample indices that rise from beat to beat")
    check_range("fs_hz", fs_hz, MIN_FS_HZ, MAX_FS_HZ)
    check_range("duration_s", duration_s, 0, MAX_DURATION_S)
    if len(indices) and not (indices[0] >= 0 and indices[-1] / fs_hz <= duration_s + CLOCK_S):
        wrong = indices[0] if indices[0] < 0 else indices[-1]
        raise InvalidInput(
            f"r_peaks holds {wrong:g}; allowed are samples from 0 to {duration_s * fs_hz:g}, duration_s times fs_hz"
        )
    return rr_from_beats(indices / fs_hz, duration_s)


def clean_intervals(
    rr: RRSeries, *, low_ms: float = LOW_MS, high_ms: float = HIGH_MS, max_change: float = MAX_CHANGE
) -> NNSeries:
    """Drop the intervals that are not of a sinus rhythm: RR to NN.

    Intervals out of range are dropped first, then ectopic ones by Malik's rule: an interval that differs from the one
    before it by more than ``max_change`` is dropped, and the next is kept untested, as in hrv-analysis. Unlike there,
    dropped intervals are not interpolated but leave a gap, and no interval is compared across a gap. The decision on an
    interval depends only on it and its past.

    Parameters
    ----------
    rr
        All intervals of a recording.
    low_ms, high_ms
        Shortest and longest plausible interval in ms.
    max_change
        Largest change from the interval before, as a share of that interval.

    References
    ----------
    Malik M, Farrell T, Cripps T, Camm AJ. Heart rate variability in relation to prognosis after myocardial
    infarction: selection of optimal processing techniques. Eur Heart J 1989;10:1060-1074.

    Examples
    --------
    >>> rr = RRSeries(np.array([1.0, 1.8, 2.2, 3.4]), np.array([800.0, 800.0, 400.0, 1200.0]), 5.0)
    >>> clean_intervals(rr).nn_ms
    array([ 800.,  800., 1200.])
    """
    keep = is_normal(rr, low_ms=low_ms, high_ms=high_ms, max_change=max_change)
    return NNSeries(t_s=rr.t_s[keep], nn_ms=rr.rr_ms[keep], duration_s=rr.duration_s)


def is_normal(
    rr: RRSeries, *, low_ms: float = LOW_MS, high_ms: float = HIGH_MS, max_change: float = MAX_CHANGE
) -> Bools:
    """Return (n_intervals,) whether `clean_intervals`, with the same parameters, keeps an interval."""
    plausible = (rr.rr_ms >= low_ms) & (rr.rr_ms <= high_ms)
    keep: Bools = plausible & ~_ectopic(rr, plausible, max_change)
    return keep


def _ectopic(rr: RRSeries, plausible: Bools, max_change: float) -> Bools:
    """Return (n_intervals,) whether Malik's rule drops an interval."""
    n = len(rr.rr_ms)
    if n < 2:
        return np.zeros(n, dtype=np.bool_)
    adjacent = _follows(rr.t_s, rr.rr_ms) & plausible & np.concatenate(([False], plausible[:-1]))
    before_ms = np.concatenate(([np.nan], rr.rr_ms[:-1]))
    with np.errstate(invalid="ignore"):
        jumps = adjacent & (np.abs(rr.rr_ms - before_ms) > max_change * before_ms)
    # The interval after a dropped one is kept untested, so every second interval of a run of jumps is dropped.
    index = np.arange(n)
    run_start = np.maximum.accumulate(np.where(jumps & ~np.concatenate(([False], jumps[:-1])), index, 0))
    ectopic: Bools = jumps & ((index - run_start) % 2 == 0)
    return ectopic


def _follows(t_s: Floats, rr_ms: Floats) -> Bools:
    """Return (n_intervals,) whether an interval begins where the one before ended, up to the rounding of clocks."""
    follow = np.zeros(len(t_s), dtype=np.bool_)
    follow[1:] = np.abs(np.diff(t_s) - rr_ms[1:] / 1000.0) <= CLOCK_S
    return follow
