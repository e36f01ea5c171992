from pathlib import Path

import pandas as pd
import pytest

from aura.core.parquet import frame_digest, read_meta, read_table, write_table

FRAME = pd.DataFrame({"t_s": [1.0, 2.0], "name": ["a", None]})


def test_a_table_and_its_metadata_are_read_as_written(tmp_path: Path) -> None:
    write_table(tmp_path / "new" / "a.parquet", FRAME, {"x": [1, {"y": "z"}]})
    frame, meta = read_table(tmp_path / "new" / "a.parquet")
    assert meta == {"x": [1, {"y": "z"}]} == read_meta(tmp_path / "new" / "a.parquet")
    assert frame["t_s"].tolist() == [1.0, 2.0]
    assert frame["name"].tolist() == ["a", None]


def test_missing_text_is_none_in_every_way_to_read_a_row(tmp_path: Path) -> None:
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
        # The second round reads what the first one wrote.
        write_table(tmp_path / "a.parquet", read, {})


def test_a_table_without_rows_keeps_its_columns(tmp_path: Path) -> None:
    write_table(tmp_path / "a.parquet", FRAME.astype({"name": "str"}).head(0), {})
    read, _ = read_table(tmp_path / "a.parquet")
    assert read.columns.tolist() == ["t_s", "name"]
    assert read.to_dict("records") == []


@pytest.mark.parametrize("content", [None, b"", b"PAR1 and then nothing"])
def test_a_missing_or_damaged_table_has_no_metadata(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "a.parquet").write_bytes(content)
    assert read_meta(tmp_path / "a.parquet") is None


def test_the_digest_of_a_table_depends_on_the_order_of_rows() -> None:
    assert frame_digest(FRAME) == frame_digest(FRAME.copy()) != frame_digest(FRAME.iloc[::-1])
