"""Parquet files that say what they were made from, written whole or not at all."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from aura.core.files import write_whole

META_KEY = b"aura"


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


def frame_digest(frame: pd.DataFrame) -> str:
    """Short name for the numbers in a table."""
    return hashlib.sha256(pd.util.hash_pandas_object(frame, index=False).to_numpy().tobytes()).hexdigest()[:16]


def _meta(schema: pa.Schema) -> dict[str, Any]:
    meta: dict[str, Any] = json.loads((schema.metadata or {}).get(META_KEY, b"{}"))
    return meta
