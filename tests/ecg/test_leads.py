"""Which channel is taken for the ECG, and what is said where none shows a heart."""

from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aura.assembly import build_preparation
from aura.config.compose import compose
from aura.core.arrays import Floats
from aura.core.errors import RecordingError
from aura.core.recordings import RecordingRef
from aura.ecg.beat_detectors import sleepecg
from aura.formats.edf import read_ecg
from aura.formats.edf_writer import Channel, write_edf
from tests.support.made_ecg import FS_HZ, place_beats, steady_beats

DURATION_S = 120
BEATS_S = steady_beats(75, 0.5, DURATION_S - 0.5)
GOOD = place_beats(BEATS_S, DURATION_S)
TIME_S = np.arange(DURATION_S * FS_HZ) / FS_HZ


def noise(seed: int, height_mv: float = 0.2) -> Floats:
    return np.random.default_rng(seed).normal(0, height_mv, DURATION_S * FS_HZ)


HEART_RATE = np.repeat(75 + np.random.default_rng(3).integers(-3, 4, DURATION_S), FS_HZ) / 100
NO_LEADS = {
    "noise": noise(0),
    "heart rate": HEART_RATE,
    "marker": (TIME_S % 30 < 0.2).astype(float),
    "flat": np.zeros(DURATION_S * FS_HZ),
    "slow": 0.5 * np.sin(2 * np.pi * 0.25 * TIME_S) + noise(4, 0.005),
}


def prepare(folder: Path, leads: dict[str, Floats], channels: list[str] | None = None) -> dict[str, Any]:
    """The row of a recording that has these leads, in mV."""
    edf = folder / "night.edf"
    write_edf(edf, [Channel(label, x_mv * 1000, FS_HZ) for label, x_mv in leads.items()], start=datetime(2020, 1, 1))
    ref = RecordingRef("any", "s1", "", "night", edf, None, None, "plain")
    config = compose(["dataset=any", f"dataset.root={folder}"])
    config.dataset.channels = channels or config.dataset.channels
    return build_preparation(config).prepare(ref).facts


@pytest.mark.parametrize("what", NO_LEADS)
def test_a_lead_with_a_heartbeat_is_preferred(what: str, tmp_path: Path) -> None:
    row = prepare(tmp_path, {"ECG I": NO_LEADS[what], "ECG II": GOOD, "ECG III": 0.5 * GOOD + noise(1, 0.01)})
    assert row["channel"] == "ECG II"
    assert (row["n_beats"], row["usable_share"]) == (len(BEATS_S), 1.0)
    assert (row["normal_share"], row["remarks"]) == (1.0, "several_channels;no_annotations")
    assert row["alike_share"] > 0.97


@pytest.mark.parametrize("what", NO_LEADS)
def test_a_recording_without_a_heartbeat_is_refused(what: str, tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="nothing of channel 'ECG I' can be used: ") as error:
        prepare(tmp_path, {"ECG I": NO_LEADS[what], "ECG II": noise(2)})
    assert error.value.reason == "unusable_ecg"


def test_leads_with_the_same_label_are_distinguished_by_number(tmp_path: Path) -> None:
    edf = tmp_path / "night.edf"
    leads = [Channel("ECG", x_mv * 1000, FS_HZ) for x_mv in (noise(0), GOOD)]
    write_edf(edf, leads, start=datetime(2020, 1, 1))
    ref = RecordingRef("any", "s1", "", "night", edf, None, None, "plain")
    row = build_preparation(compose(["dataset=any", f"dataset.root={tmp_path}"])).prepare(ref).facts
    assert (row["channel"], row["signal"], row["n_beats"]) == ("ECG", 1, len(BEATS_S))
    ecg = read_ecg(edf, ["ECG"], signal=1)
    assert ecg.signal == 1
    np.testing.assert_allclose(ecg.mv(0, len(GOOD)), GOOD, atol=5 / 32767)
    assert read_ecg(edf).signal == 0


@pytest.mark.parametrize(("label", "signal"), [("EKG", 0), ("ECG", 1), ("ECG", 2), ("ECG", -1)])
def test_a_signal_whose_label_does_not_match_is_refused(label: str, signal: int, tmp_path: Path) -> None:
    edf = tmp_path / "night.edf"
    write_edf(edf, [Channel(name, GOOD * 1000, FS_HZ) for name in ("ECG", "EKG")], start=datetime(2020, 1, 1))
    with pytest.raises(RecordingError) as error:
        read_ecg(edf, [label], signal=signal)
    assert error.value.reason == "no_ecg_channel"
    assert error.value.message.startswith(f"signal {signal} matches none of ['{label}']; the signals that do are [")


def test_the_preferred_good_lead_is_used(tmp_path: Path) -> None:
    leads = {"ECG II": GOOD, "ECG I": 0.3 * GOOD + noise(1, 0.01), "EKG": GOOD}
    assert prepare(tmp_path, leads, ["ECG I", "*"])["channel"] == "ECG I"
    assert prepare(tmp_path, leads, ["*ECG*"])["channel"] == "ECG II"


def test_numbered_leads_are_used_if_the_named_one_is_noise(tmp_path: Path) -> None:
    """As in the Siena corpus."""
    assert prepare(tmp_path, {"EKG EKG": noise(0), "1": noise(1), "2": GOOD})["channel"] == "2"
    assert prepare(tmp_path, {"1": GOOD, "2": GOOD, "EKG EKG": GOOD})["channel"] == "EKG EKG"


def test_a_stretch_without_beats_is_unusable(tmp_path: Path) -> None:
    beats_s = BEATS_S[(BEATS_S < 40) | (BEATS_S > 80)]
    row = prepare(tmp_path, {"ECG": place_beats(beats_s, DURATION_S)})
    assert row["usable_share"] == pytest.approx(2 / 3, abs=0.02)
    assert row["normal_share"] == 1.0


def test_beats_that_are_other_waves_are_doubtful(tmp_path: Path) -> None:
    edf = tmp_path / "night.edf"
    write_edf(edf, [Channel("ECG", GOOD * 1000, FS_HZ)], start=datetime(2020, 1, 1))
    ref = RecordingRef("any", "s1", "", "night", edf, None, None, "plain")

    def with_t_waves(ecg_mv: Floats, fs_hz: float) -> Any:
        peaks = sleepecg(ecg_mv, fs_hz)
        return np.sort(np.concatenate((peaks, peaks[::3] + int(0.28 * fs_hz))))

    for detector, doubtful in ((sleepecg, False), (with_t_waves, True)):
        how = build_preparation(compose(["dataset=any", f"dataset.root={tmp_path}"]))
        row = replace(how, detector=detector).prepare(ref).facts
        assert ("doubtful_beats" in row["remarks"].split(";")) is doubtful
        assert (row["normal_share"] < 0.9) is doubtful


def test_a_second_detector_does_not_hide_doubtful_beats(tmp_path: Path) -> None:
    """It disputes each stretch with T waves among the beats, and leaves only normal intervals."""
    edf = tmp_path / "night.edf"
    write_edf(edf, [Channel("ECG", GOOD * 1000, FS_HZ)], start=datetime(2020, 1, 1))
    ref = RecordingRef("any", "s1", "", "night", edf, None, None, "plain")

    def with_some_t_waves(ecg_mv: Floats, fs_hz: float) -> Any:
        peaks = sleepecg(ecg_mv, fs_hz)
        chosen = (peaks / fs_hz % 20 < 10) & (np.random.default_rng(3).random(len(peaks)) < 0.5)
        return np.sort(np.concatenate((peaks, peaks[chosen] + int(0.28 * fs_hz))))

    rows = []
    for words in ([], ["quality=two_detectors", "quality.min_agreement=0.9"]):
        how = build_preparation(compose(["dataset=any", f"dataset.root={tmp_path}", *words]))
        prepared = replace(how, detector=with_some_t_waves).prepare(ref)
        rows.append(prepared.facts)
    assert rows[1]["usable_share"] == 0.5
    # The intervals that are left are those of 75 bpm.
    assert ((prepared.rr.rr_ms >= 770) & (prepared.rr.rr_ms <= 830)).all()
    assert rows[0]["normal_share"] == rows[1]["normal_share"] < 0.8
    assert [row["remarks"] for row in rows] == ["doubtful_beats;no_annotations"] * 2


def test_premature_beats_are_not_doubtful(tmp_path: Path) -> None:
    beats_s = BEATS_S.copy()
    beats_s[5::5] -= 0.3
    row = prepare(tmp_path, {"ECG": place_beats(beats_s, DURATION_S)})
    assert row["normal_share"] < 0.9
    assert "doubtful_beats" not in row["remarks"]


def test_an_inverted_ecg_has_the_same_beats(tmp_path: Path) -> None:
    upright, inverted = (prepare(tmp_path, {"ECG": sign * GOOD}) for sign in (1, -1))
    names = ("n_beats", "usable_share", "normal_share", "remarks")
    assert [upright[name] for name in names] == [inverted[name] for name in names]
