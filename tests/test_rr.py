from itertools import pairwise

import hypothesis.extra.numpy as hnp
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from aura.features.reference import hrvanalysis
from aura.rr import clean, rr_from_beats
from aura.types import Event, Floats, RRSeries

LIMITS = {"low_ms": 300.0, "high_ms": 1800.0, "max_change": 0.2}
RR_MS = hnp.arrays(np.float64, st.integers(1, 120), elements=st.floats(200, 2200))


def series(rr_ms: Floats) -> RRSeries:
    t_s = np.cumsum(rr_ms) / 1000
    return RRSeries(t_s, rr_ms.copy(), float(t_s[-1]) if len(t_s) else 0.0)


@given(RR_MS.map(lambda rr: np.clip(rr, 300, 1800)))
def test_ectopic_beats_are_those_of_hrv_analysis(rr_ms: Floats) -> None:
    kept = hrvanalysis().remove_ectopic_beats(list(rr_ms), method="malik", verbose=False)
    assert np.array_equal(clean(series(rr_ms), **LIMITS).nn_ms, [nn for nn in kept if not np.isnan(nn)])


@given(RR_MS, st.integers(1, 40))
def test_later_beats_change_nothing_before_them(rr_ms: Floats, n_more: int) -> None:
    longer = np.concatenate((rr_ms, np.full(n_more, 1000.0)))
    before, after = clean(series(rr_ms), **LIMITS), clean(series(longer), **LIMITS)
    assert np.array_equal(before.nn_ms, after.nn_ms[: len(before.nn_ms)])


def test_nothing_is_compared_across_a_gap() -> None:
    # 1000 ms, 30 s of nothing, then 600 ms: by Malik's rule an ectopic beat, were it the next one.
    rr = RRSeries(np.array([1.0, 2.0, 32.0, 32.6]), np.array([1000.0, 1000.0, 600.0, 600.0]), 40.0)
    assert np.array_equal(clean(rr, **LIMITS).nn_ms, rr.rr_ms)


def test_intervals_are_on_the_clock_of_the_recording() -> None:
    rr = rr_from_beats(np.array([10.0, 11.0, 12.0]), 20.0)
    assert rr.t_s.tolist() == [11.0, 12.0]
    assert rr.rr_ms.tolist() == [1000.0, 1000.0]
    assert not rr.rr_ms.flags.writeable


STRETCHES = st.lists(st.tuples(st.floats(0, 100), st.floats(0.01, 30)), max_size=5)


@given(hnp.arrays(np.float64, st.integers(0, 80), elements=st.floats(0, 100), unique=True), STRETCHES)
def test_no_interval_touches_an_unusable_stretch(beats_s: Floats, stretches: list[tuple[float, float]]) -> None:
    beats_s = np.sort(beats_s)
    unusable = [Event(*stretch, kind="flat") for stretch in stretches]
    rr = rr_from_beats(beats_s, 100.0, unusable)
    intervals = list(zip(rr.t_s - rr.rr_ms / 1000, rr.t_s, strict=True))
    for event in unusable:
        assert not any(begin + 1e-9 < event.end_s and end - 1e-9 > event.onset_s for begin, end in intervals)
    # And every other interval is there.
    free = [
        (begin, end)
        for begin, end in pairwise(beats_s)
        if not any(begin < event.end_s and end >= event.onset_s for event in unusable)
    ]
    assert len(free) == len(intervals)
