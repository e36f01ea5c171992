"""Write a part of the database to one file, and restore such a file into an empty database."""

import hashlib
import json
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aura import __version__
from aura.core.errors import AuraError
from aura.core.files import write_whole
from aura.corpora.names import pseudonym
from aura.database.archive import MANIFEST, open_archive, read_chunks, read_manifest
from aura.database.recordings import REFERENCE
from aura.database.schema import TABLES, migrate

if TYPE_CHECKING:
    import psycopg

FORMAT = 1
LICENCE = (
    "These are recordings of people. The licence or agreement of their corpus (TUH EEG, SeizeIT2, a hospital's) "
    "applies to this file as well: give it only to people whom that names."
)
# Dates move by up to this many whole weeks, so that times of day and days of the week stay.
MOST_WEEKS = 520
# Errors of reading a damaged archive: RuntimeError if it seems to be encrypted or packed otherwise, OSError if it seems
# to begin elsewhere.
DAMAGED = (
    zipfile.BadZipFile,
    zipfile.LargeZipFile,
    zlib.error,
    EOFError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)
# SQL for each column of each table. r is the recording; h has its new name, the shift of its dates, and whether names
# stay as they were.
COLUMNS: Mapping[str, Mapping[str, str]] = {
    "recording": {
        "recording_id": "h.new_id",
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
        "content": "CASE WHEN h.named THEN r.content ELSE 'handed over' END",
        "ecg_content": "CASE WHEN h.named OR r.ecg_content = '' THEN r.ecg_content ELSE 'handed over' END",
        # The time of the import would tell how far the dates were moved.
        "imported_at": "CASE WHEN h.named THEN r.imported_at ELSE r.start_at + h.shift END",
    },
    "model": {
        **{name: f"t.{name}" for name in ("model_id", "name", "run_id", "threshold", "step_s")},
        **{name: f"t.{name}" for name in ("training_corpus", "synthetic_training", "software")},
        # With pseudonyms, the day of the import would tell how far the dates were moved.
        "imported_on": "CASE WHEN (SELECT bool_and(named) FROM handed) THEN t.imported_on END",
    },
    "rr": {"recording_id": "h.new_id", "ts": "t.ts + h.shift", "rr_ms": "t.rr_ms"},
    "ecg": {
        "recording_id": "h.new_id",
        "ts": "t.ts + h.shift",
        "low_mv": "t.low_mv",
        "high_mv": "t.high_mv",
    },
    "quality": {
        "recording_id": "h.new_id",
        "onset_at": "t.onset_at + h.shift",
        "end_at": "t.end_at + h.shift",
        "kind": "t.kind",
    },
    "annotation": {
        "annotation_id": "CASE WHEN h.named THEN t.annotation_id ELSE row_number() OVER (ORDER BY h.new_id, "
        "t.created_at, t.annotation_id) END",
        "recording_id": "h.new_id",
        "annotator": "a.name",
        "onset_at": "t.onset_at + h.shift",
        "end_at": "t.end_at + h.shift",
        "kind": "t.kind",
        "confidence": "t.confidence",
        "comment": "CASE WHEN h.named THEN t.comment ELSE '' END",
        # Of the times at which annotations were made only the order is left, since later ones count.
        "created_at": "CASE WHEN h.named THEN t.created_at ELSE r.start_at + h.shift + interval '1 second' * "
        "row_number() OVER (PARTITION BY h.new_id ORDER BY t.created_at, t.annotation_id) END",
    },
    "prediction": {
        "recording_id": "h.new_id",
        "model_id": "t.model_id",
        "ts": "t.ts + h.shift",
        "probability": "t.probability",
        "score": "t.score",
    },
    "detection": {
        "recording_id": "h.new_id",
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
    """Write the recordings of some subjects, and all rows that belong to them, from one snapshot of the database.

    Parameters
    ----------
    connection
        Connection to read from.
    path
        File to write, whole or not at all.
    dataset, subjects
        Corpus and subjects to write; None means all.
    key
        Key of the pseudonyms that replace all names of subjects, recordings and annotators. With a key, comments and
        failures are left out, recordings get new numbers, and the dates of each subject are shifted. None keeps all.

    Returns
    -------
    dict
        The manifest: ``rows`` and ``sha256`` of each of its ``tables``, and the changes of ``names`` and ``dates``.
    """
    from psycopg import IsolationLevel

    manifest: dict[str, Any] = {
        "format": FORMAT,
        "aura": __version__,
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
    """Fill an empty database from a dump, completely or not at all, and verify the checksums.

    Raises
    ------
    AuraError
        If the file is not a dump or is damaged, or the database is not empty.
    """
    try:
        with open_archive(path, TABLES) as archive:
            manifest = read_manifest(archive)
            if manifest["format"] != FORMAT:
                raise AuraError(f"dump={path} is of format {manifest['format']}; this release of Aura reads {FORMAT}")
            version = migrate(connection)
            if manifest["schema_version"] > version:
                raise AuraError(
                    f"dump={path} has tables of version {manifest['schema_version']}, this release {version}"
                )
            with connection.transaction():
                for table in TABLES:
                    if connection.execute(f"SELECT EXISTS (SELECT FROM {table})").fetchone() == (True,):
                        raise AuraError(
                            f"the database is not empty: the table {table} has rows; restore into another database"
                        )
                for table in TABLES:
                    _copy_in(connection, archive, table, manifest["tables"][table])
                for table, column in IDENTITIES.items():
                    connection.execute(
                        f"SELECT setval(pg_get_serial_sequence('{table}', '{column}'), max({column})) "
                        f"FROM {table} HAVING max({column}) IS NOT NULL"
                    )
    except DAMAGED as error:
        raise AuraError(f"dump={path} is not a dump of Aura, or is damaged ({error}); nothing was restored") from error
    connection.execute("ANALYZE")
    return manifest


def _choose(
    connection: "psycopg.Connection[tuple[Any, ...]]",
    dataset: str | None,
    subjects: Sequence[str] | None,
    key: bytes | None,
) -> None:
    """Make temporary tables of the recordings and annotators to write, with their new names."""
    connection.execute(
        "CREATE TEMPORARY TABLE handed (recording_id integer PRIMARY KEY, new_id integer, name text, subject text, "
        "session text, shift interval, named boolean) ON COMMIT DROP"
    )
    connection.execute("CREATE TEMPORARY TABLE annotators (annotator text PRIMARY KEY, name text) ON COMMIT DROP")
    rows = connection.execute(
        "SELECT recording_id, dataset, name, subject, session, start_known FROM recording "
        "WHERE (%(dataset)s::text IS NULL OR dataset = %(dataset)s) "
        "AND (%(subjects)s::text[] IS NULL OR subject = ANY(%(subjects)s))",
        {"dataset": dataset, "subjects": None if subjects is None else list(subjects)},
    ).fetchall()
    for subject in subjects or ():
        datasets = sorted({row[1] for row in rows if row[3] == subject})
        if not datasets:
            raise AuraError(f"there is no subject {subject!r}" + (f" in {dataset}" if dataset else ""))
        if len(datasets) > 1:
            raise AuraError(
                f"there is a subject {subject!r} in each of {', '.join(datasets)}; choose one with dataset="
            )
    if not rows:
        raise AuraError(f"there is no recording{f' of {dataset}' if dataset else ''} to write")
    handed = [_rename(row, key) for row in rows]
    if key is not None:
        # Numbered in the order of the pseudonyms, since old ids are in the order of the names.
        handed = [(row[0], number, *row[2:]) for number, row in enumerate(sorted(handed, key=lambda row: row[2]), 1)]
    with connection.cursor() as cursor:
        cursor.executemany("INSERT INTO handed VALUES (%s, %s, %s, %s, %s, %s, %s)", handed)
    for (annotator,) in connection.execute("SELECT DISTINCT annotator FROM annotation").fetchall():
        name = annotator if key is None or annotator == REFERENCE else pseudonym(key, f"annotator {annotator}")
        connection.execute("INSERT INTO annotators VALUES (%s, %s)", (annotator, name))


def _rename(row: tuple[Any, ...], key: bytes | None) -> tuple[Any, ...]:
    """Return the new names of a recording, and the shift of its dates."""
    recording_id, dataset, name, subject, session, start_known = row
    if key is None:
        return recording_id, recording_id, name, subject, session, timedelta(), True
    person = f"subject {dataset} {subject}"
    weeks = 1 + int(pseudonym(key, f"dates of {person}"), 16) % MOST_WEEKS
    return (
        recording_id,
        recording_id,
        pseudonym(key, f"recording {dataset} {name}"),
        pseudonym(key, person),
        pseudonym(key, f"session {dataset} {subject} {session}") if session else "",
        -timedelta(weeks=weeks) if start_known else timedelta(),
        False,
    )


def _query(table: str, *, with_failures: bool) -> str:
    """Return the query for the rows of a table; all names in it are constants."""
    values = ", ".join(COLUMNS[table].values())
    if table == "recording":
        return f"SELECT {values} FROM recording r JOIN handed h USING (recording_id) ORDER BY new_id"
    if table == "failure":
        datasets = "SELECT dataset FROM recording JOIN handed USING (recording_id)"
        return f"SELECT {values} FROM failure t WHERE {with_failures} AND dataset IN ({datasets}) ORDER BY 1, 2, 3"
    if table == "model":
        used = "SELECT model_id FROM {0} JOIN handed USING (recording_id)"
        both = f"{used.format('prediction')} UNION {used.format('detection')}"
        return f"SELECT {values} FROM model t WHERE model_id IN ({both}) ORDER BY model_id"
    # Annotations need more of the recording than its new name.
    joins = "JOIN recording r USING (recording_id) JOIN annotators a USING (annotator)"
    more = joins if table == "annotation" else ""
    return f"SELECT {values} FROM {table} t JOIN handed h USING (recording_id) {more} ORDER BY 1, 2, 3"


def _copy_out(
    connection: "psycopg.Connection[tuple[Any, ...]]", query: str, archive: zipfile.ZipFile, table: str
) -> dict[str, Any]:
    """Write a table into an archive, and return its rows, checksum and columns."""
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
    """Read a table from an archive, and verify rows and checksum."""
    from psycopg import sql

    checksum = hashlib.sha256()
    columns = sql.SQL(", ").join(sql.Identifier(name) for name in expected["columns"])
    statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT binary)").format(sql.Identifier(table), columns)
    with archive.open(table) as file, connection.cursor() as cursor:
        with cursor.copy(statement) as rows:
            for part in read_chunks(file):
                checksum.update(part)
                rows.write(part)
        if (cursor.rowcount, checksum.hexdigest()) != (expected["rows"], expected["sha256"]):
            raise ValueError(f"the table {table} differs from the one that was written")
