"""Lowest and highest values of stretches of an ECG, and the samples between two times."""

from typing import Any

import numpy as np
import pytest

from aura.core.recordings import Ecg, Segment
from aura.ecg.envelope import compute_envelope, runs_between

FS_HZ = 250.0


def interrupted() -> Ecg:
    """40 s with one peak, in two segments, the second of them 10 s late."""
    digital = np.zeros(10_000, dtype=np.int16)
    digital[4321] = 1500
    segments = (Segment(0, 5000, 0.0), Segment(5000, 10_000, 30.0))
    return Ecg(digital, 0.001, 0.0, (-32768, 32767), FS_HZ, "ECG", None, segments)


def test_no_peak_is_lost_and_no_bin_reaches_over_a_gap() -> None:
    before, after = compute_envelope(interrupted(), 10.0, 40.0, 0.2)
    t_s, low_mv, high_mv = before
    assert (low_mv.max(), high_mv.max()) == (0.0, 1.5)
    assert t_s[high_mv.argmax()] == pytest.approx(4321 / FS_HZ, abs=0.2)
    assert (t_s[0], len(t_s), after[0][0]) == (10.0, 50, 30.0)
    ((t_s, low_mv, high_mv),) = compute_envelope(interrupted(), 10.0, 12.0, 1 / FS_HZ)
    assert t_s == pytest.approx(10 + np.arange(501) / FS_HZ)
    assert np.array_equal(low_mv, high_mv)


@pytest.mark.parametrize(
    ("from_s", "to_s", "expected"),
    [
        (10.0, 12.0, [(2500, 3001, 10.0)]),
        (19.0, 31.0, [(4750, 5000, 19.0), (5000, 5251, 30.0)]),
        (22.0, 28.0, []),
        (-5.0, 0.0, [(0, 1, 0.0)]),
        (49.9, 90.0, [(9975, 10_000, 49.9)]),
        (60.0, 90.0, []),
    ],
)
def test_samples_between_two_times(from_s: float, to_s: float, expected: list[tuple[int, int, float]]) -> None:
    assert list(runs_between(interrupted(), from_s, to_s)) == expected


def test_segments_out_of_reach_are_not_visited() -> None:
    class Counted(tuple[Segment, ...]):
        visits = 0

        def __getitem__(self, number: Any) -> Any:
            Counted.visits += 1
            return super().__getitem__(number)

    segments = Counted(Segment(10 * i, 10 * i + 10, i * 1.0) for i in range(100_000))
    ecg = Ecg(np.zeros(1_000_000, np.int16), 1.0, 0.0, (-1, 1), 10.0, "ECG", None, segments)
    assert list(runs_between(ecg, 50_000.05, 50_000.95)) == [(500_001, 500_010, 50_000.1)]
    assert Counted.visits < 40
