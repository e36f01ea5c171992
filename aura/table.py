"""Parquet files that say what they were made from, written whole or not at all."""

import hashlib
import json
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

META_KEY = b"aura"
PARTIAL_AGE_S = 86_400.0


def write_table(path: Path, frame: pd.DataFrame, meta: Mapping[str, Any]) -> None:
    """Write a table with plain values as metadata; readers see the old file or the new one, never a part.

    Parameters
    ----------
    path
        Where to; its folder is made.
    frame
        Columns named with their units.
    meta
        What the table was made from, for JSON.
    """
    table = pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata({META_KEY: json.dumps(meta)})
    write_whole(path, lambda partial: pq.write_table(table, partial))


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Write plain values as JSON, whole or not at all."""
    write_whole(path, lambda partial: partial.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8"))


def read_json(path: Path) -> dict[str, Any] | None:
    """Read plain values; None where there is no file."""
    if not path.is_file():
        return None
    values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return values


def read_table(path: Path) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Read a table and its metadata.

    Returns
    -------
    frame
        Missing text is None, as in the row that was written; pandas would give NaN, which is true.
    meta
        What the table was made from.
    """
    table = pq.read_table(path)
    frame = table.replace_schema_metadata(None).to_pandas()
    for name in frame.columns[frame.dtypes == "str"]:
        frame[name] = frame[name].astype("object").where(frame[name].notna(), None)
    return frame, _meta(table.schema)


def read_meta(path: Path) -> dict[str, Any] | None:
    """Read the metadata of a table; None where there is no whole table of ours."""
    try:
        return _meta(pq.read_schema(path))
    except (FileNotFoundError, pa.ArrowInvalid):
        return None


def digest(*values: Any) -> str:
    """Short name for plain values: the same for the same values, on any machine."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:16]


def frame_digest(frame: pd.DataFrame) -> str:
    """Short name for the numbers in a table."""
    return hashlib.sha256(pd.util.hash_pandas_object(frame, index=False).to_numpy().tobytes()).hexdigest()[:16]


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Have ``write`` fill a file beside ``path``, then put it in place in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")
    try:
        write(partial)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def remove_partials(folder: Path) -> None:
    """Remove what killed runs left half-written, a day ago or more: what is younger may be another run's at work."""
    for partial in folder.rglob(".*.part"):
        with suppress(FileNotFoundError):
            if partial.stat().st_mtime < time.time() - PARTIAL_AGE_S:
                partial.unlink()


def _meta(schema: pa.Schema) -> dict[str, Any]:
    meta: dict[str, Any] = json.loads((schema.metadata or {}).get(META_KEY, b"{}"))
    return meta
