"""An ECG and RR intervals from what a notebook holds."""

from datetime import UTC, datetime
from pathlib import Path

import mne
import numpy as np
import pandas as pd
import pytest
import wfdb

import aura
from aura.assembly import build_preparation
from aura.core.arrays import Floats
from aura.core.errors import AuraError, InvalidInput, RecordingError
from aura.core.recordings import Ecg
from aura.corpora.discovery import find_recordings
from aura.ecg.quality import find_unusable
from aura.formats.edf_writer import Channel, write_edf
from tests.support.made_ecg import FS_HZ, place_beats, steady_beats

START = datetime(2024, 3, 1, 22, 30)


@pytest.fixture(scope="module")
def samples_mv() -> Floats:
    """Two minutes of a synthetic ECG."""
    return place_beats(steady_beats(75.0, 0.5, 119.5), 120.0)


def test_an_array_is_kept_to_a_microvolt(samples_mv: Floats) -> None:
    ecg = aura.Ecg.from_array(samples_mv, FS_HZ)
    assert ecg.duration_s == pytest.approx(len(samples_mv) / FS_HZ)
    assert np.abs(ecg.mv(0, len(samples_mv)) - samples_mv).max() < 1e-3
    assert ecg.gaps() == ()


def test_nan_becomes_a_gap(samples_mv: Floats) -> None:
    samples_mv = samples_mv.copy()
    samples_mv[int(30 * FS_HZ) : int(40 * FS_HZ)] = np.nan
    ecg = Ecg.from_array(samples_mv, FS_HZ)
    (gap,) = ecg.gaps()
    assert (gap.onset_s, gap.duration_s) == pytest.approx((30, 10))
    assert ecg.duration_s == pytest.approx(120)
    beats_s, undetectable = aura.detect_beats(ecg)
    assert not ((beats_s > 30.5) & (beats_s < 39.5)).any()
    assert [event.kind for event in find_unusable(ecg, flat_mv=0.01, max_mv=10)] == ["gap"]
    assert undetectable == ()


@pytest.mark.parametrize(
    ("x_mv", "fs_hz", "message"),
    [
        ("abc", 250, "x_mv is of the type str"),
        ([[1.0, 2.0]], 250, r"x_mv has the shape \(1, 2\); allowed is \(n_samples,\)"),
        ([np.nan, np.nan], 250, "x_mv holds 2 samples, none of them a number"),
        ([1.0, np.inf], 250, "x_mv is infinite at sample 1"),
        ([1.0, 2.0], 5, "fs_hz=5 is out of range; allowed is 61 to 100000"),
        ([1.0, 2.0], "fast", "fs_hz='fast' is not a number"),
    ],
)
def test_an_array_that_is_no_ecg_gets_a_sentence(x_mv: object, fs_hz: object, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        Ecg.from_array(x_mv, fs_hz)  # type: ignore[arg-type]


def test_edf_mne_and_wfdb_give_the_same_beats(samples_mv: Floats, tmp_path: Path) -> None:
    write_edf(tmp_path / "a.edf", [Channel("ECG II", samples_mv * 1000, int(FS_HZ))], start=START)
    info = mne.create_info(["EEG Fp1", "ECG II"], FS_HZ, "misc")
    raw = mne.io.RawArray(np.array([samples_mv * 0, samples_mv / 1000]), info, verbose="error")
    raw.set_meas_date(START.replace(tzinfo=UTC))
    wfdb.wrsamp(
        "a",
        fs=FS_HZ,
        units=["uV", "mV"],
        sig_name=["resp", "ECG II"],
        p_signal=np.array([samples_mv * 0, samples_mv]).T,
        fmt=["16", "16"],
        write_dir=str(tmp_path),
        base_datetime=START,
    )
    record = wfdb.rdrecord(str(tmp_path / "a"))
    expected, _ = aura.detect_beats(aura.read_ecg(tmp_path / "a.edf"))
    for source in (str(tmp_path / "a.edf"), raw, record):
        ecg = aura.read_ecg(source)
        assert (ecg.channel, ecg.start, ecg.fs_hz) == ("ECG II", START, FS_HZ)
        beats_s, _ = aura.detect_beats(ecg)
        assert len(beats_s) == len(expected) > 100
        assert np.abs(beats_s - expected).max() < 2 / FS_HZ


def test_a_missing_channel_is_answered_with_those_there_are(tmp_path: Path) -> None:
    raw = mne.io.RawArray(np.zeros((1, 1000)), mne.create_info(["EEG Fp1"], 250.0, "misc"), verbose="error")
    with pytest.raises(InvalidInput, match="match none of the channels, which are EEG Fp1"):
        aura.read_ecg(raw)
    with pytest.raises(InvalidInput, match=r"^channels is a list of patterns; write \['ECG'\]"):
        aura.read_ecg(raw, channels="ECG")
    with pytest.raises(InvalidInput, match=r"^source is of the type int; allowed are the path of an EDF file"):
        aura.read_ecg(3)


def test_messages_name_the_argument_here_and_the_key_in_a_configuration(tmp_path: Path) -> None:
    (tmp_path / "p").mkdir()
    ecg = Channel("EEG", np.zeros(2560), 256)
    write_edf(tmp_path / "p" / "a.edf", [ecg], start=datetime(2020, 1, 1))
    with pytest.raises(RecordingError, match=r"^a.edf: none of its channels \['EEG'\] matches channels, \['ECG'\]$"):
        aura.read_ecg(tmp_path / "p" / "a.edf", channels=["ECG"])
    with pytest.raises(InvalidInput, match=r"^unit='kV'; allowed are nV, uV, mV, V"):
        aura.read_ecg(tmp_path / "p" / "a.edf", unit="kV")
    config = aura.compose(["dataset=any", f"dataset.root={tmp_path}", "dataset.channels=[ECG]"])
    ref = find_recordings(tmp_path, config.dataset.layouts, "any").refs[0]
    with pytest.raises(RecordingError, match=r"matches dataset.channels, \['ECG'\]$"):
        build_preparation(config).prepare(ref)


def test_rr_intervals_from_a_table() -> None:
    rr = aura.read_rr(pd.DataFrame({"t_s": [1.0, 1.8], "rr_ms": [800, 800]}), duration_s=3)
    assert (rr.t_s.tolist(), rr.rr_ms.tolist(), rr.duration_s) == ([1.0, 1.8], [800.0, 800.0], 3.0)
    for table, message in (
        (3, "table is of the type int"),
        ({"ms": [800]}, "table has the columns ms; needed is rr_ms"),
        ({"rr_ms": ["a"]}, "table holds values that are not numbers"),
        ({"rr_ms": [-1]}, "rr_ms must be positive"),
    ):
        with pytest.raises(AuraError, match=f"^{message}"):
            aura.read_rr(table)
