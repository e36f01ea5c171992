from itertools import pairwise

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aura.core.arrays import Floats
from aura.core.errors import AuraError
from aura.detection.alarms import Alarms

PLAIN = {
    "smoothing_s": 0,
    "baseline_s": 0,
    "baseline_quantile": 0.9,
    "release": 1,
    "min_duration_s": 0,
    "refractory_s": 0,
}


def alarms(**changes: float) -> Alarms:
    return Alarms(**{**PLAIN, **changes})


PROBABILITY = hnp.arrays(np.float64, st.integers(1, 200), elements=st.sampled_from([np.nan, 0.0, 0.2, 0.5, 0.8, 1.0]))
SETTINGS = st.fixed_dictionaries(
    {
        "smoothing_s": st.sampled_from([0, 10]),
        "baseline_s": st.sampled_from([0, 100]),
        "release": st.sampled_from([0.5, 1]),
        "min_duration_s": st.sampled_from([0, 6]),
        "refractory_s": st.sampled_from([0, 30]),
    }
)


@given(PROBABILITY, SETTINGS, st.integers(1, 50))
def test_what_comes_later_changes_no_alarm_before_it(
    probability: Floats, settings: dict[str, float], n_more: int
) -> None:
    how, step_s = alarms(**settings), 2.0
    longer = np.concatenate((probability, np.full(n_more, 0.9)))
    before, after = (how.score(p, step_s=step_s) for p in (probability, longer))
    assert np.array_equal(before, after[: len(before)], equal_nan=True)
    now_s = len(probability) * step_s
    found = how.events(before, threshold=0.4, step_s=step_s)
    later = how.events(after, threshold=0.4, step_s=step_s)
    assert [a.onset_s for a in found] == [a.onset_s for a in later if a.onset_s < now_s]


@given(PROBABILITY, SETTINGS)
def test_alarms_are_disjoint_and_keep_their_distance(probability: Floats, settings: dict[str, float]) -> None:
    how = alarms(**settings)
    found = how.events(how.score(probability, step_s=2.0), threshold=0.4, step_s=2.0)
    for before, after in pairwise(found):
        assert after.onset_s >= before.end_s + settings["refractory_s"]
    assert all(0 <= a.onset_s < a.end_s <= len(probability) * 2.0 for a in found)


@given(PROBABILITY)
def test_plain_alarms_are_the_steps_at_the_threshold(probability: Floats) -> None:
    found = alarms().events(alarms().score(probability, step_s=1.0), threshold=0.5, step_s=1.0)
    mask = np.zeros(len(probability), dtype=bool)
    for a in found:
        mask[round(a.onset_s) : round(a.end_s)] = True
    assert np.array_equal(mask, probability >= 0.5)


def spans(how: Alarms, score: list[float], step_s: float = 1.0) -> list[tuple[float, float]]:
    return [(a.onset_s, a.end_s) for a in how.events(np.array(score), threshold=0.5, step_s=step_s)]


def test_an_alarm_goes_on_until_it_is_released() -> None:
    score = [0.3, 0.6, 0.3, 0.3, 0.2, 0.3, 0.6]
    assert spans(alarms(), score) == [(1, 2), (6, 7)]
    assert spans(alarms(release=0.6), score) == [(1, 4), (6, 7)]
    # Nothing is known where there is no probability.
    assert spans(alarms(release=0.6), [0.6, np.nan, 0.4]) == [(0, 1)]


def test_an_alarm_ends_where_nothing_can_be_assessed_any_more() -> None:
    score = [0.6, 0.6, np.nan, np.nan, 0.6, 0.6, 0.1]
    for how in (alarms(), alarms(release=0.5), alarms(smoothing_s=1)):
        assert spans(how, score) == [(0, 2), (4, 6)]


def test_a_few_steps_in_the_midst_of_noise_raise_no_alarm() -> None:
    probability = np.full(60, np.nan)
    probability[[20, 21, 40]] = 1.0
    how = alarms(smoothing_s=10)
    assert np.isnan(how.score(probability, step_s=1.0)).all()
    # Half of the ten steps are enough.
    probability[20:26] = 1.0
    score = how.score(probability, step_s=1.0)
    assert np.flatnonzero(~np.isnan(score)).tolist() == [24, 25]
    assert [(a.onset_s, a.end_s) for a in how.events(score, threshold=0.5, step_s=1.0)] == [(24, 26)]


def test_an_alarm_is_raised_when_the_score_has_stayed_up() -> None:
    assert spans(alarms(min_duration_s=3), [0.6, 0.6, 0.1, 0.6, 0.6, 0.6, 0.6, 0.1]) == [(5, 7)]


def test_after_an_alarm_there_is_a_pause() -> None:
    score = [0.6, 0.1, 0.6, 0.1, 0.1, 0.6, 0.6, 0.1]
    assert spans(alarms(refractory_s=3), score) == [(0, 1), (5, 7)]
    assert spans(alarms(refractory_s=5), score) == [(0, 1), (6, 7)]


def test_who_always_looks_ictal_gets_a_threshold_of_their_own() -> None:
    rng = np.random.default_rng(0)
    probability = 0.6 + rng.normal(0, 0.02, 7200)
    probability[5000:5060] = 0.95
    plain, adaptive = alarms(), alarms(baseline_s=3600)
    assert (plain.score(probability, step_s=1.0) > 0.2).mean() > 0.99
    score = adaptive.score(probability, step_s=1.0)
    (found,) = adaptive.events(score, threshold=0.2, step_s=1.0)
    assert (found.onset_s, found.end_s) == (5000, 5060)


@pytest.mark.parametrize("change", [{"release": 2}, {"smoothing_s": -1}, {"baseline_quantile": "high"}])
def test_what_cannot_be_meant_is_refused(change: dict[str, float]) -> None:
    with pytest.raises(AuraError, match=r"^\w+=.* is (out of range|not a number); allowed is 0 to"):
        alarms(**change)
