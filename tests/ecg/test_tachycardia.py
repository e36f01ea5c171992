"""A seizure at 220 bpm, from the EDF to its features and to an alarm of a trained model."""

from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

from aura.assembly import open_prepared
from aura.cli import main
from aura.config.compose import compose
from aura.core.arrays import Floats
from aura.features import FeatureSpec, extract_features
from aura.formats.edf_writer import Channel, write_edf
from aura.formats.tse import read_tse
from tests.support.made_ecg import FS_HZ, place_beats
from tests.support.project import SMALL_WORK, Project

pytestmark = pytest.mark.integration

ONSET_S, END_S, DURATION_S = 400.0, 470.0, 800.0


def beats_of_a_seizure() -> Floats:
    """75 bpm, 220 bpm at the peak of the seizure, reached in about 10 s, and back in about 60 s."""
    time_s = np.arange(0, DURATION_S, 0.001)
    up = 1 - np.exp(-np.clip(time_s - ONSET_S, 0, None) / 4)
    down = np.exp(-np.clip(time_s - END_S, 0, None) / 20)
    breathing = 1 + 0.03 * np.sin(2 * np.pi * 0.25 * time_s) * (1 - 0.8 * up * down)
    turns = np.cumsum((75 + 145 * up * down) * breathing) / 60 * 0.001
    beats_s: Floats = np.interp(np.arange(1, int(turns[-1])), turns, time_s)
    return beats_s


@pytest.fixture(scope="module")
def edf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    edf = tmp_path_factory.mktemp("tachycardia") / "night.edf"
    ecg_uv = place_beats(beats_of_a_seizure(), DURATION_S) * 1000
    write_edf(edf, [Channel("ECG", ecg_uv, FS_HZ)], start=datetime(2020, 1, 1, 22))
    return edf


@pytest.mark.parametrize("quality", ["single_detector", "two_detectors"])
def test_a_heart_at_220_bpm_has_features(edf: Path, tmp_path: Path, quality: str) -> None:
    words = ["dataset=plain", f"dataset.root={edf.parent}", f"workspace={tmp_path}", f"quality={quality}"]
    assert main(["prepare", *words, "compute=serial"]) == 0
    (recording,) = open_prepared(compose(words)).values()
    row = recording.row
    assert row["usable_share"] == 1.0
    assert row["normal_share"] > 0.99
    features = extract_features(recording.rr, FeatureSpec())
    peak = features[(features["t_s"] > ONSET_S + 30) & (features["t_s"] < END_S)]
    assert peak["mean_hr__10s"].to_numpy() == pytest.approx(np.full(len(peak), 220.0), abs=1.5)
    assert (peak["corrected"] < 0.02).all()
    assert peak.notna().all(axis=None)


def test_a_trained_model_raises_an_alarm(edf: Path, tmp_path: Path, trained: Project) -> None:
    words = [f"edf={edf}", "model=models:/aura-seizure-detector-synthetic@champion", f"output={tmp_path / 'found'}"]
    assert main(["detect", *words, f"workspace={tmp_path}", "compute=serial", *SMALL_WORK[:1]]) == 0
    events = read_tse(tmp_path / "found" / "night.tse_bi")
    seizures = [event for event in events if event.kind == "seiz"]
    assert any(event.onset_s < END_S and event.end_s > ONSET_S for event in seizures)
    assert not any(event.kind == "null" and event.onset_s > 20 for event in events)
