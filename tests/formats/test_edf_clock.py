"""Where the records of EDF+ files are placed in time, whatever their stamps say."""

from pathlib import Path

import numpy as np
import pytest

from aura.assembly import build_preparation
from aura.config.compose import compose
from aura.core.errors import RecordingError
from aura.core.recordings import Ecg
from aura.corpora.discovery import find_recordings
from aura.formats.edf import read_ecg
from aura.formats.edf_clock import JITTER_S, _longest_chain
from tests.support.edf_stamps import FS_HZ, START, write_stamped_edf

BLANK = b""


def seconds(n: int, first_s: float = 0.0) -> list[float | bytes]:
    return [first_s + second for second in range(n)]


def runs(ecg: Ecg) -> list[tuple[float, float, float]]:
    """First and last record of each segment, and its onset on the clock."""
    return [(s.first / FS_HZ, s.stop / FS_HZ, round(s.onset_s, 3)) for s in ecg.segments]


def test_gaps_of_edf_plus_d_stay_gaps_on_the_clock(tmp_path: Path) -> None:
    ecg = read_ecg(write_stamped_edf(tmp_path / "a.edf", [0.25, 1.25, 60.25, 61.25, 62.25]))
    assert runs(ecg) == [(0, 2, 0.0), (2, 5, 60.0)]
    assert ecg.duration_s == 63.0
    assert ecg.start == START.replace(microsecond=250_000)
    assert ecg.remarks == ("gaps",)


@pytest.mark.parametrize("kind", [b"EDF+C", b""])
def test_the_first_stamp_of_a_contiguous_file_is_a_fraction_of_a_second(tmp_path: Path, kind: bytes) -> None:
    ecg = read_ecg(write_stamped_edf(tmp_path / "a.edf", [0.5, 1.5], kind))
    assert runs(ecg) == [(0, 2, 0.0)]
    assert ecg.start == START.replace(microsecond=500_000)
    assert ecg.remarks == ()


@pytest.mark.parametrize("kind", [b"EDF+C", b"", b"EDF"])
def test_a_gap_in_a_file_that_claims_to_be_contiguous_is_kept(tmp_path: Path, kind: bytes) -> None:
    ecg = read_ecg(write_stamped_edf(tmp_path / "a.edf", [*seconds(60), *seconds(60, 80)], kind))
    assert runs(ecg) == [(0, 60, 0.0), (60, 120, 80.0)]
    assert (ecg.duration_s, ecg.remarks) == (140.0, ("undeclared_gaps", "gaps"))


@pytest.mark.parametrize("kind", [b"EDF+ D", b"edf+d", b"  EDF+D", b" Edf +d ", b"EDF+D\0\0"])
def test_edf_plus_d_is_known_in_any_spelling(tmp_path: Path, kind: bytes) -> None:
    ecg = read_ecg(write_stamped_edf(tmp_path / "a.edf", [*seconds(60), *seconds(60, 80)], kind))
    assert runs(ecg) == [(0, 60, 0.0), (60, 120, 80.0)]
    assert ecg.remarks == ("gaps",)


@pytest.mark.parametrize(
    "stamps",
    [
        [0.0] * 120,
        [BLANK] * 120,
        [float(-second) for second in range(120)],
        [1000.0 * second for second in range(120)],
        [float(second * 7919 % 120) for second in range(120)],
        [0.0, *[BLANK] * 118, 3.0],
    ],
    ids=["equal", "missing", "falling", "milliseconds", "shuffled", "nearly none"],
)
def test_invalid_stamps_leave_a_contiguous_file_contiguous(tmp_path: Path, stamps: list[float | bytes]) -> None:
    ecg = read_ecg(write_stamped_edf(tmp_path / "a.edf", stamps, b"EDF+C"))
    assert runs(ecg) == [(0, 120, 0.0)]
    assert (ecg.start, ecg.remarks) == (START, ("bad_stamps",))


@pytest.mark.parametrize("stamps", [[0.0] * 120, [BLANK] * 120, [float(-second) for second in range(120)]])
def test_invalid_stamps_are_refused_where_a_file_has_gaps(tmp_path: Path, stamps: list[float | bytes]) -> None:
    with pytest.raises(RecordingError, match="its time stamps are missing or do not rise") as error:
        read_ecg(write_stamped_edf(tmp_path / "a.edf", stamps))
    assert error.value.reason == "bad_clock"


@pytest.mark.parametrize("record", [0, 1, 50, 118])
@pytest.mark.parametrize("stamp", [BLANK, b"rubbish", 1e9, -7200.0, 3.25], ids=["none", "text", "far", "back", "odd"])
@pytest.mark.parametrize("kind", [b"EDF+D", b"EDF+C"])
def test_one_wrong_stamp_costs_nothing_between_right_ones(
    tmp_path: Path, record: int, stamp: float | bytes, kind: bytes
) -> None:
    stamps = seconds(120)
    stamps[record] = stamp
    ecg = read_ecg(write_stamped_edf(tmp_path / "a.edf", stamps, kind))
    assert runs(ecg) == [(0, 120, 0.0)]
    assert ecg.n_excluded == 0


def test_a_record_that_could_be_anywhere_in_a_gap_is_excluded_and_counted(tmp_path: Path) -> None:
    stamps = [*seconds(60), BLANK, BLANK, *seconds(60, 80)]
    ecg = read_ecg(write_stamped_edf(tmp_path / "a.edf", stamps))
    assert runs(ecg) == [(0, 60, 0.0), (62, 122, 80.0)]
    assert (ecg.n_excluded, ecg.remarks) == (2, ("bad_stamps", "excluded_records", "gaps"))


def test_stamps_that_end_early_leave_what_came_before(tmp_path: Path) -> None:
    ecg = read_ecg(write_stamped_edf(tmp_path / "a.edf", [*seconds(30), *[BLANK] * 90]))
    assert (runs(ecg), ecg.n_excluded) == ([(0, 30, 0.0)], 90)


@pytest.mark.parametrize(
    ("back_s", "n_lost"), [(0.015, 0), (0.03, 1), (1.0, 1), (5.5, 6), (59.0, 59)], ids=lambda value: str(value)
)
def test_a_clock_set_back_costs_the_records_that_overlap(tmp_path: Path, back_s: float, n_lost: int) -> None:
    n = 600
    ecg = read_ecg(write_stamped_edf(tmp_path / "a.edf", [*seconds(300), *seconds(300, 300 - back_s)]))
    assert ecg.n_excluded == n_lost
    assert sum(segment.stop - segment.first for segment in ecg.segments) == (n - n_lost) * FS_HZ
    # The rest keeps the time of its stamps.
    assert ecg.duration_s == pytest.approx(n - (back_s if n_lost else 0.0))


@pytest.mark.parametrize("back_s", [100.0, 3600.0, 86_400.0])
def test_a_clock_set_back_by_more_goes_on_from_where_it_was(tmp_path: Path, back_s: float) -> None:
    ecg = read_ecg(write_stamped_edf(tmp_path / "a.edf", [*seconds(300), *seconds(300, 300 - back_s)]))
    assert runs(ecg) == [(0, 600, 0.0)]
    assert (ecg.n_excluded, ecg.remarks) == (0, ("clock_set_back",))


def test_a_clock_that_is_set_back_often_does_not_drift_away_from_its_stamps(tmp_path: Path) -> None:
    # 30 ms each 20 s: the record after each step is lost, and the last one is where its stamp says.
    stamps: list[float | bytes] = [second - 0.03 * (second // 20) for second in range(600)]
    ecg = read_ecg(write_stamped_edf(tmp_path / "a.edf", stamps))
    assert ecg.n_excluded == 29
    assert ecg.duration_s == pytest.approx(600 - 29 * 0.03)


def test_packets_lost_from_a_stream_are_gaps(tmp_path: Path) -> None:
    stamps: list[float | bytes] = [second + 0.1 * (second // 4) for second in range(120)]
    for kind in (b"EDF+D", b"EDF+C"):
        ecg = read_ecg(write_stamped_edf(tmp_path / "a.edf", stamps, kind))
        assert len(ecg.segments) == 30
        assert ecg.duration_s == pytest.approx(122.9)


@pytest.mark.parametrize("ppm", [-60, 60])
def test_a_drift_of_the_clock_within_an_hour_is_not_a_gap(tmp_path: Path, ppm: int) -> None:
    ecg = read_ecg(write_stamped_edf(tmp_path / "a.edf", [i * (1 + ppm * 1e-6) for i in range(1200)]))
    assert runs(ecg) == [(0, 1200, 0.0)]


@pytest.mark.parametrize("rate", [0.999, 1.001])
def test_a_clock_that_drifts_far_is_followed(tmp_path: Path, rate: float) -> None:
    ecg = read_ecg(write_stamped_edf(tmp_path / "a.edf", [i * rate for i in range(1000)]))
    assert 3 <= len(ecg.segments) <= 5
    assert ecg.duration_s == pytest.approx(1000 * rate, abs=0.5)
    assert ecg.n_excluded <= 4


@pytest.mark.parametrize(
    "stamp", [b"+%d,0\x14\x14\0", b"%d\x14\x14\0", b"+%d.\x14\x14\0", b"+%d\x150\x14\x14\0", b" +%d\x14\x14\0"]
)
def test_stamps_of_other_spellings_are_read(tmp_path: Path, stamp: bytes) -> None:
    seconds_written = [*range(60), *range(80, 140)]
    ecg = read_ecg(write_stamped_edf(tmp_path / "a.edf", [stamp % second for second in seconds_written]))
    assert (runs(ecg), ecg.remarks) == ([(0, 60, 0.0), (60, 120, 80.0)], ("gaps",))


def test_stamps_that_count_from_another_time_leave_the_start_of_the_header(tmp_path: Path) -> None:
    ecg = read_ecg(write_stamped_edf(tmp_path / "a.edf", [*seconds(60, 1.7e9), *seconds(60, 1.7e9 + 80)]))
    assert (runs(ecg), ecg.start) == ([(0, 60, 0.0), (60, 120, 80.0)], START)


def test_edf_plus_d_without_an_annotation_signal_is_refused(tmp_path: Path) -> None:
    edf = write_stamped_edf(tmp_path / "a.edf", seconds(10))
    edf.write_bytes(edf.read_bytes().replace(b"EDF Annotations ", b"EMG             ", 1))
    with pytest.raises(RecordingError, match="has no time stamps") as error:
        read_ecg(edf)
    assert error.value.reason == "bad_clock"


def test_edf_plus_d_without_a_record_is_empty(tmp_path: Path) -> None:
    edf = write_stamped_edf(tmp_path / "a.edf", seconds(10))
    content = bytearray(edf.read_bytes())
    content[236:244] = b"0       "
    edf.write_bytes(content)
    with pytest.raises(RecordingError) as error:
        read_ecg(edf)
    assert error.value.reason == "empty_ecg"


@pytest.mark.parametrize("seed", range(20))
def test_the_longest_chain_is_as_long_as_any(seed: int) -> None:
    rng = np.random.default_rng(seed)
    onsets_s = rng.choice([0.0, 1.0, 2.0, 3.0, 4.5, 7.0, np.nan], 9)
    apart_s = 1 - JITTER_S
    best = 0
    for mask in range(2**9):
        chosen = onsets_s[[bool(mask >> i & 1) for i in range(9)]]
        if np.isfinite(chosen).all() and (np.diff(chosen) >= apart_s).all():
            best = max(best, len(chosen))
    kept = onsets_s[_longest_chain(onsets_s, apart_s)]
    assert len(kept) == best
    assert (np.diff(kept) >= apart_s).all()


def test_many_stamps_out_of_order_do_not_take_hours(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    onsets_s = np.arange(300_000.0) + np.where(rng.random(300_000) < 0.5, -0.5, 0.0)
    assert _longest_chain(onsets_s, 0.98).sum() > 150_000


def test_gaps_and_excluded_records_are_counted_in_the_table_of_recordings(tmp_path: Path) -> None:
    (tmp_path / "p").mkdir()
    write_stamped_edf(tmp_path / "p" / "a.edf", [*seconds(60), *seconds(60, 59.97)])
    config = compose(["dataset=any", f"dataset.root={tmp_path}"])
    prepared = build_preparation(config).prepare(find_recordings(tmp_path, config.dataset.layouts, "any").refs[0])
    row = prepared.facts
    assert (row["n_gaps"], row["n_excluded"], row["duration_s"]) == (1, 1, pytest.approx(119.97))
    assert row["remarks"].split(";") == ["bad_stamps", "excluded_records", "gaps", "no_annotations"]
    [gap] = prepared.unusable
    assert (gap.onset_s, gap.duration_s, gap.kind) == (60.0, pytest.approx(0.97), "gap")


def test_a_seizure_after_an_undeclared_gap_is_where_it_was_annotated(tmp_path: Path) -> None:
    (tmp_path / "p").mkdir()
    write_stamped_edf(tmp_path / "p" / "a.edf", [*seconds(60), *seconds(60, 80)], b"EDF+C")
    (tmp_path / "p" / "a_events.tsv").write_text("onset\tduration\teventType\n125.0\t10.0\tsz\n")
    config = compose(["dataset=any", f"dataset.root={tmp_path}"])
    prepared = build_preparation(config).prepare(find_recordings(tmp_path, config.dataset.layouts, "any").refs[0])
    # Were the gap closed, it would lie beyond the end at 120 s.
    assert [(event.onset_s, event.duration_s) for event in prepared.seizures] == [(125.0, 10.0)]
    assert (prepared.facts["duration_s"], prepared.facts["n_clipped"]) == (140.0, 0)
