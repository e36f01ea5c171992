"""A part of the database as one file, and such a file into an empty database."""

import hashlib
import json
import zipfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aura.database.recordings import REFERENCE
from aura.database.schema import TABLES, migrate
from aura.errors import AuraError
from aura.privacy import pseudonym
from aura.table import write_whole

if TYPE_CHECKING:
    import psycopg

FORMAT = 1
MANIFEST = "manifest.json"
LICENCE = (
    "These are recordings of people. What a corpus allows goes on with it: hand this file to nobody whom its licence "
    "or agreement (TUH EEG, SeizeIT2, a hospital's) does not name."
)
# Dates move by whole weeks, so that hours and days of the week stay.
MOST_WEEKS = 520
CHUNK = 1 << 20
# What is selected of each table; r is the recording, h what it is called and how far its dates move.
COLUMNS: Mapping[str, Mapping[str, str]] = {
    "recording": {
        "recording_id": "r.recording_id",
        "dataset": "r.dataset",
        "name": "h.name",
        "subject": "h.subject",
        "session": "h.session",
        "start_at": "r.start_at + h.shift",
        "start_known": "r.start_known",
        "duration_s": "r.duration_s",
        "end_at": "r.end_at + h.shift",
        "channel": "r.channel",
        "fs_hz": "r.fs_hz",
        "usable_share": "r.usable_share",
        "n_beats": "r.n_beats",
        "annotated": "r.annotated",
        "content": "h.content",
        "imported_at": "r.imported_at",
    },
    "model": {name: f"t.{name}" for name in ("model_id", "name", "run_id", "threshold", "step_s")},
    "rr": {"recording_id": "t.recording_id", "ts": "t.ts + h.shift", "rr_ms": "t.rr_ms"},
    "ecg": {
        "recording_id": "t.recording_id",
        "ts": "t.ts + h.shift",
        "low_mv": "t.low_mv",
        "high_mv": "t.high_mv",
    },
    "quality": {
        "recording_id": "t.recording_id",
        "onset_at": "t.onset_at + h.shift",
        "end_at": "t.end_at + h.shift",
        "kind": "t.kind",
    },
    "annotation": {
        "annotation_id": "t.annotation_id",
        "recording_id": "t.recording_id",
        "annotator": "a.name",
        "onset_at": "t.onset_at + h.shift",
        "end_at": "t.end_at + h.shift",
        "kind": "t.kind",
        "confidence": "t.confidence",
        "comment": "CASE WHEN a.named THEN t.comment ELSE '' END",
        "created_at": "t.created_at",
    },
    "prediction": {
        "recording_id": "t.recording_id",
        "model_id": "t.model_id",
        "ts": "t.ts + h.shift",
        "probability": "t.probability",
        "score": "t.score",
    },
    "detection": {
        "recording_id": "t.recording_id",
        "model_id": "t.model_id",
        "onset_at": "t.onset_at + h.shift",
        "end_at": "t.end_at + h.shift",
        "kind": "t.kind",
        "confidence": "t.confidence",
    },
    "failure": {name: f"t.{name}" for name in ("dataset", "recording", "stage", "reason", "message", "failed_at")},
}
IDENTITIES = {"recording": "recording_id", "model": "model_id", "annotation": "annotation_id"}


def dump(
    connection: "psycopg.Connection[tuple[Any, ...]]",
    path: Path,
    *,
    dataset: str | None,
    subjects: Sequence[str] | None,
    key: bytes | None,
) -> dict[str, Any]:
    """Write the recordings of some subjects, and all that hangs on them, as they are at one moment.

    Parameters
    ----------
    connection
        To read from.
    path
        Where to; whole or not at all.
    dataset, subjects
        Of which corpus, and whom; None is all.
    key
        Of the pseudonyms that replace all names of subjects, recordings and annotators; then comments and failures
        are left out, and the dates of each subject are shifted. None leaves all as it is.

    Returns
    -------
    dict
        The manifest: ``tables`` with ``rows`` and ``sha256`` of each, and what was done to names and dates.
    """
    from psycopg import IsolationLevel

    manifest: dict[str, Any] = {
        "format": FORMAT,
        "aura": version("aura"),
        "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "schema_version": migrate(connection),
        "dataset": dataset,
        "subjects": None if subjects is None else len(subjects),
        "names": "as imported" if key is None else "pseudonyms",
        "dates": "as recorded" if key is None else "shifted by whole weeks, the same for all recordings of a subject",
        "licence": LICENCE,
        "tables": {},
    }
    connection.isolation_level = IsolationLevel.REPEATABLE_READ
    with connection.transaction(force_rollback=True):
        _choose(connection, dataset, subjects, key)

        def write(part: Path) -> None:
            with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
                for table in TABLES:
                    query = _query(table, with_failures=key is None and subjects is None)
                    manifest["tables"][table] = _copy_out(connection, query, archive, table)
                archive.writestr(MANIFEST, json.dumps(manifest, indent=2) + "\n")

        write_whole(path, write)
    return manifest


def restore(connection: "psycopg.Connection[tuple[Any, ...]]", path: Path) -> dict[str, Any]:
    """Fill an empty database from a dump, all of it or nothing, and see that it holds what it should.

    Raises
    ------
    AuraError
        For what is no dump, or a damaged one, and for a database that is not empty.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            manifest: dict[str, Any] = json.loads(archive.read(MANIFEST))
            if manifest["format"] != FORMAT:
                raise AuraError(f"dump={path} is of format {manifest['format']}; this release of Aura knows {FORMAT}")
            has = migrate(connection)
            if manifest["schema_version"] > has:
                raise AuraError(f"dump={path} has tables of version {manifest['schema_version']}, this release {has}")
            with connection.transaction():
                for table in TABLES:
                    if connection.execute(f"SELECT EXISTS (SELECT FROM {table})").fetchone() == (True,):
                        raise AuraError(f"the database is not empty: the table {table} has rows; restore into another")
                for table in TABLES:
                    _copy_in(connection, archive, table, manifest["tables"][table])
                for table, column in IDENTITIES.items():
                    connection.execute(
                        f"SELECT setval(pg_get_serial_sequence('{table}', '{column}'), max({column})) "
                        f"FROM {table} HAVING max({column}) IS NOT NULL"
                    )
    except (zipfile.BadZipFile, zipfile.LargeZipFile, EOFError, KeyError, ValueError, TypeError) as error:
        raise AuraError(f"dump={path} is no dump of Aura, or a damaged one ({error}); nothing was restored") from error
    connection.execute("ANALYZE")
    return manifest


def _choose(
    connection: "psycopg.Connection[tuple[Any, ...]]",
    dataset: str | None,
    subjects: Sequence[str] | None,
    key: bytes | None,
) -> None:
    """Make tables of what is handed over, and under which names, for the time of the transaction."""
    connection.execute(
        "CREATE TEMPORARY TABLE handed (recording_id integer PRIMARY KEY, name text, subject text, session text, "
        "content text, shift interval) ON COMMIT DROP"
    )
    connection.execute("CREATE TEMPORARY TABLE annotators (annotator text PRIMARY KEY, name text, named boolean)")
    rows = connection.execute(
        "SELECT recording_id, dataset, name, subject, session, content, start_known FROM recording "
        "WHERE (%(dataset)s::text IS NULL OR dataset = %(dataset)s) "
        "AND (%(subjects)s::text[] IS NULL OR subject = ANY(%(subjects)s))",
        {"dataset": dataset, "subjects": None if subjects is None else list(subjects)},
    ).fetchall()
    if missing := sorted(set(subjects or ()) - {row[3] for row in rows}):
        raise AuraError(f"there is no subject {missing[0]!r}" + (f" in {dataset}" if dataset else ""))
    if not rows:
        raise AuraError(f"there is no recording{f' of {dataset}' if dataset else ''} to hand over")
    for recording_id, of, name, subject, session, content, start_known in rows:
        if key is None:
            values = (recording_id, name, subject, session, content, timedelta())
        else:
            who = f"subject {of} {subject}"
            weeks = 1 + int(pseudonym(key, f"dates of {who}"), 16) % MOST_WEEKS
            values = (
                recording_id,
                pseudonym(key, f"recording {of} {name}"),
                pseudonym(key, who),
                pseudonym(key, f"session {of} {subject} {session}") if session else "",
                "handed over",
                -timedelta(weeks=weeks) if start_known else timedelta(),
            )
        connection.execute("INSERT INTO handed VALUES (%s, %s, %s, %s, %s, %s)", values)
    for (annotator,) in connection.execute("SELECT DISTINCT annotator FROM annotation").fetchall():
        named = key is None
        known = annotator if key is None or annotator == REFERENCE else pseudonym(key, f"annotator {annotator}")
        connection.execute("INSERT INTO annotators VALUES (%s, %s, %s)", (annotator, known, named))


def _query(table: str, *, with_failures: bool) -> str:
    """Select what is handed over of a table; the names in it are ours."""
    values = ", ".join(COLUMNS[table].values())
    if table == "recording":
        return f"SELECT {values} FROM recording r JOIN handed h USING (recording_id) ORDER BY recording_id"
    if table == "failure":
        datasets = "SELECT dataset FROM recording JOIN handed USING (recording_id)"
        return f"SELECT {values} FROM failure t WHERE {with_failures} AND dataset IN ({datasets}) ORDER BY 1, 2, 3"
    if table == "model":
        used = "SELECT model_id FROM {0} JOIN handed USING (recording_id)"
        both = f"{used.format('prediction')} UNION {used.format('detection')}"
        return f"SELECT {values} FROM model t WHERE model_id IN ({both}) ORDER BY model_id"
    named = "JOIN annotators a USING (annotator)" if table == "annotation" else ""
    return f"SELECT {values} FROM {table} t JOIN handed h USING (recording_id) {named} ORDER BY 1, 2, 3"


def _copy_out(
    connection: "psycopg.Connection[tuple[Any, ...]]", query: str, archive: zipfile.ZipFile, table: str
) -> dict[str, Any]:
    """Write a table into an archive; gives how many rows there were, and what they were."""
    checksum = hashlib.sha256()
    with archive.open(table, "w", force_zip64=True) as file, connection.cursor() as cursor:
        with cursor.copy(f"COPY ({query}) TO STDOUT (FORMAT binary)".encode()) as rows:
            for part in rows:
                checksum.update(part)
                file.write(part)
        return {"rows": cursor.rowcount, "sha256": checksum.hexdigest(), "columns": list(COLUMNS[table])}


def _copy_in(
    connection: "psycopg.Connection[tuple[Any, ...]]",
    archive: zipfile.ZipFile,
    table: str,
    expected: Mapping[str, Any],
) -> None:
    """Read a table from an archive, and see that it is what was written."""
    from psycopg import sql

    checksum = hashlib.sha256()
    columns = sql.SQL(", ").join(sql.Identifier(name) for name in expected["columns"])
    statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT binary)").format(sql.Identifier(table), columns)
    with archive.open(table) as file, connection.cursor() as cursor:
        with cursor.copy(statement) as rows:
            while part := file.read(CHUNK):
                checksum.update(part)
                rows.write(part)
        if (cursor.rowcount, checksum.hexdigest()) != (expected["rows"], expected["sha256"]):
            raise ValueError(f"the table {table} is not the one that was written")
