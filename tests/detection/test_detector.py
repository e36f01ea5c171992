"""A detector as an object: it saves, loads, predicts and detects, and refuses wrong arguments in a sentence."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import RandomForestClassifier

from aura.config.compose import compose
from aura.core.errors import AuraError, InvalidInput
from aura.core.provenance import Origin
from aura.core.series import RRSeries
from aura.detection.alarms import Alarms
from aura.detection.detector import SeizureDetector, load_detector
from aura.features import FeatureSpec, extract_features, feature_names
from aura.learning.calibration import Calibration

SPEC = FeatureSpec(lengths_s=(("time_domain", (30.0,)),), step_s=4.0)
ALARMS = Alarms(smoothing_s=0, baseline_s=0, baseline_quantile=0.5, release=1, min_duration_s=0, refractory_s=0)


def make_rr(duration_s: float = 1200.0) -> RRSeries:
    """A heart at 60 bpm that races from 400 s to 500 s, and that is lost from 800 s to 900 s."""
    t_s, times_s = 0.0, []
    while t_s < duration_s - 1:
        t_s += 0.5 if 400 < t_s < 500 else 1.0
        times_s.append(t_s)
    beats_s = np.array(times_s)
    rr_ms = np.diff(beats_s, prepend=0.0) * 1000
    kept = (beats_s < 800) | (beats_s > 900)
    return RRSeries(beats_s[kept], rr_ms[kept], duration_s)


@pytest.fixture(scope="module")
def detector() -> SeizureDetector:
    windows = extract_features(make_rr(), SPEC)
    windows = windows.dropna()
    x, t_s = windows[feature_names(windows)].to_numpy(), windows["t_s"].to_numpy()
    model = RandomForestClassifier(5, random_state=0).fit(x, ((t_s > 420) & (t_s < 500)).astype(np.int64))
    return SeizureDetector(model, SPEC, Calibration(), ALARMS, 0.5, {}, {}, Origin("made", True))


@pytest.mark.slow
def test_a_loaded_detector_predicts_and_detects_the_same(detector: SeizureDetector, tmp_path: Path) -> None:
    detector.save(str(tmp_path / "new" / "folder"))
    loaded = load_detector(str(tmp_path / "new" / "folder"))
    rr = make_rr()
    pd.testing.assert_frame_equal(loaded.predict(rr), detector.predict(rr), check_exact=True)
    assert loaded.detect(rr) == detector.detect(rr)
    assert loaded.origin == detector.origin


def test_detect_returns_alarms_with_confidence_and_what_was_not_assessed(detector: SeizureDetector) -> None:
    detections = detector.detect(make_rr())
    (alarm,) = detections.alarms
    assert (alarm.onset_s, alarm.end_s) == pytest.approx((420, 500), abs=8)
    assert alarm.confidence == pytest.approx(1.0)
    begin, gap = detections.not_assessed[0], detections.not_assessed[-1]
    assert begin.onset_s == 0
    assert gap.onset_s == pytest.approx(812, abs=24)
    assert gap.end_s == pytest.approx(920, abs=24)


def test_a_recording_without_beats_is_not_assessed_at_all(detector: SeizureDetector) -> None:
    detections = detector.detect(RRSeries(np.zeros(0), np.zeros(0), 102.0))
    assert detections.alarms == ()
    assert [(event.onset_s, event.end_s) for event in detections.not_assessed] == [(0.0, 102.0)]


def test_wrong_arguments_are_refused_in_a_sentence(detector: SeizureDetector, tmp_path: Path) -> None:
    refusals = {
        "folder=3 is not a path; allowed is the folder of a detector": lambda: load_detector(3),  # type: ignore[arg-type]
        "folder=None is not a path": lambda: detector.save(None),  # type: ignore[arg-type]
        "rr='x' is not an RRSeries; allowed is RRSeries(": lambda: detector.predict("x"),  # type: ignore[arg-type]
        "rr=3 is not an RRSeries": lambda: detector.detect(3),  # type: ignore[arg-type]
        "rr has no interval": lambda: detector.predict(RRSeries(np.zeros(0), np.zeros(0), 10.0)),
        "windows=[1] is not a DataFrame": lambda: detector.probability([1]),  # type: ignore[arg-type]
        "runtime='torch'; allowed are sklearn, onnx": lambda: detector.save(tmp_path, runtime="torch"),
        "runtime='cuda'; allowed are sklearn, onnx": lambda: load_detector(tmp_path, runtime="cuda"),
    }
    for sentence, call in refusals.items():
        with pytest.raises(InvalidInput, match=re.escape(sentence)):
            call()


def test_a_folder_without_a_detector_is_named(tmp_path: Path) -> None:
    with pytest.raises(AuraError, match=r"folder=.* holds no detector: it has no file detector\.json"):
        load_detector(tmp_path)


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("release", 2, "release=2 is out of range; allowed is 0 to 1"),
        ("smoothing_s", -1, "smoothing_s=-1 is out of range; allowed is 0 to 86400"),
        ("baseline_quantile", "a", "baseline_quantile='a' is not a number; allowed is 0 to 1"),
    ],
)
def test_alarms_name_the_parameter_that_is_wrong(name: str, value: object, sentence: str) -> None:
    with pytest.raises(InvalidInput, match=f"^{re.escape(sentence)}$"):
        Alarms(**{**vars(ALARMS), name: value})  # type: ignore[arg-type]


def test_the_configuration_adds_its_key_to_the_parameter_that_is_wrong() -> None:
    with pytest.raises(AuraError, match=r"^alarms\.release=2 is out of range; allowed is 0 to 1$"):
        compose(["dataset=synthetic", "alarms.release=2"])
