from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aura.core.errors import RecordingError
from aura.core.events import Event
from aura.core.recordings import RecordingRef
from aura.corpora.layouts import teppe
from aura.formats.tabular import read_csv, read_events_tsv, write_csv_bi, write_events_tsv
from aura.formats.tse import read_tse, write_tse

START = datetime(2017, 1, 10, 14, 30, 0)
CSV = "# version = csv_v1.0.0\n# bname = DOE_JANE\n#\nchannel,start_time,stop_time,label,confidence\n"
TSV = "onset\tduration\teventType\tconfidence\tchannels\tdateTime\trecordingDuration\n"


def written(tmp_path: Path, name: str, text: str) -> Path:
    (tmp_path / name).write_text(text)
    return tmp_path / name


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("0.0 1.0 bckg\n", r"line 1 has 3 words; allowed are 4"),
        ("version = 1\n\n5.0 1.0 seiz 1\n", "line 3"),
        ("nan 1.0 seiz 1\n", "line 1"),
        ("0 inf seiz 1\n", "line 1"),
        ("zero one seiz 1\n", "line 1"),
        ("n/a 5.0 seiz 1\n", "line 1"),
        ("n/a 5.0 Turnus 1\n", "line 1"),
    ],
)
def test_an_invalid_tse_is_refused(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(RecordingError, match=says) as error:
        read_tse(written(tmp_path, "a.tse_bi", text))
    assert error.value.reason == "bad_annotations"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no header"),
        ("# version = csv_v1.0.0\n", "no header"),
        ("a,b,c\n1,2,3\n", "no columns start_time, stop_time, label"),
        (CSV + "TERM,1,2\n", "line 5 has 3 columns; the header has 5"),
        (CSV + "TERM,1,x,seiz,1\n", "line 5 has a time"),
        (CSV + "TERM,5,1,seiz,1\n", "line 5 has an event that ends before it begins"),
        (CSV + 'TERM,5,6,"seiz,1\n', "not a table"),
    ],
)
def test_an_invalid_csv_is_refused(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(RecordingError, match=says) as error:
        read_csv(written(tmp_path, "a.csv_bi", text))
    assert error.value.reason == "bad_annotations"


@pytest.mark.parametrize("row", ["n/a\t1\tsz\t1\tn/a\tn/a\t9\n", "1\t2\n", "1\tlong\tsz\t1\tn/a\tn/a\t9\n"])
def test_an_invalid_events_tsv_is_refused(tmp_path: Path, row: str) -> None:
    with pytest.raises(RecordingError, match="line 2 has"):
        read_events_tsv(written(tmp_path, "a_events.tsv", TSV + row))


def test_messages_never_quote_a_file(tmp_path: Path) -> None:
    for name, read in (("a.tse_bi", read_tse), ("a.csv_bi", read_csv), ("a_events.tsv", read_events_tsv)):
        for text in ("Doe, Jane 1951 seen", f"{CSV}Doe\tJane,1,2\n", f"{TSV}Doe, Jane\t2\t3\t4\t5\t6\t7\n"):
            with pytest.raises(RecordingError) as error:
                read(written(tmp_path, name, text))
            assert "Doe" not in str(error.value)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1", "utf-16"])
def test_any_usual_encoding_is_read(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "a.tse_bi").write_bytes("annotator = Hélène\r\n\r\n1.0 2.0 seiz 1.0 \r\n".encode(encoding))
    assert read_tse(tmp_path / "a.tse_bi") == (Event(1.0, 1.0),)


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.tse_bi").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RecordingError, match="annotation file"):
        read_tse(tmp_path / "a.tse_bi")
    (tmp_path / "b.tse_bi").mkdir()
    with pytest.raises(RecordingError, match="is not a regular file"):
        read_tse(tmp_path / "b.tse_bi")


def test_a_file_without_an_event_is_not_yet_annotated(tmp_path: Path) -> None:
    for name, read, text in (
        ("a.tse_bi", read_tse, "version = tse_v1.0.0\n"),
        ("b.tse_bi", read_tse, ""),
        ("a.csv_bi", read_csv, CSV),
        ("a_events.tsv", read_events_tsv, TSV),
        ("b_events.tsv", read_events_tsv, "onset\tduration\n"),
    ):
        with pytest.raises(RecordingError, match="holds no event") as error:
            read(written(tmp_path, name, text))
        assert error.value.reason == "empty_annotations"


def test_an_event_without_an_end_keeps_its_onset(tmp_path: Path) -> None:
    for name, read, text in (
        ("a.tse_bi", read_tse, "30 n/a seiz 1\n80 None Focal seizure n/a\n"),
        ("a.csv_bi", read_csv, f"{CSV}TERM,30,,seiz,1\nTERM,80,n/a,Focal seizure,\n"),
        ("a_events.tsv", read_events_tsv, "onset\tduration\teventType\n30\tn/a\tseiz\n80\t0\tFocal seizure\n"),
    ):
        assert read(written(tmp_path, name, text)) == (Event(30.0, 0.0), Event(80.0, 0.0, "Focal seizure")), name


@pytest.mark.parametrize(
    ("header", "row", "kind"),
    [
        ("onset\tduration\ttrial_type", "30\t30\tseizure", "seizure"),
        ("onset\tduration\tvalue", "30\t30\tsz", "sz"),
        ("Onset\tDuration\tTrial_Type", "30\t30\tsz", "sz"),
        ("onset\tduration\tvalue\ttrial_type\tsample", "30\t30\t7\tseizure\t1", "seizure"),
        ("onset\tduration\ttrial_type\teventType", "30\t30\trest\tsz", "sz"),
        ("onset\tduration\ttrial_type\tvalue", "30\t30\tn/a\tsz", "sz"),
        ("onset\tduration\tevent_type", "30\t30\tsz", "sz"),
    ],
)
def test_columns_of_bids_with_the_type_of_an_event(tmp_path: Path, header: str, row: str, kind: str) -> None:
    assert read_events_tsv(written(tmp_path, "a_events.tsv", f"{header}\n{row}\n")) == (Event(30.0, 30.0, kind),)


def test_events_without_a_kind_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="no column that says what its events are; allowed are eventType"):
        read_events_tsv(written(tmp_path, "a_events.tsv", "onset\tduration\n30\t30\n"))


def test_missing_or_additional_columns_are_accepted(tmp_path: Path) -> None:
    text = "onset\tduration\teventType\tlateralization\tvigilance\n10\t5\tsz_foc_ia\tleft\tawake\n"
    text += "0\t1\timpd\tn/a\tn/a\n0\tn/a\timpd\tn/a\tn/a\n"
    seizure, impedance, another = read_events_tsv(written(tmp_path, "a_events.tsv", text))
    assert seizure == Event(10.0, 5.0, "sz_foc_ia")
    assert (impedance.kind, another.duration_s) == ("impd", 0)


TIMES = st.lists(st.integers(0, 10**8), min_size=2, max_size=20, unique=True).map(sorted)


@given(TIMES)
def test_every_format_gives_the_same_events(times: list[int]) -> None:
    spans = zip(times[::2], times[1::2], strict=False)
    events = [Event(a / 1e4, round(b / 1e4 - a / 1e4, 6), "seiz", 0.5) for a, b in spans]
    with TemporaryDirectory() as name:
        folder = Path(name)
        write_tse(folder / "a.tse_bi", events)
        write_tse(folder / "b.tse_bi", events, start=START)
        write_csv_bi(folder / "a.csv_bi", events, 1e4, "a")
        write_events_tsv(folder / "a_events.tsv", events, START, 1e4)
        assert list(read_tse(folder / "a.tse_bi")) == events
        ref = RecordingRef("a", "1", "1", "b", folder / "b.edf", folder / "b.tse_bi", None, "teppe")
        assert list(teppe.read_events(ref, START, 1e4)) == events
        assert list(read_csv(folder / "a.csv_bi")) == events
        assert list(read_events_tsv(folder / "a_events.tsv")) == events


def test_a_recording_without_seizures_has_one_row_of_background(tmp_path: Path) -> None:
    write_events_tsv(tmp_path / "a_events.tsv", [], START, 60.0)
    assert read_events_tsv(tmp_path / "a_events.tsv") == (Event(0.0, 60.0, "bckg"),)


PIECES = st.sampled_from(
    ["1.0", "2", "seiz", "nan", "-3", "1e400", "\t", ",", "\n", '"', "#", "=", " ", "onset", "\x00", "é", TSV, CSV]
)


@given(st.one_of(st.binary(max_size=300), st.lists(PIECES, max_size=30).map(lambda pieces: "".join(pieces).encode())))
def test_any_bytes_give_events_or_a_reason(content: bytes) -> None:
    with TemporaryDirectory() as name:
        path = Path(name) / "a.tse_bi"
        path.write_bytes(content)
        for read in (read_tse, read_csv, read_events_tsv):
            try:
                events = read(path)
            except RecordingError as error:
                events = ()
                reason = error.reason
            else:
                reason = "bad_annotations"
            assert reason in ("bad_annotations", "empty_annotations")
            assert all(0 <= event.duration_s < float("inf") and event.onset_s == event.onset_s for event in events)
