"""Each layout: which files it takes, whose they are, and how it reads their annotations."""

from datetime import datetime
from pathlib import Path

import pytest

from aura.core.errors import RecordingError
from aura.core.events import Event
from aura.core.recordings import RecordingRef
from aura.corpora.layout import Layout
from aura.corpora.layouts import bids, plain, teppe, tusz15, tusz20
from aura.formats.vocabulary import Words
from tests.support.corpora import find_all, touch_files


def test_tusz15_is_indexed(tmp_path: Path) -> None:
    folder = "v1.5.2/edf/dev/01_tcp_ar/002/00000258/s002_2003_07_21/00000258_s002_t00"
    touch_files(tmp_path, f"{folder}0.edf", f"{folder}0.tse_bi", f"{folder}0.tse", f"{folder}1.EDF", f"{folder}1.tse")
    first, second = find_all(tmp_path).refs
    assert (first.subject, first.session, first.recording, first.split, first.layout) == (
        "00000258",
        "s002_2003_07_21",
        "00000258_s002_t000",
        "dev",
        "tusz15",
    )
    assert first.annotations == tmp_path / f"{folder}0.tse_bi"
    assert first.others == (tmp_path / f"{folder}0.tse",)
    assert second.annotations == tmp_path / f"{folder}1.tse"
    # A standard name says whose it is wherever the root is.
    assert {ref.subject for ref in find_all((tmp_path / folder).parent).refs} == {"00000258"}
    assert find_all(tmp_path / "v1.5.2/edf/dev").refs[0].split == "dev"


def test_recordings_of_the_same_name_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    touch_files(tmp_path, "a/s1/night.edf", "a/s1/night.tse_bi", "b/s1/night.edf", "b/s1/night.tse_bi")
    assert [ref.recording for ref in find_all(tmp_path).refs] == ["a_s1_night", "b_s1_night"]
    (stray,) = find_all(tmp_path / "a" / "s1").refs
    assert stray.subject == ""


def test_tusz20_is_indexed(tmp_path: Path) -> None:
    folder = "edf/eval/aaaaaool/s004_2013/01_tcp_ar/aaaaaool_s004_t00"
    touch_files(tmp_path, f"{folder}1.edf", f"{folder}1.csv_bi", f"{folder}2.edf")
    (tmp_path / f"{folder}1.csv").write_text("# version = csv_v1.0.0\n")
    (tmp_path / "notes.csv").write_text("a,b\n")
    first, second = find_all(tmp_path).refs
    assert (first.subject, first.session, first.split, first.layout) == (
        "aaaaaool",
        "s004_2013",
        "eval",
        "tusz20",
    )
    assert first.annotations == tmp_path / f"{folder}1.csv_bi"
    assert first.others == (tmp_path / f"{folder}1.csv",)
    assert second.annotations is None


def test_overlapping_seizures_of_the_channels_of_a_csv_are_merged(tmp_path: Path) -> None:
    (path,) = touch_files(tmp_path, "a.csv")
    path.write_text(
        "# version = csv_v1.0.0\nchannel,start_time,stop_time,label,confidence\n"
        "FP1-F7,10,20,cpsz,1\nF7-T3,12,25,cpsz,1\nF7-T3,25,50,bckg,1\n"
    )
    ref = RecordingRef("a", "1", "1", "a", path, path, None, "tusz20")
    assert list(tusz20.read_events(ref, None, 60.0)) == [Event(10.0, 15.0, "cpsz"), Event(25.0, 25.0, "bckg")]


def test_bids_runs_are_indexed(tmp_path: Path) -> None:
    run = "sub-001/ses-01/{0}/sub-001_ses-01_task-szMonitoring_run-0{1}_{2}"
    touch_files(
        tmp_path,
        run.format("eeg", 1, "eeg.edf"),
        run.format("ecg", 1, "ecg.edf"),
        run.format("mov", 1, "mov.edf"),
        run.format("eeg", 1, "events.tsv"),
        run.format("eeg", 2, "eeg.edf"),
        run.format("eeg", 3, "events.tsv"),
        run.format("emg", 4, "emg.edf"),
        "sub-02/eeg/sub-02_task-rest_eeg.edf",
        "participants.tsv",
    )
    corpus = find_all(tmp_path)
    first, second, fourth, other = corpus.refs
    assert (first.subject, first.session) == ("sub-001", "ses-01")
    assert first.recording == "sub-001_ses-01_task-szMonitoring_run-01"
    assert (first.edf.parent.name, first.annotations.parent.name, len(first.others)) == ("ecg", "eeg", 2)
    assert (second.edf.parent.name, second.annotations) == ("eeg", None)
    assert fourth.edf.parent.name == "emg"
    assert (other.subject, other.session, other.layout) == ("sub-02", "", "bids")
    (orphan,) = corpus.rejects
    assert (orphan.reason, orphan.path.name[:50]) == (
        "annotation_without_edf",
        "sub-001_ses-01_task-szMonitoring_run-03_events.tsv",
    )


def test_plain_folders_are_indexed(tmp_path: Path) -> None:
    touch_files(tmp_path, "a/night.edf", "b/c/night.edf", "night.edf")
    corpus = find_all(tmp_path)
    assert {(ref.recording, ref.subject, ref.layout) for ref in corpus.refs} == {
        ("a_night", "a", "plain"),
        ("b_c_night", "b", "plain"),
        ("night", "night", "plain"),
    }


BIDS_HEAD = "onset\tduration\ttrial_type\n"


@pytest.mark.parametrize(
    ("layout", "name", "head", "event", "no_onset"),
    [
        (tusz15.LAYOUT, "a.tse", "", "10 20 {} 1\n", "n/a n/a {} 1\n"),
        (tusz20.LAYOUT, "a.csv", "channel,start_time,stop_time,label\n", "A,10,20,{}\nB,15,20,{}\n", "A,n/a,n/a,{}\n"),
        (bids.LAYOUT, "a_events.tsv", BIDS_HEAD, "10\t10\t{}\n", "n/a\tn/a\t{}\n"),
        (plain.LAYOUT, "a_events.tsv", BIDS_HEAD, "10\t10\t{}\n", "n/a\tn/a\t{}\n"),
        (teppe.LAYOUT, "a.tse_bi", "", "2017-01-10T14:30:10 2017-01-10T14:30:20 {} 1\n", "n/a n/a {} 1\n"),
    ],
)
def test_every_reader_uses_the_words_of_a_clinic(
    tmp_path: Path, layout: Layout, name: str, head: str, event: str, no_onset: str
) -> None:
    own = Words(seizure=("photic",), background=("Ruhe",))
    path, start = tmp_path / name, datetime(2017, 1, 10, 14, 30)
    ref = RecordingRef("a", "1", "1", "a", path, path, None, "layout")
    path.write_text(head + event.replace("{}", "photic") + no_onset.format("Ruhe"))
    assert list(layout.read_events(ref, start, 60.0, own)) == [Event(10.0, 10.0, "photic")]
    # A seizure has to have an onset.
    path.write_text(head + event.replace("{}", "photic") + no_onset.format("photic"))
    with pytest.raises(RecordingError, match="line"):
        list(layout.read_events(ref, start, 60.0, own))
