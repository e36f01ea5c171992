"""Measure imports into PostgreSQL, by method, and the queries of the dashboards.

``python -m benchmarks.database`` (about ten minutes, 5 GB of disk) starts its own PostgreSQL with pgserver, logs to
MLflow, and writes docs/benchmarks/database.md. ``millions=1,2`` makes a short run.
"""

import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pgserver
import psycopg
import sqlalchemy

from aura.config.compose import compose
from aura.core.events import Event
from aura.core.provenance import Origin, Provenance
from aura.core.series import RRSeries
from aura.database.copy import copy_columns, to_timestamps
from aura.database.recordings import Model, Row, write_model, write_predictions, write_recording
from aura.database.schema import migrate
from benchmarks.measure import write_document
from deploy.grafana.generate import queries, recordings

START = datetime(2026, 1, 1, tzinfo=UTC)
# RR intervals of a day at 75 beats per minute.
DAY = 108_000
# Number of rows for the slowest method, which takes twenty minutes for a million.
FEW = 20_000
COLUMNS = ("recording_id", "ts", "rr_ms")
N_TIMES = 20
PROVENANCE = Provenance("bench", "1", "0123456789abcdef", Origin("bench", synthetic=True), 0.5, "aura", "2026-01-01")

Connection = psycopg.Connection[Any]


def make_day(seed: int) -> RRSeries:
    """Make a day of random RR intervals."""
    rr_ms = np.round(800 + np.random.default_rng(seed).normal(0, 25, DAY), 3)
    t_s = np.round(np.cumsum(rr_ms) / 1000, 6)
    return RRSeries(t_s, rr_ms, float(np.ceil(t_s[-1])))


def make_rows(n: int, first: int) -> pd.DataFrame:
    """Make n rows of the table of RR intervals, in recordings of a day that are numbered from ``first``."""
    rr = make_day(0)
    number = np.arange(n)
    ts = pd.to_datetime(START) + pd.to_timedelta(rr.t_s[number % DAY], unit="s")
    return pd.DataFrame({"recording_id": first + number // DAY, "ts": ts, "rr_ms": rr.rr_ms[number % DAY]})


def insert_rows(connection: Connection, frame: pd.DataFrame, _: str) -> None:
    """INSERT each row in its own transaction, as the original system did."""
    for row in frame.astype(object).itertuples(index=False, name=None):
        connection.execute("INSERT INTO rr (recording_id, ts, rr_ms) VALUES (%s, %s, %s)", row)


def insert_in_one_transaction(connection: Connection, frame: pd.DataFrame, uri: str) -> None:
    """INSERT row by row in one transaction."""
    with connection.transaction():
        insert_rows(connection, frame, uri)


def execute_many(connection: Connection, frame: pd.DataFrame, _: str) -> None:
    """Insert with psycopg's executemany."""
    with connection.transaction(), connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO rr (recording_id, ts, rr_ms) VALUES (%s, %s, %s)",
            frame.astype(object).itertuples(index=False, name=None),
        )


def write_with_pandas(_: Connection, frame: pd.DataFrame, uri: str) -> None:
    """Insert with pandas' to_sql."""
    engine = sqlalchemy.create_engine(uri.replace("postgresql://", "postgresql+psycopg://"))
    frame.to_sql("rr", engine, if_exists="append", index=False, chunksize=10_000)
    engine.dispose()


def copy_binary(connection: Connection, frame: pd.DataFrame, _: str) -> None:
    """COPY in the binary format, one transaction per recording, as Aura does."""
    seconds = (frame["ts"] - pd.Timestamp(START)).dt.total_seconds().to_numpy()
    ids, rr_ms = frame["recording_id"].to_numpy(), frame["rr_ms"].to_numpy()
    for recording in np.unique(ids):
        part = ids == recording
        with connection.transaction():
            columns = {"recording_id": int(recording), "ts": to_timestamps(START, seconds[part]), "rr_ms": rr_ms[part]}
            copy_columns(connection, "rr", columns)


METHODS: tuple[tuple[str, Callable[[Connection, pd.DataFrame, str], None], int | None], ...] = (
    ("INSERT with autocommit", insert_rows, FEW),
    ("INSERT, one transaction", insert_in_one_transaction, 5 * FEW),
    ("executemany", execute_many, 1_000_000),
    ("to_sql", write_with_pandas, 1_000_000),
    ("binary COPY", copy_binary, None),
)


def measure_inserts(connection: Connection, uri: str, millions: list[int]) -> Iterator[dict[str, object]]:
    """Insert rows into the table of RR intervals, which has a primary key, by each method."""
    slowest = None
    for name, write, most in METHODS:
        for n in [1_000_000 * million for million in millions] if most is None else [most]:
            connection.execute("TRUNCATE rr")
            frame = make_rows(n, first=1)
            began = time.perf_counter()
            write(connection, frame, uri)
            seconds = time.perf_counter() - began
            count = connection.execute("SELECT count(*) FROM rr").fetchone()
            assert count == (n,), count
            slowest = slowest or n / seconds
            yield {
                "method": name,
                "rows": n,
                "s": f"{seconds:.1f}",
                "rows/s": f"{n / seconds:.0f}",
                "relative speed": f"{n / seconds / slowest:.0f}",
            }


def measure_recordings(connection: Connection, n_rows: int) -> Iterator[dict[str, object]]:
    """Write recordings as import does, without reading files and detecting seizures."""
    n_days = max(n_rows // DAY, 1)
    began = time.perf_counter()
    for number in range(n_days):
        rr = make_day(number)
        row = Row(
            "bench", f"r{number}", f"s{number % 50}", "", START, rr.duration_s, "ECG", 250, 1.0, DAY + 1, True, "x"
        )
        with connection.transaction():
            events = [Event(1000.0 * i, 60.0) for i in range(1, 6)]
            recording = write_recording(connection, row, rr, seizures=events, faults=events[:1])
            if number < 5:
                model = write_model(connection, Model(PROVENANCE, 1.0))
                t_s = np.arange(1.0, rr.duration_s)
                p = np.random.default_rng(number).random(len(t_s))
                write_predictions(
                    connection, recording, model, START, t_s=t_s, probability=p, score=p, alarms=events, not_assessed=[]
                )
    seconds = time.perf_counter() - began
    yield {
        "data": "RR intervals and events of 24 h",
        "recordings": n_days,
        "s": f"{seconds:.1f}",
        "RR rows/s": f"{n_days * DAY / seconds:.0f}",
    }
    t_s = np.arange(0, 86_400, 0.04)
    mv = np.sin(t_s).astype(np.float32)
    began = time.perf_counter()
    columns = {"recording_id": 1, "ts": to_timestamps(START, t_s), "low_mv": mv, "high_mv": mv}
    copy_columns(connection, "ecg", columns)
    seconds = time.perf_counter() - began
    yield {"data": "ECG of 24 h", "recordings": 1, "s": f"{seconds:.1f}", "RR rows/s": "-"}
    connection.execute("VACUUM ANALYZE")


def measure_queries(connection: Connection) -> Iterator[dict[str, object]]:
    """Run each query of the dashboards for 24 h in bins of a minute; for the ECG, two hours in bins of 5 s."""
    values = {"dataset": "bench", "subject": "s0", "recording": "1", "model": "1"}
    # The ids that measure_recordings made.
    row = connection.execute("SELECT min(recording_id), (SELECT min(model_id) FROM model) FROM recording").fetchone()
    assert row is not None
    values |= {"recording": str(row[0]), "model": str(row[1])}
    connection.execute("UPDATE ecg SET recording_id = %s", (row[0],))
    connection.execute("VACUUM ANALYZE ecg")
    for name, board in recordings.dashboards().items():
        for panel in board.panels or ():
            for target in panel.targets or ():
                hours = 2 if "FROM ecg" in target.sql else 24
                end = START + timedelta(hours=hours)
                sql = queries.expand(target.sql, values, str(START), str(end), "5s" if hours == 2 else "1m").encode()
                seconds = []
                for _ in range(N_TIMES):
                    began = time.perf_counter()
                    n = len(connection.execute(sql).fetchall())
                    seconds.append(time.perf_counter() - began)
                yield {
                    "dashboard": name,
                    "panel": panel.title,
                    "rows": n,
                    "p50 ms": f"{1000 * np.median(seconds):.0f}",
                    "max ms": f"{1000 * max(seconds):.0f}",
                }


def main(millions: list[int]) -> None:
    """Run all measurements, print and log them, and write the document."""
    with tempfile.TemporaryDirectory() as folder:
        server = pgserver.get_server(Path(folder) / "pg")
        try:
            uri = server.get_uri()
            with psycopg.connect(uri, autocommit=True) as connection:
                connection.execute("SET TIME ZONE 'UTC'")
                migrate(connection)
                tables = {"Inserting RR intervals": pd.DataFrame(measure_inserts(connection, uri, millions))}
                connection.execute("TRUNCATE rr")
                n_rows = 1_000_000 * max(millions)
                tables["Recordings"] = pd.DataFrame(measure_recordings(connection, n_rows))
                tables[f"Queries on {max(millions)} million RR intervals"] = pd.DataFrame(measure_queries(connection))
        finally:
            server.cleanup()
    inserts = tables["Inserting RR intervals"]
    metrics = {"rows_per_s": float(inserts["rows/s"].iloc[-1])}
    write_document("database", tables, metrics, compose().tracking.uri)


if __name__ == "__main__":
    arguments = dict(word.split("=", 1) for word in sys.argv[1:])
    main([int(millions) for millions in arguments.get("millions", "1,10,20").split(",")])
