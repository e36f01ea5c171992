"""Every argument of ``import aura``: a wrong one is refused in a sentence that begins with its name."""

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import aura
from aura.core.errors import AuraError, InvalidInput
from aura.core.provenance import Origin
from aura.detection.alarms import Alarms
from aura.detection.detector import SeizureDetector
from aura.learning.calibration import Calibration

RR = aura.read_rr({"rr_ms": [800.0] * 30})
SPEC = aura.FeatureSpec(lengths_s={"time_domain": [10]}, step_s=5.0)
EVENTS = [aura.Event(1.0, 2.0)]
FORECASTING = {"horizon_s": 1.0, "occurrence_s": 2.0, "postictal_s": 1.0, "min_overlap": 0.5}
WINDOWS = {"end_s": [1.0, 2.0], "step_s": 1.0, "seizures": EVENTS}
RULES = Alarms(smoothing_s=0, baseline_s=0, baseline_quantile=0, release=1, min_duration_s=0, refractory_s=0)
# Values that are wrong for most arguments; where one is allowed, the call has to succeed.
ODD: tuple[Any, ...] = (
    "a",
    b"a",
    3,
    -1,
    np.nan,
    1j,
    None,
    True,
    [],
    ["a"],
    [3],
    [None],
    {},
    {"a": 1},
    np.zeros((2, 2)),
)
TABLE = pd.DataFrame({"recording": ["r"]})
# Any folder without a detector, or without a corpus.
HERE = Path(__file__).parent


class Model:
    """Classifies nothing as a seizure."""

    def predict_proba(self, x: np.ndarray) -> np.ndarray:
        return np.tile([1.0, 0.0], (len(x), 1))


def make_stream() -> aura.FeatureStream:
    stream = aura.FeatureStream(SPEC)
    stream.push(0.8, 800.0)
    return stream


@cache
def make_ecg() -> aura.Ecg:
    return aura.Ecg.from_array(np.sin(np.arange(2000) / 20), 100.0)


def make_detector() -> SeizureDetector:
    parts = {"calibration": Calibration(), "alarms": RULES, "threshold": 0.5, "origin": Origin()}
    return SeizureDetector(model=Model(), spec=SPEC, labels={}, beats={}, **parts)  # type: ignore[arg-type]


def fields(value: Any) -> dict[str, Any]:
    """The constructor's arguments that make this value again."""
    return {name: getattr(value, name) for name in value.__dataclass_fields__}


def calls() -> Mapping[str, tuple[Callable[..., object], Mapping[str, Any]]]:
    """Every public function and method that takes arguments, with allowed ones."""
    spec, ecg, detector, stream = SPEC, make_ecg(), make_detector(), make_stream()
    detection, forecasting = aura.Detection(0.5, 60.0), aura.Forecasting(**FORECASTING)
    corpus = {"folder": HERE, "recordings": TABLE, "run_id": "r", "channels": "c", "root": None}
    ecg_fields = {name: value for name, value in fields(ecg).items() if name in ECG_FIELDS}
    return {
        "Detection": (aura.Detection, {"min_overlap": 0.5, "postictal_s": 60.0}),
        "Detection()": (detection, WINDOWS),
        "Detection.targets": (detection.targets, {"seizures": EVENTS}),
        "Ecg": (aura.Ecg, ecg_fields),
        "Ecg.from_array": (aura.Ecg.from_array, {"x_mv": [0.0] * 9, "fs_hz": 100, "channel": "ECG", "start": None}),
        "Ecg.mv": (ecg.mv, {"first": 0, "stop": 9}),
        "Event": (aura.Event, {"onset_s": 1, "duration_s": np.float32(2), "kind": "seiz", "confidence": np.int64(1)}),
        "FeatureSpec": (aura.FeatureSpec, fields(spec)),
        "FeatureSpec.from_dict": (aura.FeatureSpec.from_dict, {"values": spec.to_dict()}),
        "FeatureSpec.parameters": (spec.parameters, {"family": "entropy"}),
        "FeatureStream": (aura.FeatureStream, {"spec": spec}),
        "FeatureStream.push": (lambda **words: make_stream().push(**words), {"t_s": 1.6, "rr_ms": np.int64(800)}),
        "FeatureStream.advance": (lambda **words: make_stream().advance(**words), {"now_s": 9}),
        "FeatureStream.restore": (lambda **words: make_stream().restore(**words), {"state": stream.state()}),
        "Forecasting": (aura.Forecasting, FORECASTING),
        "Forecasting()": (forecasting, WINDOWS),
        "Forecasting.targets": (forecasting.targets, {"seizures": EVENTS}),
        "PreparedCorpus": (aura.PreparedCorpus, corpus),
        "PreparedCorpus.open": (aura.PreparedCorpus.open, {"folder": HERE, "root": None}),
        "PreparedCorpus.find": (aura.PreparedCorpus.find, {"folder": HERE, "channels": "c", "root": None}),
        "RRSeries": (aura.RRSeries, {"t_s": [1.0], "rr_ms": [800], "duration_s": np.float32(2)}),
        "SeizureDetector": (SeizureDetector, fields(detector)),
        "SeizureDetector.probability": (detector.probability, {"windows": aura.extract_features(RR, spec)}),
        "SeizureDetector.predict": (detector.predict, {"rr": RR}),
        "SeizureDetector.detect": (detector.detect, {"rr": RR}),
        "SeizureDetector.save": (detector.save, {"folder": HERE, "runtime": "sklearn"}),
        "SeizureDetector.requirements": (detector.requirements, {"runtime": "sklearn"}),
        "compose": (aura.compose, {"overrides": ["seed=1"]}),
        "detect_beats": (aura.detect_beats, {"ecg": ecg, "detector": "sleepecg"}),
        "extract_features": (aura.extract_features, {"rr": RR, "spec": spec, "from_s": 0, "until_s": np.inf}),
        "load_detector": (aura.load_detector, {"folder": HERE, "runtime": "onnx"}),
        "read_ecg": (aura.read_ecg, {"source": HERE / "none.edf", "channels": ["*"], "unit": "mV"}),
        "read_rr": (aura.read_rr, {"table": {"rr_ms": [800.0]}, "duration_s": 9}),
        "rr_from_beats": (aura.rr_from_beats, {"beats_s": [1, 2], "duration_s": 9, "unusable": EVENTS}),
        "rr_from_peaks": (aura.rr_from_peaks, {"r_peaks": [100, 200], "fs_hz": 100, "duration_s": 9}),
    }


ECG_FIELDS = ("digital", "mv_per_step", "zero_mv", "limits", "fs_hz", "channel", "start", "segments")
# Calls that end in another AuraError even with allowed arguments, since there is no such file, and one that writes.
WITHOUT_FILES = ("PreparedCorpus.open", "load_detector", "read_ecg", "SeizureDetector.save")
ARGUMENTS = [(name, argument) for name, (_, allowed) in calls().items() for argument in allowed]


def test_every_public_name_is_called() -> None:
    assert {name.split(".")[0].rstrip("()") for name in calls()} == set(aura.__all__)


@pytest.mark.parametrize("name", [name for name in calls() if name not in WITHOUT_FILES])
def test_allowed_arguments_are_taken(name: str) -> None:
    call, allowed = calls()[name]
    call(**allowed)


@pytest.mark.parametrize(("name", "argument"), ARGUMENTS)
def test_a_wrong_argument_is_refused_by_its_name(name: str, argument: str) -> None:
    call, allowed = calls()[name]
    with pytest.raises(InvalidInput, match=f"^{argument}\\b") as error:
        call(**{**allowed, argument: object()})
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("name", "argument"), ARGUMENTS)
def test_an_odd_value_is_taken_or_refused_in_a_sentence(
    name: str, argument: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for value in ODD:
        call, allowed = calls()[name]
        try:
            call(**{**allowed, argument: value})
        except AuraError as error:
            says = str(error)
            assert "\n" not in says, value
