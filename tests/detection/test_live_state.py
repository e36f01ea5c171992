"""A state file is read as it was written, or refused in one sentence and left as it is."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from aura.core.errors import AuraError
from aura.detection.live_state import LARGEST_BYTES, StateFile

SNAPSHOT = {"after_s": 12.5, "given": [{"n": 1, "kind": "step"}]}
LINES = ['{"t_s": 13, "rr_ms": 800}', '{"t_s":  14,\t"rr_ms": 810}']


def write(path: Path) -> bytes:
    state = StateFile(path, "a detector")
    state.save(lambda: SNAPSHOT)
    for line in LINES:
        state.save(lambda: SNAPSHOT, line)
    state.close()
    return path.read_bytes()


def refusal(path: Path) -> str:
    """Give the sentence with which a file is refused; it stays as it is."""
    before = path.read_bytes() if path.is_file() and path.stat().st_size < 10**6 else None
    with pytest.raises(AuraError) as caught:
        StateFile(path, "a detector").load()
    assert before is None or path.read_bytes() == before
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_state_is_read_as_it_was_written(tmp_path: Path) -> None:
    assert StateFile(None, "a detector").load() is None
    assert StateFile(tmp_path / "s.json", "a detector").load() is None
    whole = write(tmp_path / "s.json")
    taken = ['{"t_s": 13, "rr_ms": 800}', '{"t_s": 14, "rr_ms": 810}']
    assert StateFile(tmp_path / "s.json", "a detector").load() == (SNAPSHOT, taken)
    # A crash can cut off the last line, which was not answered then.
    for n_lost in range(1, len(whole.splitlines()[-1]) + 2):
        (tmp_path / "s.json").write_bytes(whole[:-n_lost])
        assert StateFile(tmp_path / "s.json", "a detector").load() == (SNAPSHOT, taken[:1])


def test_whatever_byte_is_damaged_is_found(tmp_path: Path) -> None:
    path = tmp_path / "s.json"
    whole = write(path)
    for at in range(len(whole) - 1):
        for byte in (whole[at] ^ 0x01, ord("\n"), 0xFF):
            damaged = whole[:at] + bytes([byte]) + whole[at + 1 :]
            if damaged != whole:
                path.write_bytes(damaged)
                assert str(path) in refusal(path), at
    snapshot_end = whole.index(b"\n", whole.index(b"\n") + 1)
    for at in range(snapshot_end):
        path.write_bytes(whole[:at])
        refusal(path)


@pytest.mark.parametrize(
    "content",
    [b"", b"\n", b"\n\n\n", b"{\n", b"[]\n", b"1\n", b'"x"\n', b"null\n", b"{}\n", b"[" * 100_000 + b"\n",
     b"\0" * 1000, b"\xff\xfe\n", b'{"format": "x", "made_of": []}\n', b'{"format": 5, "made_of": "a detector"}\n',
     b'{"format": 5, "made_of": "a detector", "sha256": 7}\n{}\n'],
)  # fmt: skip
def test_what_is_no_state_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "s.json").write_bytes(content)
    assert "remove it to start a new recording, or name another file" in refusal(tmp_path / "s.json")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"made_of": "another"}, "is of another model or installation"),
        ({"format": 3}, "is of another model or installation"),
        ({"format": 99}, "was written by a later release of Aura"),
        ({"sha256": "0" * 64}, "is damaged or not a state file of live"),
    ],
)
def test_a_state_of_others_is_refused(change: dict[str, Any], says: str, tmp_path: Path) -> None:
    header, _, rest = write(tmp_path / "s.json").partition(b"\n")
    (tmp_path / "s.json").write_bytes(json.dumps({**json.loads(header), **change}).encode() + b"\n" + rest)
    assert says in refusal(tmp_path / "s.json")


def test_a_file_that_is_far_too_large_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "s.json").open("wb") as file:
        file.truncate(2_000_000_000)
    assert "has 2000 MB and is not a state file of live, which has at most 64 MB" in refusal(tmp_path / "s.json")
    assert LARGEST_BYTES == 64_000_000


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    for name in ("folder", "pipe"):
        assert f"{name} is not a file; name a file" in refusal(tmp_path / name)
    assert "/dev/zero is not a file" in refusal(Path("/dev/zero"))


def test_a_file_that_may_not_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "s.json")

    def refuse(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(AuraError, match=r"s.json cannot be read: Permission denied"):
        StateFile(tmp_path / "s.json", "a detector").load()
