"""Atomic writing of files, and digests of plain values."""

import hashlib
import json
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

# Half-written files older than this are left over from killed runs.
PARTIAL_AGE_S = 86_400.0


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Write plain values as JSON, atomically."""
    write_whole(path, lambda partial: partial.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8"))


def read_json(path: Path) -> dict[str, Any] | None:
    """Read plain values from JSON; None if the file is missing."""
    if not path.is_file():
        return None
    values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return values


def digest(*values: Any) -> str:
    """Compute a digest of plain values: 16 hexadecimal digits, the same on every machine."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:16]


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Let ``write`` fill a temporary file beside ``path``, then rename it: readers see the old file or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")
    try:
        write(partial)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def remove_partials(folder: Path) -> None:
    """Remove half-written files of killed runs; a file younger than a day may belong to a run that is still working."""
    for partial in folder.rglob(".*.part"):
        with suppress(FileNotFoundError):
            if partial.stat().st_mtime < time.time() - PARTIAL_AGE_S:
                partial.unlink()
