"""Beats to RR intervals, and RR to NN intervals."""

from collections.abc import Sequence

import numpy as np

from aura.core.arrays import Bools, Floats, Ints
from aura.core.errors import InvalidInput, check_range
from aura.core.events import Event
from aura.core.series import CLOCK_S, NNSeries, RRSeries

# 250 bpm: most seizures raise the heart rate (doi:10.1016/j.seizure.2014.02.012), and young hearts reach 220 bpm.
LOW_MS = 240.0
# 20 bpm: an interval above 3 s is asystole, no longer bradycardia (doi:10.1111/epi.13644).
HIGH_MS = 3000.0
# Malik's 20 % removes respiratory arrhythmia of the young and onsets of tachycardia; docs/features.md has the numbers.
MAX_CHANGE = 0.3

# Sampling rates outside of this range are not in hertz.
MIN_FS_HZ, MAX_FS_HZ = 0.001, 1_000_000


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
        For times that are not numbers or do not rise.
    AuraError
        For times outside of the recording.

    Examples
    --------
    >>> rr_from_beats(np.array([1.0, 2.0, 2.8, 9.0, 9.5]), 10.0, [Event(3.0, 5.0)]).rr_ms
    array([1000.,  800.,  500.])
    """
    try:
        beats_s = np.array(beats_s, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"beats_s has to hold numbers ({error})") from error
    if not (beats_s.ndim == 1 and np.isfinite(beats_s).all() and (np.diff(beats_s) > 0).all()):
        raise InvalidInput("beats_s has to hold times in seconds that rise from beat to beat")
    # Number of stretches that began, and that ended, before each beat.
    onsets_s = np.sort([event.onset_s for event in unusable])
    ends_s = np.sort([event.end_s for event in unusable])
    begun = np.searchsorted(onsets_s, beats_s, side="left")
    ended = np.searchsorted(ends_s, beats_s, side="right")
    inside = begun > ended
    beats_s, begun = beats_s[~inside], begun[~inside]
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
        For values that are not sample indices, or a sampling rate that is not in hertz.
    AuraError
        As `rr_from_beats`.

    Examples
    --------
    >>> rr_from_peaks(np.array([100, 300, 460]), 200.0, 3.0).rr_ms
    array([1000.,  800.])
    """
    r_peaks = np.asarray(r_peaks)
    if r_peaks.dtype.kind not in "iuf" or not (np.mod(r_peaks, 1) == 0).all():
        raise InvalidInput(
            "r_peaks has to hold sample indices, whole numbers; for times in seconds there is rr_from_beats"
        )
    check_range("fs_hz", fs_hz, MIN_FS_HZ, MAX_FS_HZ)
    return rr_from_beats(r_peaks / fs_hz, duration_s)


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
