"""Finding recordings: every EDF and annotation file is accounted for."""

import os
from pathlib import Path

import pytest

from aura.core.errors import RecordingError
from aura.corpora.discovery import find_recording, find_recordings
from aura.formats.edf import read_ecgs
from tests.support.corpora import LAYOUTS, find_all, touch_files


def test_a_named_layout_takes_no_other_file(tmp_path: Path) -> None:
    touch_files(tmp_path, "PAT_7/EEG_38_s1.edf", "x/y/other.edf", "x/y/other.tse_bi")
    corpus = find_all(tmp_path, ["teppe"])
    assert [ref.recording for ref in corpus.refs] == ["PAT_7_EEG_38_s1"]
    assert {(reject.path.name, reject.reason) for reject in corpus.rejects} == {
        ("other.edf", "not_in_layout"),
        ("other.tse_bi", "not_in_layout"),
    }


def test_a_name_that_is_taken_loses_no_file(tmp_path: Path) -> None:
    name = "00000258_s002_t000"
    touch_files(tmp_path, f"a/{name}.edf", f"b/{name}.edf", f"b/{name}.tse_bi")
    corpus = find_all(tmp_path)
    assert [ref.edf.parent.name for ref in corpus.refs] == ["a"]
    assert [reject.reason for reject in corpus.rejects] == ["duplicate_id"]


def test_annotations_beside_an_edf_decide_its_layout_before_its_name(tmp_path: Path) -> None:
    name = "a/s1/00000258_s002_t000"
    touch_files(tmp_path, f"{name}.edf", f"{name}.csv_bi", "PAT_1/EEG_38_s1.edf", "PAT_1/EEG_38_s1.tse_bi")
    touch_files(
        tmp_path, "sub-01/ses-01/sub-01_night.edf", "sub-01/ses-01/sub-01_night.tse_bi", "sub-01/sub-01_night2.edf"
    )
    corpus = find_all(tmp_path)
    assert not corpus.rejects
    assert {
        (ref.recording, ref.subject, ref.layout.rpartition(".")[2], ref.annotations is None) for ref in corpus.refs
    } == {
        ("a_s1_00000258_s002_t000", "a", "tusz20", False),
        ("PAT_1_EEG_38_s1", "PAT_1", "tusz15", False),
        ("sub-01_ses-01_sub-01_night", "sub-01", "tusz15", False),
        ("sub-01_sub-01_night2", "sub-01", "plain", True),
    }


def test_a_csv_file_is_an_annotation_file_by_its_head(tmp_path: Path) -> None:
    name = "edf/eval/aaaaaool/s004_2013/01_tcp_ar/aaaaaool_s004_t00"
    touch_files(tmp_path, *(f"{name}{i}.edf" for i in range(3)))
    header = "channel,start_time,stop_time,label,confidence\n"
    for i, text in enumerate((f"\ufeff# version = csv_v1.0.0\n{header}", f"\n#version=1\n{header}", "t,ecg\n0,1\n")):
        (tmp_path / f"{name}{i}.csv").write_text(text)
    assert [ref.annotations is not None for ref in find_all(tmp_path).refs] == [True, True, False]


def test_links_are_followed_once_and_hidden_files_left_alone(tmp_path: Path) -> None:
    touch_files(tmp_path, "a/s/night.edf", ".git/annex/x.edf", "a/s/._night.edf")
    (tmp_path / "a" / "loop").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "a" / "self").symlink_to(tmp_path / "a" / "self")
    (tmp_path / "a" / "self.edf").symlink_to(tmp_path / "a" / "self.edf")
    (tmp_path / "b").symlink_to(tmp_path / "a" / "s", target_is_directory=True)
    (tmp_path / "up").symlink_to(tmp_path.parent, target_is_directory=True)
    assert [ref.recording for ref in find_all(tmp_path).refs] == ["a_s_night", "a_self"]


def test_regular_files_take_precedence_over_links(tmp_path: Path) -> None:
    root = tmp_path / "root"
    name = "00000258_s002_t000.edf"
    touch_files(tmp_path, f"root/z/{name}", f"elsewhere/{name}")
    (root / "a").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    corpus = find_all(root)
    assert [ref.edf for ref in corpus.refs] == [root / "z" / name]
    assert [(reject.path, reject.like) for reject in corpus.rejects] == [(root / "a" / name, root / "z" / name)]


def test_odd_or_long_names_become_names_of_files(tmp_path: Path) -> None:
    for name in ("mit Leerzeichen é.edf", os.fsdecode(b"\xff\xfe.edf"), "x" * 240 + ".edf"):
        (tmp_path / name).touch()
    names = [ref.recording for ref in find_recordings(tmp_path, LAYOUTS, "any").refs]
    assert len({name.encode()[:150] for name in names}) == 3
    for name in names:
        (tmp_path / f".{name}.parquet.{'0' * 32}.part").touch()


@pytest.mark.skipif(not hasattr(os, "seteuid"), reason="needs POSIX users: run it on Linux or macOS")
def test_an_unreadable_folder_is_reported(public_path: Path) -> None:
    (secret := public_path / "secret").mkdir()
    touch_files(public_path, "open/night.edf")
    secret.chmod(0)
    user = os.geteuid()
    if user == 0:
        # Root reads everything.
        os.seteuid(65534)
    try:
        corpus = find_recordings(public_path, LAYOUTS, "any")
    finally:
        os.seteuid(user)
        secret.chmod(0o755)
    assert [(reject.reason, reject.path) for reject in corpus.rejects] == [("unreadable_folder", secret)]
    assert len(corpus.refs) == 1


@pytest.mark.skipif(not hasattr(os, "seteuid"), reason="needs POSIX users: run it on Linux or macOS")
@pytest.mark.parametrize("mode", [0o444, 0o644])
def test_files_of_a_folder_that_can_be_listed_but_not_entered_fail_one_by_one(public_path: Path, mode: int) -> None:
    ours = touch_files(public_path, "open/night.edf", "open/night.tse_bi", "open/x.csv")
    (public_path / "locked").mkdir()
    touch_files(public_path, "locked/a.edf", "locked/a.csv", "locked/b.csv", "locked/c.tse_bi", "locked/notes.txt")
    (public_path / "locked" / "link").symlink_to(public_path)
    (public_path / "locked").chmod(mode)
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        corpus = find_recordings(public_path, LAYOUTS, "any")
        with pytest.raises(RecordingError, match="cannot be read: Permission denied"):
            next(read_ecgs(public_path / "locked" / "a.edf", ["*"]))
        one = find_recording(public_path / "locked" / "a.edf", public_path, LAYOUTS, "any")
    finally:
        os.seteuid(user)
        (public_path / "locked").chmod(0o755)
    assert [ref.edf.name for ref in corpus.refs] == ["a.edf", "night.edf"]
    # Of what cannot be opened, the .csv beside an EDF file is taken for its annotations.
    assert corpus.refs[0].annotations == public_path / "locked" / "a.csv"
    assert [(reject.path.name, reject.reason) for reject in corpus.rejects] == [("c.tse_bi", "annotation_without_edf")]
    assert dict(corpus.passed_over) == {".csv": 2, ".txt": 1, "other": 1}
    assert (one.n_edf, len(one.refs)) == (1, 1)
    assert ours[0] in corpus.files


def test_a_csv_file_beside_an_edf_is_ignored_without_a_head_of_annotations(tmp_path: Path) -> None:
    edf, table = touch_files(tmp_path, "p/a.edf", "p/a.csv")
    table.write_text("time,heart_rate\n1,70\n")
    (ref,) = find_recording(edf, tmp_path, LAYOUTS, "any").refs
    assert ref.annotations is None
    table.write_text("# version = csv_v1.0.0\nchannel,start_time,stop_time,label,confidence\n")
    (ref,) = find_recording(edf, tmp_path, LAYOUTS, "any").refs
    assert ref.annotations == table


def test_other_files_are_counted_by_known_suffixes(tmp_path: Path) -> None:
    touch_files(
        tmp_path, "a/night.edf", "a/day.bdf", "a/Day2.BDF", "b/old.rec", "b/x.edf.gz", "c/y.trc", "c/letter.mueller"
    )
    touch_files(tmp_path, ".hidden/z.bdf", "c/.z.bdf", "c/notes.csv")
    (tmp_path / "d.bdf").mkdir()
    assert dict(find_recordings(tmp_path, LAYOUTS, "any").passed_over) == {
        ".bdf": 2,
        ".rec": 1,
        ".edf.gz": 1,
        ".trc": 1,
        ".csv": 1,
        "other": 1,
    }
