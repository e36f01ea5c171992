"""Parquet files, written atomically, with metadata that describes their source."""

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
    """Write a table with plain values as metadata, atomically.

    Parameters
    ----------
    path
        The file; its folder is created.
    frame
        Columns named with their units.
    meta
        JSON values that describe the source of the table.
    """
    table = pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata({META_KEY: json.dumps(meta)})
    write_whole(path, lambda partial: pq.write_table(table, partial))


def read_table(path: Path) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Read a table and its metadata.

    Returns
    -------
    frame
        The table. Missing text is None, as it was written; pandas would return NaN, which counts as true.
    meta
        The metadata that the table was written with.
    """
    table = pq.read_table(path)
    frame = table.replace_schema_metadata(None).to_pandas()
    for name in frame.columns[frame.dtypes == "str"]:
        frame[name] = frame[name].astype("object").where(frame[name].notna(), None)
    return frame, _parse_meta(table.schema)


def read_meta(path: Path) -> dict[str, Any] | None:
    """Read the metadata of a table; None if the file is missing or damaged."""
    try:
        return _parse_meta(pq.read_schema(path))
    except (FileNotFoundError, pa.ArrowInvalid):
        return None


def frame_digest(frame: pd.DataFrame) -> str:
    """Compute a digest of the values in a table: 16 hexadecimal digits."""
    return hashlib.sha256(pd.util.hash_pandas_object(frame, index=False).to_numpy().tobytes()).hexdigest()[:16]


def _parse_meta(schema: pa.Schema) -> dict[str, Any]:
    """Return the metadata in a schema; empty if it has none."""
    meta: dict[str, Any] = json.loads((schema.metadata or {}).get(META_KEY, b"{}"))
    return meta
