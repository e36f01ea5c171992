import os
from pathlib import Path

import pandas as pd
import pytest

from aura.core.files import digest, remove_partials, write_whole
from aura.core.parquet import frame_digest, read_meta, read_table, write_table

FRAME = pd.DataFrame({"t_s": [1.0, 2.0], "name": ["a", None]})


def test_a_table_and_its_metadata_are_read_as_written(tmp_path: Path) -> None:
    write_table(tmp_path / "new" / "a.parquet", FRAME, {"x": [1, {"y": "z"}]})
    frame, meta = read_table(tmp_path / "new" / "a.parquet")
    assert meta == {"x": [1, {"y": "z"}]} == read_meta(tmp_path / "new" / "a.parquet")
    assert frame["t_s"].tolist() == [1.0, 2.0]
    assert frame["name"].tolist() == ["a", None]


def test_missing_text_is_none_however_a_row_is_taken(tmp_path: Path) -> None:
    frame = pd.DataFrame({"some": ["a", None], "none": [None, None], "empty": ["", "b"]}).astype("str")
    write_table(tmp_path / "a.parquet", frame, {})
    for _ in range(2):
        read, _ = read_table(tmp_path / "a.parquet")
        assert read.to_dict("records") == [
            {"some": "a", "none": None, "empty": ""},
            {"some": None, "none": None, "empty": "b"},
        ]
        assert read.iloc[1].to_dict() == read.set_index("empty", drop=False).loc["b"].to_dict()
        assert [bool(value) for value in read["some"]] == [True, False]
        # What was read is written again as it was.
        write_table(tmp_path / "a.parquet", read, {})


def test_a_table_without_rows_keeps_its_columns(tmp_path: Path) -> None:
    write_table(tmp_path / "a.parquet", FRAME.astype({"name": "str"}).head(0), {})
    read, _ = read_table(tmp_path / "a.parquet")
    assert read.columns.tolist() == ["t_s", "name"]
    assert read.to_dict("records") == []


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("old")

    def fail(partial: Path) -> None:
        partial.write_text("half")
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        write_whole(tmp_path / "a.txt", fail)
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]
    assert (tmp_path / "a.txt").read_text() == "old"


@pytest.mark.parametrize("content", [None, b"", b"PAR1 and then nothing"])
def test_where_there_is_no_whole_table_there_is_no_metadata(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "a.parquet").write_bytes(content)
    assert read_meta(tmp_path / "a.parquet") is None


def test_digests_tell_values_apart() -> None:
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1}) != digest({"a": 1, "b": 3})
    assert frame_digest(FRAME) == frame_digest(FRAME.copy()) != frame_digest(FRAME.iloc[::-1])


def test_what_killed_runs_left_is_removed_after_a_day(tmp_path: Path) -> None:
    old, young, whole = (tmp_path / name for name in (".a.parquet.1.part", ".a.parquet.2.part", "a.parquet"))
    for path in (old, young, whole):
        path.touch()
    os.utime(old, (0, 0))
    os.utime(whole, (0, 0))
    remove_partials(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [young.name, whole.name]
