from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aura.datasets import tuh
from aura.datasets.tse import read_tse, write_tse
from aura.errors import RecordingError
from aura.types import Event, RecordingRef

TUSZ = """version = tse_v1.0.0

0.0000 46.2734 bckg 1.0000
46.2734 52.0742 seiz 1.0000
52.0742 60.0000 bckg 1.0000
"""


def ref(path: Path | None) -> RecordingRef:
    return RecordingRef("tuh", "1", "s1", "a", Path("a.edf"), path, None)


def annotated(tmp_path: Path, text: str) -> RecordingRef:
    (tmp_path / "a.tse_bi").write_text(text)
    return ref(tmp_path / "a.tse_bi")


def test_the_layout_of_tusz_is_found_and_its_parts_named(tmp_path: Path) -> None:
    folder = tmp_path / "v1.5.2/edf/dev/01_tcp_ar/002/00000258/s002_2003_07_21"
    folder.mkdir(parents=True)
    for name in ("00000258_s002_t001.edf", "00000258_s002_t000.edf", "00000258_s002_t000.tse_bi"):
        (folder / name).touch()
    first, second = tuh.index(tmp_path, "tuh")
    assert (first.subject, first.session, first.recording, first.split) == (
        "00000258",
        "s002_2003_07_21",
        "00000258_s002_t000",
        "dev",
    )
    assert first.annotations == folder / "00000258_s002_t000.tse_bi"
    assert second.annotations is None
    # The split is known from any root above the subjects, the subject only from a root above it.
    assert [ref.subject for ref in tuh.index(folder, "tuh")] == ["", ""]
    assert next(tuh.index(tmp_path / "v1.5.2/edf/dev", "tuh")).split == "dev"


def test_only_seizures_are_read_and_clipped(tmp_path: Path) -> None:
    (seizure,) = tuh.read_seizures(annotated(tmp_path, TUSZ), 50.0)
    assert (seizure.onset_s, seizure.end_s) == (46.2734, 50.0)


def test_a_background_file_need_not_tile_the_recording(tmp_path: Path) -> None:
    assert tuh.read_seizures(annotated(tmp_path, "version = tse_v1.0.0\n\n0.0 1.0 bckg 1.0\n"), 500.0) == ()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "holds no event"),
        ("version = tse_v1.0.0\n", "holds no event"),
        ("0.0 1.0 bckg\n", r"line 1: '0\.0 1\.0 bckg'; allowed is"),
        ("version = 1\n\n5.0 1.0 seiz 1\n", "line 3"),
        ("nan 1.0 seiz 1\n", "line 1"),
        ("0 inf seiz 1\n", "line 1"),
        ("-1 5 seiz 1\n", "line 1"),
        ("zero one seiz 1\n", "line 1"),
    ],
)
def test_what_is_no_annotation_is_refused(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(RecordingError, match=says) as error:
        read_tse(annotated(tmp_path, text))
    assert error.value.reason == "bad_annotations"
    assert str(error.value).startswith("a.tse_bi")


def test_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.tse_bi").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RecordingError, match="cannot be read as text"):
        read_tse(ref(tmp_path / "a.tse_bi"))


def test_no_annotation_is_no_background() -> None:
    with pytest.raises(RecordingError) as error:
        read_tse(ref(None))
    assert error.value.reason == "no_annotations"


TIMES = st.lists(st.integers(0, 10**8), min_size=2, max_size=20, unique=True).map(sorted)


@given(TIMES)
def test_what_is_written_is_read(times: list[int]) -> None:
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as folder:
        path = Path(folder) / "a.tse_bi"
        spans = zip(times[::2], times[1::2], strict=False)
        events = [Event(a / 1e4, (b - a) / 1e4, "seiz", 0.5) for a, b in spans]
        write_tse(path, events)
        back = read_tse(ref(path))
    assert [(e.onset_s, e.kind, e.confidence) for e in back] == [(e.onset_s, e.kind, e.confidence) for e in events]
    assert [e.end_s for e in back] == pytest.approx([e.end_s for e in events], abs=1e-4)
