"""Beats that arrive one by one give the rows of the batch."""

from dataclasses import replace

import hypothesis.extra.numpy as hnp
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aura.core.arrays import Floats
from aura.core.errors import AuraError
from aura.core.series import RRSeries
from aura.features import FeatureSpec, FeatureStream, extract_features
from aura.features.spec import CLEANINGS
from tests.support.rr import SPEC, heart


def streamed(rr: RRSeries, spec: FeatureSpec) -> pd.DataFrame:
    stream = FeatureStream(spec)
    parts = [stream.push(float(t_s), float(rr_ms)) for t_s, rr_ms in zip(rr.t_s, rr.rr_ms, strict=True)]
    return pd.concat([*parts, stream.advance(rr.duration_s)], ignore_index=True)


@pytest.mark.parametrize("cleaning", CLEANINGS)
@pytest.mark.parametrize("step_s", [0.1, 0.7, 1.0, 5.0])
def test_a_stream_gives_the_rows_of_the_batch(step_s: float, cleaning: str) -> None:
    rr, spec = heart(400), replace(SPEC, step_s=step_s, cleaning=cleaning)
    pd.testing.assert_frame_equal(streamed(rr, spec), extract_features(rr, spec), rtol=1e-12, atol=1e-12)


INTERVALS = hnp.arrays(np.float64, st.integers(1, 60), elements=st.floats(200, 2500))
PAUSES = hnp.arrays(np.float64, 60, elements=st.sampled_from([0.0, 0.0, 0.0, 0.2, 20.0, 200.0]))


@settings(max_examples=60)
@given(INTERVALS, PAUSES, st.sampled_from([0.5, 1.0, 3.0]), st.sampled_from(CLEANINGS))
def test_whatever_the_beats_are(rr_ms: Floats, pauses_s: Floats, step_s: float, cleaning: str) -> None:
    t_s = np.cumsum(rr_ms / 1000 + pauses_s[: len(rr_ms)])
    rr = RRSeries(t_s, rr_ms.copy(), float(t_s[-1]) + 2.0)
    lengths_s = (("time_domain", (10.0,)), ("poincare", (30.0,)), ("robust", (10.0,)), ("adaptive", (60.0,)))
    spec = replace(SPEC, lengths_s=lengths_s, step_s=step_s, cleaning=cleaning)
    pd.testing.assert_frame_equal(streamed(rr, spec), extract_features(rr, spec), rtol=1e-12, atol=1e-12)


def test_beats_on_the_ends_of_windows_are_in_them() -> None:
    rr = RRSeries(np.arange(1.0, 41.0), np.full(40, 1000.0), 40.0)
    spec = replace(SPEC, lengths_s=(("time_domain", (10.0,)),))
    pd.testing.assert_frame_equal(streamed(rr, spec), extract_features(rr, spec))


def test_the_memory_is_bounded() -> None:
    spec = replace(SPEC, lengths_s=(("time_domain", (10.0,)),), step_s=10.0)
    stream = FeatureStream(spec)
    most = 0
    for i in range(1, 20_001):
        stream.push(0.8 * i, 800.0)
        most = max(most, len(stream._rr))
    # Of a window and the step that is under way.
    assert most <= 20 / 0.8 + 1


def test_a_column_that_is_added_to_a_row_is_in_no_other() -> None:
    stream = FeatureStream(SPEC)
    row = stream.push(1.0, 800.0)
    row["mine"] = 1.0
    assert "mine" not in stream.push(1.8, 800.0)


@pytest.mark.parametrize(
    ("t_s", "rr_ms"),
    [
        (0.5, 800.0),
        (1.0, 800.0),
        (2.0, 0.8),
        (2.0, 1800.0),
        (2.0, 0.0),
        (2.0, float("nan")),
        (float("inf"), 800.0),
        (1e6, 800.0),
    ],
)
def test_what_is_no_interval_is_refused(t_s: float, rr_ms: float) -> None:
    stream = FeatureStream(SPEC)
    stream.push(1.0, 800.0)
    with pytest.raises(AuraError):
        stream.push(t_s, rr_ms)
