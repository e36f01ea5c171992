from collections.abc import Callable
from itertools import pairwise

import hypothesis.extra.numpy as hnp
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aura.core.arrays import Floats
from aura.core.errors import AuraError
from aura.core.events import Event
from aura.core.series import RRSeries
from aura.ecg.intervals import clean_intervals, rr_from_beats, rr_from_peaks
from aura.features.hrv_analysis import import_hrvanalysis

LIMITS = {"low_ms": 300.0, "high_ms": 1800.0, "max_change": 0.2}
RR_MS = hnp.arrays(np.float64, st.integers(1, 120), elements=st.floats(200, 2200))


def series(rr_ms: Floats) -> RRSeries:
    t_s = np.cumsum(rr_ms) / 1000
    return RRSeries(t_s, rr_ms.copy(), float(t_s[-1]) if len(t_s) else 0.0)


@given(RR_MS.map(lambda rr: np.clip(rr, 300, 1800)))
def test_ectopic_beats_equal_hrv_analysis(rr_ms: Floats) -> None:
    kept = import_hrvanalysis().remove_ectopic_beats(list(rr_ms), method="malik", verbose=False)
    assert np.array_equal(clean_intervals(series(rr_ms), **LIMITS).nn_ms, [nn for nn in kept if not np.isnan(nn)])


@given(RR_MS, st.integers(1, 40))
def test_later_beats_change_nothing_before_them(rr_ms: Floats, n_more: int) -> None:
    longer = np.concatenate((rr_ms, np.full(n_more, 1000.0)))
    before, after = clean_intervals(series(rr_ms), **LIMITS), clean_intervals(series(longer), **LIMITS)
    assert np.array_equal(before.nn_ms, after.nn_ms[: len(before.nn_ms)])


def test_nothing_is_compared_across_a_gap() -> None:
    # 1000 ms, a gap of 30 s, then 600 ms: ectopic by Malik's rule, if it were adjacent.
    rr = RRSeries(np.array([1.0, 2.0, 32.0, 32.6]), np.array([1000.0, 1000.0, 600.0, 600.0]), 40.0)
    assert np.array_equal(clean_intervals(rr, **LIMITS).nn_ms, rr.rr_ms)


def test_intervals_from_20_to_250_bpm_are_kept() -> None:
    for bpm in (20, 33, 60, 200, 220, 250):
        rr = series(np.full(50, 60_000 / bpm))
        assert np.array_equal(clean_intervals(rr).nn_ms, rr.rr_ms), bpm
    for bpm in (19, 260):
        assert not len(clean_intervals(series(np.full(50, 60_000 / bpm))).nn_ms), bpm


def beats_of(rate_bpm: Floats, step_s: float = 0.001) -> RRSeries:
    """Intervals of a heart whose rate is known at each millisecond (integral pulse frequency modulation)."""
    turns = np.cumsum(rate_bpm) / 60 * step_s
    beats_s = np.interp(np.arange(1, int(turns[-1]) + 1), turns, np.arange(len(rate_bpm)) * step_s)
    return rr_from_beats(beats_s, len(rate_bpm) * step_s)


def test_breathing_and_a_sudden_tachycardia_are_kept() -> None:
    time_s = np.arange(0, 300, 0.001)
    # The rate swings by 20 % with each breath, as in young people; Malik's 20 % removes two intervals of five.
    breathing = beats_of(60 * (1 + 0.2 * np.sin(2 * np.pi * 0.2 * time_s)))
    assert len(clean_intervals(breathing).nn_ms) == len(breathing.rr_ms)
    assert len(clean_intervals(breathing, **LIMITS).nn_ms) < 0.65 * len(breathing.rr_ms)
    # From 75 to 150 bpm with a time constant of 1 s.
    onset = beats_of(75 + 75 * (1 - np.exp(-np.clip(time_s - 150, 0, None))))
    assert len(clean_intervals(onset).nn_ms) == len(onset.rr_ms)
    # From 75 to 220 bpm at once: one interval is dropped, not all that follow.
    jump = beats_of(np.where(time_s < 150, 75.0, 220.0))
    assert len(clean_intervals(jump).nn_ms) >= len(jump.rr_ms) - 1


def test_premature_beats_are_dropped() -> None:
    rr_ms = np.full(100, 800.0)
    rr_ms[20::10], rr_ms[21::10] = 500.0, 1100.0
    nn_ms = clean_intervals(series(rr_ms)).nn_ms
    assert 500.0 not in nn_ms


def test_intervals_are_on_the_clock_of_the_recording() -> None:
    rr = rr_from_beats(np.array([10.0, 11.0, 12.0]), 20.0)
    assert rr.t_s.tolist() == [11.0, 12.0]
    assert rr.rr_ms.tolist() == [1000.0, 1000.0]
    assert not rr.rr_ms.flags.writeable


STRETCHES = st.lists(st.tuples(st.floats(0, 100), st.floats(0.01, 30)), max_size=5)


@given(st.sets(st.integers(0, 400), max_size=80), STRETCHES)
def test_no_interval_overlaps_an_unusable_stretch(quarters: set[int], stretches: list[tuple[float, float]]) -> None:
    beats_s = np.array(sorted(quarters), dtype=np.float64) / 4
    unusable = [Event(*stretch, kind="flat") for stretch in stretches]
    rr = rr_from_beats(beats_s, 100.0, unusable)
    intervals = list(zip(rr.t_s - rr.rr_ms / 1000, rr.t_s, strict=True))
    for event in unusable:
        assert not any(begin + 1e-9 < event.end_s and end - 1e-9 > event.onset_s for begin, end in intervals)
    # All other intervals are kept.
    free = [
        (begin, end)
        for begin, end in pairwise(beats_s)
        if not any(begin < event.end_s and end > event.onset_s for event in unusable)
    ]
    assert len(free) == len(intervals)


def test_the_same_beats_have_the_same_intervals_wherever_they_are() -> None:
    """At 250 Hz many differences are 20 ms sharp: rounding must not decide on which side they are."""
    r_peaks = np.cumsum(np.random.default_rng(0).integers(180, 220, 400))
    early, late = (rr_from_peaks(r_peaks + shift, 250.0, 1e6) for shift in (0, 250 * 100_000))
    assert np.array_equal(early.rr_ms, late.rr_ms)
    assert np.array_equal(np.diff(early.rr_ms), np.round(np.diff(early.rr_ms)))


WRONG: dict[str, tuple[Callable[[], object], str]] = {
    "seconds": (lambda: RRSeries([0.8, 1.6], [0.8, 0.8], 2.0), "must be in milliseconds; the median is 0.8"),
    "unsorted": (lambda: RRSeries([1.6, 0.8], [800, 800], 2.0), "t_s must rise from row to row; row 1"),
    "missing": (lambda: RRSeries([0.8, np.nan], [800, 800], 2.0), "some values are missing or infinite"),
    "negative": (lambda: RRSeries([0.8, 1.6], [800, -800], 2.0), "rr_ms must be positive; the smallest is -800"),
    "milliseconds": (lambda: RRSeries([800, 1600], [800, 800], 2.0), "t_s must be in seconds"),
    "overlapping": (lambda: RRSeries([0.8, 1.05], [800, 800], 2.0), "begins after the previous one has ended"),
    "lengths": (lambda: RRSeries([0.8], [800, 800], 2.0), "must have the same length"),
    "words": (lambda: RRSeries(["a"], [800], 2.0), "t_s must hold numbers"),
    "duration": (lambda: RRSeries([], [], -1.0), "duration_s=-1 is out of range"),
    "falling beats": (lambda: rr_from_beats([2.0, 1.0], 3.0), "that rise from beat to beat"),
    "peaks in seconds": (
        lambda: rr_from_peaks(np.array([0.5, 1.3]), 250.0, 3.0),
        "^r_peaks has to hold sample ind",
    ),
    "a mask of peaks": (
        lambda: rr_from_peaks(np.array([True, False]), 250.0, 3.0),
        "^r_peaks has to hold sample ind",
    ),
    "no rate": (lambda: rr_from_peaks(np.array([100, 300]), 0.0, 3.0), "fs_hz=0 is out of range"),
    "late peaks": (
        lambda: rr_from_peaks(np.array([100, 300]), 10.0, 3.0),
        "^r_peaks holds 300; allowed are samples from 0 to 30",
    ),
    "late beats": (lambda: rr_from_beats([1.0, 9.0], 3.0), "^beats_s holds 9; allowed are seconds from 0 to 3"),
}


@pytest.mark.parametrize("what", WRONG)
def test_impossible_rr_intervals_are_refused_in_a_sentence(what: str) -> None:
    make, says = WRONG[what]
    with pytest.raises(AuraError, match=says):
        make()


def test_lists_and_columns_are_taken_and_copied() -> None:
    column = pd.Series([800.0, 810.0])
    rr = RRSeries([0.8, 1.61], column, 2.0)
    column[0] = 0.0
    assert rr.rr_ms.tolist() == [800.0, 810.0]
    assert not rr.rr_ms.flags.writeable
