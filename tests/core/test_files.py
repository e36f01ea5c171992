import os
from pathlib import Path

import pytest

from aura.core.files import digest, remove_partials, write_whole


def test_a_failed_write_leaves_only_the_old_file(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("old")

    def fail(partial: Path) -> None:
        partial.write_text("half")
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        write_whole(tmp_path / "a.txt", fail)
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]
    assert (tmp_path / "a.txt").read_text() == "old"


def test_partial_files_are_removed_after_a_day(tmp_path: Path) -> None:
    old, young, whole = (tmp_path / name for name in (".a.parquet.1.part", ".a.parquet.2.part", "a.parquet"))
    for path in (old, young, whole):
        path.touch()
    os.utime(old, (0, 0))
    os.utime(whole, (0, 0))
    remove_partials(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [young.name, whole.name]


def test_digests_differ_for_different_values() -> None:
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1}) != digest({"a": 1, "b": 3})
