import numpy as np
import pytest

from aura.core.events import Event
from aura.core.series import RRSeries
from aura.ecg.heart_rate import measure_rises_bpm
from aura.evaluation.results import Evaluation, ScoredRecording
from aura.evaluation.scoring import EventRules, score_events

DAY_S = 86_400.0


def series(seed: int, n: int = 1200) -> RRSeries:
    rng = np.random.default_rng(seed)
    rr_ms = rng.uniform(400, 1400, n)
    # Gaps without beats.
    t_s = np.cumsum(rr_ms) / 1000 + np.repeat(np.cumsum(rng.exponential(20, n // 100)), 100)
    return RRSeries(t_s, rr_ms, float(t_s[-1]) + 100)


@pytest.mark.parametrize("seed", range(10))
def test_the_rise_is_the_highest_mean_rate_minus_the_mean_before(seed: int) -> None:
    rr = series(seed)
    rng = np.random.default_rng(seed)
    seizures = [Event(float(onset_s), float(rng.uniform(0.01, 90))) for onset_s in np.sort(rng.uniform(0, 1200, 20))]
    bpm = 60_000 / rr.rr_ms

    def mean_bpm(from_s: float, to_s: float) -> float:
        inside = (rr.t_s > from_s) & (rr.t_s <= to_s)
        return float(bpm[inside].mean()) if inside.sum() >= 5 else np.nan

    for seizure, rise in zip(seizures, measure_rises_bpm(rr, seizures), strict=True):
        before = mean_bpm(seizure.onset_s - 330, seizure.onset_s - 30)
        ends_s = np.arange(seizure.onset_s + 10, max(seizure.end_s + 30, seizure.onset_s + 10) + 1)
        means = [mean for end_s in ends_s if np.isfinite(mean := mean_bpm(end_s - 10, end_s))]
        expected = max(means) - before if means else np.nan
        assert rise == pytest.approx(expected, nan_ok=True)


@pytest.mark.slow
def test_hundreds_of_thousands_of_seizures_do_not_take_hours() -> None:
    rr_ms = np.full(100_000, 800.0)
    rr = RRSeries(np.cumsum(rr_ms) / 1000, rr_ms, DAY_S)
    seizures = tuple(Event(i * 0.25, 0.01) for i in range(300_000))
    assert np.nanmax(np.abs(measure_rises_bpm(rr, seizures))) < 1e-6
    # All are less than 90 s apart: one event, which is split each 5 min.
    assert score_events(seizures, seizures, duration_s=DAY_S, rules=EventRules()).n_ref == 250
    empty = np.array([])
    one = ScoredRecording("a", "a", DAY_S, seizures, np.zeros(300_000), 1.0, empty, empty, 0.5, empty, seizures)
    evaluation = Evaluation([one], [seizures], [], [], EventRules())
    assert all(evaluation.hits(0))
    assert all(evaluation.correct_alarms(0))
