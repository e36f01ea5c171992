"""Copy columns of numbers into a table by PostgreSQL's binary COPY, without a Python object per row."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from aura.core.arrays import Floats, Ints

if TYPE_CHECKING:
    import psycopg
    from psycopg import sql

# https://www.postgresql.org/docs/current/sql-copy.html, "Binary Format".
HEADER, TRAILER = b"PGCOPY\n\xff\r\n\0" + bytes(8), b"\xff\xff"
EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
# Big-endian types of the format, by numpy's kind and size.
WIRE = {"i4": ">i4", "i8": ">i8", "f8": ">f8", "f4": ">f4"}
ROWS_AT_ONCE = 100_000


def to_timestamps(start: datetime, t_s: Floats) -> Ints:
    """Convert times of a recording to timestamptz: whole microseconds since 2000.

    Parameters
    ----------
    start
        Start of the recording, with its time zone.
    t_s
        (n,) seconds from the start.
    """
    since = start - EPOCH
    start_us = (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
    return start_us + np.round(t_s * 1e6).astype(np.int64)


def copy_columns(
    connection: "psycopg.Connection[tuple[Any, ...]]", table: str, columns: Mapping[str, NDArray[Any] | int]
) -> int:
    """Add rows to a table.

    Parameters
    ----------
    connection
        Connection in a transaction of the caller.
    table
        Name of the table.
    columns
        (n,) numbers of 4 or 8 bytes by column, or one number for all rows; times from `to_timestamps`.

    Returns
    -------
    int
        Number of rows added.
    """
    n_rows = max((len(column) for column in columns.values() if isinstance(column, np.ndarray)), default=0)
    arrays = {
        name: np.asarray(column, dtype=np.int32) if isinstance(column, int) else column
        for name, column in columns.items()
    }
    kinds = {name: np.dtype(WIRE[f"{column.dtype.kind}{column.dtype.itemsize}"]) for name, column in arrays.items()}
    fields = [("n_fields", ">i2")]
    for name, kind in kinds.items():
        fields += [(f"bytes of {name}", ">i4"), (name, kind.str)]
    rows = np.empty(min(n_rows, ROWS_AT_ONCE), dtype=fields)
    rows["n_fields"] = len(arrays)
    for name, kind in kinds.items():
        rows[f"bytes of {name}"] = kind.itemsize
    with connection.cursor() as cursor, cursor.copy(_statement(table, list(arrays))) as wire:
        wire.write(HEADER)
        for first in range(0, n_rows, ROWS_AT_ONCE):
            part = rows[: n_rows - first]
            for name, column in arrays.items():
                part[name] = column[first : first + len(part)] if column.ndim else column
            wire.write(part.tobytes())
        wire.write(TRAILER)
    return n_rows


def _statement(table: str, columns: list[str]) -> "sql.Composed":
    from psycopg import sql

    names = sql.SQL(", ").join(map(sql.Identifier, columns))
    return sql.SQL("COPY {} ({}) FROM STDIN (FORMAT binary)").format(sql.Identifier(table), names)
