"""What is in PostgreSQL is what was prepared and detected: once, whole, and the same when it comes out again."""

import io
import json
import re
import shutil
import subprocess
import sys
import time
import tracemalloc
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import psycopg
import pytest
from psycopg import sql

from aura.cli import main
from aura.core.errors import AuraError
from aura.core.events import Event
from aura.core.paths import PROJECT
from aura.database.connection import connect
from aura.database.handover import restore
from aura.database.schema import TABLES, list_migrations, migrate
from aura.formats.edf_writer import Channel, write_edf
from aura.formats.tabular import read_csv, read_events_tsv
from aura.formats.tse import read_tse
from aura.stages.evaluate.run import score_prepared
from aura.workspace.prepared import PreparedCorpus, PreparedRecording
from tests.support.made_ecg import FS_HZ, place_beats, steady_beats
from tests.support.postgresql import MAKES, new_database, rows
from tests.support.project import Project
from tests.support.real_ecg import write_real

pytestmark = pytest.mark.integration

MODEL = "models:/aura-seizure-detector-synthetic@champion"
WITHIN_S = 120
# All there is of recordings, by their names, since ids are given in the order of arrival.
CONTENT = {
    "recording": "SELECT dataset, name, subject, session, start_at, duration_s, end_at, channel, fs_hz, usable_share, "
    "n_beats, annotated, content FROM recording ORDER BY name",
    "rr": "SELECT name, ts, rr_ms FROM rr JOIN recording USING (recording_id) ORDER BY name, ts",
    "ecg": "SELECT name, ts, low_mv, high_mv FROM ecg JOIN recording USING (recording_id) ORDER BY name, ts",
    "quality": "SELECT name, q.onset_at, q.end_at, kind FROM quality q JOIN recording USING (recording_id) "
    "ORDER BY name, onset_at",
    "annotation": "SELECT name, annotator, onset_at, a.end_at, kind, confidence FROM annotation a "
    "JOIN recording USING (recording_id) ORDER BY name, annotator, onset_at",
    "prediction": "SELECT name, ts, probability, score FROM prediction JOIN recording USING (recording_id) "
    "ORDER BY name, ts",
    "detection": "SELECT name, onset_at, d.end_at, kind, confidence FROM detection d "
    "JOIN recording USING (recording_id) ORDER BY name, onset_at, kind",
}


def content(url: str) -> dict[str, list[tuple[Any, ...]]]:
    return {table: rows(url, query) for table, query in CONTENT.items()}


@pytest.fixture(scope="module")
def imported(trained: Project, postgresql_server: str) -> str:
    """A database with the small corpus and what the champion says of it; not to be changed."""
    url = new_database(postgresql_server)
    assert trained.run("import", f"url={url}", f"model={MODEL}") == 0
    return url


def test_all_that_was_prepared_is_there_to_the_microsecond(trained: Project, imported: str) -> None:
    prepared = PreparedCorpus.open(trained.folder("prepared"))
    assert [row[0] for row in rows(imported, "SELECT name FROM recording ORDER BY name")] == list(prepared)
    for name in prepared:
        rr, seizures = prepared[name].rr, prepared[name].seizures
        query = "SELECT extract(epoch FROM ts - start_at), rr_ms FROM rr JOIN recording USING (recording_id) "
        got = np.array(rows(imported, query + "WHERE name = %s ORDER BY ts", name), dtype=np.float64)
        assert np.abs(got[:, 0] - rr.t_s).max() < 1e-6
        assert np.array_equal(got[:, 1], rr.rr_ms)
        query = (
            "SELECT extract(epoch FROM onset_at - start_at), extract(epoch FROM a.end_at - onset_at) FROM annotation a "
        )
        got = np.array(
            rows(imported, query + "JOIN recording USING (recording_id) WHERE name = %s ORDER BY 1", name),
            dtype=np.float64,
        ).reshape(-1, 2)
        assert np.allclose(got, [(e.onset_s, e.duration_s) for e in seizures] or np.empty((0, 2)), atol=1e-6)
    # 25 values a second, of an ECG that is whole.
    n_bins = rows(imported, "SELECT count(*) FROM ecg")[0][0]
    # Of a sampling rate that is no multiple of 25 Hz, a few more.
    assert 25 * prepared.recordings["duration_s"].sum() <= n_bins <= 26 * prepared.recordings["duration_s"].sum()


def test_everything_detected_is_imported(trained: Project, imported: str) -> None:
    from aura.config.compose import compose
    from aura.tracking.registry import load

    config, detector = compose(trained.overrides), load(MODEL).detector
    recording = next(iter(PreparedCorpus.open(trained.folder("prepared")).values()))
    one = score_prepared(config, detector, recording)
    query = "SELECT extract(epoch FROM ts - start_at), probability, score FROM prediction "
    query += "JOIN recording USING (recording_id) "
    got = np.array(rows(imported, query + "WHERE name = %s ORDER BY ts", recording.name), dtype=np.float64)
    told = ~np.isnan(one.probability)
    assert np.allclose(got[:, 0], (np.flatnonzero(told) + 1) * one.step_s)
    assert np.array_equal(got[:, 1], one.probability[told])
    assert np.array_equal(got[:, 2], one.score[told], equal_nan=True)
    # By its version: an alias can move.
    address = load(MODEL).provenance.address
    assert re.fullmatch(r"models:/aura-seizure-detector-synthetic/\d+", address)
    assert rows(imported, "SELECT name, threshold, step_s FROM model") == [(address, one.threshold, 4.0)]


def test_importing_again_changes_nothing_and_keeps_annotations_by_people(
    trained: Project, imported: str, postgresql_server: str, capsys: pytest.CaptureFixture[str]
) -> None:
    url = new_database(postgresql_server)
    words = [f"url={url}", f"model={MODEL}"]
    assert trained.run("import", *words) == 0
    before = content(url)
    assert before == content(imported)
    ids = rows(url, "SELECT recording_id, imported_at FROM recording ORDER BY 1")
    assert trained.run("import", *words) == 0
    assert "0 recordings imported, 12 unchanged, 0 failed" in capsys.readouterr().out
    assert rows(url, "SELECT recording_id, imported_at FROM recording ORDER BY 1") == ids
    # Where something has changed, the recording is replaced, under its old id.
    mine = "INSERT INTO annotation (recording_id, annotator, onset_at, end_at) "
    mine += "SELECT recording_id, 'me', start_at, end_at "
    rows(url, mine + "FROM recording WHERE recording_id = %s", ids[0][0])
    rows(url, "UPDATE recording SET content = 'older', subject = 'X' WHERE recording_id = %s", ids[0][0])
    rows(url, "DELETE FROM rr WHERE recording_id = %s AND rr_ms > 700", ids[0][0])
    assert trained.run("import", *words) == 0
    assert "1 recording imported, 11 unchanged" in capsys.readouterr().out
    assert [row[0] for row in rows(url, "SELECT recording_id FROM recording ORDER BY 1")] == [one[0] for one in ids]
    assert rows(url, "SELECT count(*) FROM annotation WHERE annotator = 'me'") == [(1,)]
    rows(url, "DELETE FROM annotation WHERE annotator = 'me'")
    assert content(url) == before


# It stops in the middle of its second recording, until it is killed.
DYING = """
import sys, time
import aura.stages.importing.run as importing
from aura.cli import main
real, calls = importing.write_predictions, []
def write_predictions(*arguments, **more):
    real(*arguments, **more)
    calls.append(1)
    if len(calls) == 2:
        print("in the middle", flush=True)
        time.sleep(600)
importing.write_predictions = write_predictions
main(sys.argv[1:])
"""


def test_two_processes_share_an_import_and_one_is_killed(trained: Project, imported: str, database: str) -> None:
    """With kill -9 in the middle of a recording: nothing is there twice, nothing by halves, the other has all."""
    words = ["import", *trained.overrides, f"url={database}", f"model={MODEL}"]
    with subprocess.Popen(
        [sys.executable, "-c", DYING, *words], cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as dying:
        assert dying.stdout is not None
        assert any("in the middle" in line for line in dying.stdout)
        with subprocess.Popen(
            [sys.executable, "-m", "aura", *words],
            cwd=PROJECT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as other:
            # It does not wait for the recording that the first one is at, but does the others, and at last that one.
            deadline = time.monotonic() + WITHIN_S
            while rows(database, "SELECT count(*) FROM recording") != [(11,)]:
                assert other.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.02)
            dying.kill()
            out, said = other.communicate(timeout=WITHIN_S)
        assert other.returncode == 0, said
    assert "11 recordings imported, 1 unchanged, 0 failed" in out
    assert content(database) == content(imported)


def test_annotations_move_with_the_start_of_their_recording(database: str, tmp_path: Path) -> None:
    put_one(database, "a")
    mine = "INSERT INTO annotation (recording_id, annotator, onset_at, end_at) SELECT recording_id, 'me', "
    rows(database, mine + "start_at + interval '2 s', start_at + interval '5 s' FROM recording")
    # And something that is of no recording.
    rows(database, mine + "start_at - interval '1 h', start_at - interval '59 min' FROM recording")
    put_one(database, "a", start=datetime(2024, 1, 1))
    assert main(["export-annotations", f"url={database}", f"output={tmp_path / 'out'}"]) == 0
    events = read_tse(tmp_path / "out" / "annotators" / "me" / "any" / "a.tse_bi")
    assert [(e.onset_s, e.end_s) for e in events if e.kind == "seiz"] == [(2, 5)]


def test_annotations_outside_of_the_recording_are_listed_and_an_old_export_stays(
    database: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put_one(database, "a")
    mine = "INSERT INTO annotation (recording_id, annotator, onset_at, end_at) SELECT recording_id, 'me', "
    rows(database, mine + "start_at + interval '9 s', start_at + interval '15 s' FROM recording")
    words = ["export-annotations", f"url={database}", f"output={tmp_path / 'out'}"]
    assert main(words) == 0
    said = capsys.readouterr().out
    assert "1 annotation is not exported" in said
    assert "annotation 2 of me, 1985-01-01 00:00:09, reaches beyond a" in said
    # The reference alone.
    assert len(list((tmp_path / "out").rglob("*.tse_bi"))) == 1
    assert main(words) == 1
    assert "already exists and is not an empty folder; name a new folder, or remove it" in capsys.readouterr().err


def test_importing_another_ecg_keeps_the_detections(
    trained: Project, imported: str, database: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert trained.run("import", f"url={database}", f"model={MODEL}", "ecg=none") == 0
    assert rows(database, "SELECT count(*) FROM ecg") == [(0,)]
    assert trained.run("import", f"url={database}", "ecg=envelope") == 0
    assert "12 recordings imported, 0 unchanged, 0 failed; 0 RR intervals" in capsys.readouterr().out
    assert content(database) == content(imported)


def test_of_leads_with_one_label_the_one_with_the_beats_is_imported(database: str, tmp_path: Path) -> None:
    noise_mv = np.random.default_rng(0).normal(0, 0.2, 120 * FS_HZ)
    clean_mv = place_beats(steady_beats(75, 0.5, 119.5), 120)
    channels = [Channel("ECG", ecg_mv * 1000, FS_HZ) for ecg_mv in (noise_mv, clean_mv)]
    (tmp_path / "in" / "s1").mkdir(parents=True)
    write_edf(tmp_path / "in" / "s1" / "night.edf", channels, start=datetime(2020, 1, 1))
    words = ["dataset=any", f"dataset.root={tmp_path / 'in'}", f"workspace={tmp_path}", "compute=serial"]
    assert main(["import", *words, f"url={database}", "ecg=envelope"]) == 0
    low_mv, high_mv = np.array(rows(database, "SELECT low_mv, high_mv FROM ecg ORDER BY ts")).T
    assert (low_mv.min(), high_mv.max()) == pytest.approx((clean_mv.min(), clean_mv.max()), abs=0.001)


def test_a_recording_no_longer_in_the_corpus_stays_and_is_named(
    trained: Project, database: str, capsys: pytest.CaptureFixture[str]
) -> None:
    put_one(database, "gone", dataset="synthetic")
    assert trained.run("import", f"url={database}", "ecg=none") == 0
    assert (
        "in the database, but not in the prepared corpus: 1 recording of synthetic, kept there: gone"
        in capsys.readouterr().out
    )
    # Who does not want it removes it, with all that hangs on it.
    rows(database, "DELETE FROM recording WHERE name = 'gone'")
    orphans = "SELECT count(*) FROM rr WHERE recording_id NOT IN (SELECT recording_id FROM recording)"
    assert rows(database, orphans) == [(0,)]


def test_every_change_of_a_recording_is_imported(
    trained: Project, database: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert trained.run("import", f"url={database}", "ecg=none") == 0
    real = PreparedCorpus.__getitem__
    corrections = {"start": "2001-01-01T00:00:00", "subject": "X", "usable_share": 0.25, "channel": "ECG X"}
    made: dict[str, object] = {}

    def corrected(self: PreparedCorpus, name: str) -> PreparedRecording:
        recording = real(self, name)
        return replace(recording, row={**recording.row, **made}) if name == next(iter(self)) else recording

    monkeypatch.setattr(PreparedCorpus, "__getitem__", corrected)
    for what, value in corrections.items():
        made[what] = value
        assert trained.run("import", f"url={database}", "ecg=none") == 0
        assert "1 recording imported, 11 unchanged" in capsys.readouterr().out, what
    there = "SELECT start_at::text, subject, usable_share, channel FROM recording ORDER BY name LIMIT 1"
    assert rows(database, there) == [("2001-01-01 00:00:00+00", "X", 0.25, "ECG X")]


def test_every_sample_around_seizures_is_imported_on_request(trained: Project, imported: str, database: str) -> None:
    assert trained.run("import", f"url={database}", "ecg=events") == 0
    query = (
        "SELECT count(*) FROM ecg JOIN annotation a USING (recording_id) "
        "WHERE ts BETWEEN a.onset_at AND a.onset_at + interval '1 s'"
    )
    n, expected = rows(database, "SELECT count(*), sum(fs_hz) FROM annotation JOIN recording USING (recording_id)")[0]
    assert rows(database, query)[0][0] == pytest.approx(expected, abs=n)
    assert rows(database, "SELECT count(*), count(DISTINCT name) FROM recording") == [(12, 12)]
    # Elsewhere there are as many as always.
    quiet = "SELECT count(*) FROM ecg JOIN recording r USING (recording_id) WHERE NOT EXISTS (SELECT FROM annotation a "
    quiet += "WHERE a.recording_id = r.recording_id)"
    assert rows(database, quiet) == rows(imported, quiet)


def test_the_tables_are_created_once_by_the_first_process(database: str) -> None:
    script = f"""
from aura.database.connection import connect
from aura.database.schema import migrate
with connect({database!r}) as connection:
    print(migrate(connection))
"""
    both = [subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, cwd=PROJECT) for _ in range(3)]
    assert [one.communicate(timeout=60)[0].split() for one in both] == [[str(list_migrations()[-1][0]).encode()]] * 3
    assert rows(database, "SELECT version FROM schema_version ORDER BY 1") == [
        (number,) for number, _ in list_migrations()
    ]


def test_every_column_has_a_comment(imported: str) -> None:
    silent = rows(
        imported,
        "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public' AND "
        "col_description((table_schema || '.' || table_name)::regclass, ordinal_position) IS NULL",
    )
    assert silent == []


def test_tables_of_a_later_release_are_refused(
    database: str, trained: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        migrate(connection)
        connection.execute("INSERT INTO schema_version VALUES (999)")
    assert trained.run("import", f"url={database}") == 1
    assert "the tables are of version 999" in capsys.readouterr().err


def test_the_reader_reads_and_the_writer_imports(trained: Project, imported: str, database: str) -> None:
    with psycopg.connect(imported, autocommit=True) as connection:
        connection.execute("SET ROLE aura_reader")
        for table in (*TABLES, "heart_rate"):
            connection.execute(sql.SQL("SELECT * FROM {} LIMIT 1").format(sql.Identifier(table)))
        for statement in ("DELETE FROM rr", "INSERT INTO failure VALUES ('a', 'b', 'c', 'd', 'e')", "DROP TABLE rr"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement.encode())
    with psycopg.connect(database, autocommit=True) as connection:
        migrate(connection)
        connection.execute(b"CREATE ROLE importer LOGIN IN ROLE aura_writer")
    other = database.replace("postgres:@", "importer:@")
    assert trained.run("import", f"url={other}", f"model={MODEL}") == 0
    assert content(database) == content(imported)


def test_the_reader_cannot_create_anything(database: str) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        # As PostgreSQL 14 has it.
        connection.execute("GRANT CREATE ON SCHEMA public TO PUBLIC")
        migrate(connection)
        connection.execute("SET ROLE aura_reader")
        # It may set this for itself.
        connection.execute("SET default_transaction_read_only = off")
        for statement in MAKES:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement.encode())


def test_the_writer_can_dump(database: str, tmp_path: Path) -> None:
    put_one(database, "a")
    rows(database, "DROP ROLE IF EXISTS hand; CREATE ROLE hand LOGIN IN ROLE aura_writer")
    url = database.replace("postgres:@", "hand:@")
    assert main(["dump", f"url={url}", f"output={tmp_path / 'a.dump'}"]) == 0


def test_a_user_without_the_right_to_revoke_gets_the_statements(
    trained: Project, database: str, postgresql_server: str, capsys: pytest.CaptureFixture[str]
) -> None:
    # The roles, which are of the whole server, are there from another database.
    with psycopg.connect(new_database(postgresql_server), autocommit=True) as connection:
        migrate(connection)
    name = database.partition("@/")[2].partition("?")[0]
    rows(database, "DROP ROLE IF EXISTS maker; CREATE ROLE maker LOGIN; GRANT CREATE ON SCHEMA public TO maker")
    url = database.replace("postgres:@", "maker:@")
    assert trained.run("import", f"url={url}", "ecg=none") == 1
    said = capsys.readouterr().err
    statements = said.partition("the statements ")[2].strip()
    assert statements.startswith(f"REVOKE TEMPORARY ON DATABASE {name} FROM PUBLIC; GRANT TEMPORARY ON DATABASE")
    assert rows(database, "SELECT to_regclass('public.recording')") == [(None,)]
    # Once the administrator has run them, it goes on.
    rows(database, statements)
    assert trained.run("import", f"url={url}", "ecg=none") == 0
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("SET ROLE aura_reader")
        for statement in MAKES:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement.encode())


HOSTILE = ['o\'hara "x"', "x'; DROP TABLE rr; --", "%s %(a)s \\ \n \t", "ü漢🫀", "x" * 1000, "漢" * 66, "agreement.csv"]


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_stored_and_come_back(name: str, database: str, tmp_path: Path) -> None:
    put_one(database, name)
    assert rows(database, "SELECT name, subject FROM recording") == [(name, name)]
    rows(
        database,
        "INSERT INTO annotation (recording_id, annotator, onset_at, end_at, comment) "
        "SELECT recording_id, %s, start_at, end_at, %s FROM recording",
        name[:200].encode()[:200].decode(errors="ignore"),
        name,
    )
    assert main(["export-annotations", f"url={database}", f"output={tmp_path / 'out'}"]) == 0
    files = sorted((tmp_path / "out").rglob("*.tse_bi"))
    assert len(files) == 2
    assert all(file.resolve().is_relative_to(tmp_path / "out") for file in files)
    assert {event.kind for file in files for event in read_tse(file)} == {"seiz"}


@pytest.mark.parametrize(
    ("name", "says"), [("a\0b", "NUL"), ("x" * 1001, "violates check constraint"), ("", "violates")]
)
def test_names_that_cannot_be_stored_are_refused(name: str, says: str, database: str) -> None:
    with pytest.raises((psycopg.DataError, psycopg.IntegrityError), match=says):
        put_one(database, name)
    with psycopg.connect(database, autocommit=True) as connection:
        for table in TABLES:
            assert connection.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(table))).fetchone() == (
                0,
            )


def put_one(
    url: str, name: str, confidence: float = 1.0, start: datetime | None = None, dataset: str = "any", subject: str = ""
) -> None:
    from aura.core.series import RRSeries
    from aura.database.recordings import Row, write_recording

    rr = RRSeries(np.arange(1.0, 10.0), np.full(9, 1000.0), 10.0)
    row = Row(dataset, name, subject or name, "", start, 10.0, "ECG", 250.0, 1.0, 10, True, "x")
    with psycopg.connect(url, autocommit=True) as connection:
        migrate(connection)
        with connection.transaction():
            write_recording(connection, row, rr, seizures=[Event(0.0, 10.0, "seiz", confidence)], faults=[])


def test_an_invalid_confidence_is_refused(database: str) -> None:
    with pytest.raises(psycopg.IntegrityError, match="confidence"):
        put_one(database, "a", confidence=1e308)
    assert rows(database, "SELECT count(*) FROM recording") == [(0,)]


def test_a_recording_that_cannot_be_stored_is_listed_and_the_others_continue(
    trained: Project, database: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:

    real = PreparedCorpus.__getitem__
    first = next(iter(PreparedCorpus.open(trained.folder("prepared"))))

    def spoilt(self: PreparedCorpus, name: str) -> PreparedRecording:
        recording = real(self, name)
        return replace(recording, seizures=(Event(1.0, 2.0, "seiz", 7.0),)) if name == first else recording

    monkeypatch.setattr(PreparedCorpus, "__getitem__", spoilt)
    assert trained.run("import", f"url={database}", "ecg=none") == 0
    assert "11 recordings imported, 0 unchanged, 1 failed" in capsys.readouterr().out
    ((recording, stage, reason, message),) = rows(database, "SELECT recording, stage, reason, message FROM failure")
    assert (recording, stage, reason) == (first, "import", "not_storable")
    assert "the database refuses it" in message
    assert rows(database, "SELECT count(*) FROM recording WHERE name = %s", first) == [(0,)]
    # When it can be stored, it is, and the failure is gone.
    monkeypatch.undo()
    assert trained.run("import", f"url={database}", "ecg=none") == 0
    assert rows(database, "SELECT count(*) FROM failure") == [(0,)]


def test_an_annotation_file_without_a_recording_is_a_failure_of_its_own(
    trained: Project, database: str, postgresql_server: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root, text = tmp_path / "in", "version = tse_v1.0.0\n\n0.0 30.0 bckg 1.0\n30.0 60.0 seiz 1.0\n"
    write_real(root / "S1" / "a.edf")
    # And a recording that has a name but cannot be read.
    (root / "S1" / "b.edf").write_bytes(b"no header")
    for name in ("a", "gone"):
        (root / "S1" / f"{name}.tse_bi").write_text(text)
    words = ["dataset=any", f"dataset.root={root}", f"workspace={tmp_path / 'work'}", "compute=serial"]
    # Once as the run that prepares, once as the next one, which reads everything back.
    for n_imported, imported in ((1, "1 recording imported"), (0, "0 recordings imported")):
        assert main(["import", *words, "prepare.max_failed_share=1", f"url={database}", f"model={MODEL}"]) == 0
        out = capsys.readouterr().out
        assert f"{imported}, {1 - n_imported} unchanged, 0 failed" in out
        assert ("; 1 annotation file belongs to no recording" in out) == (n_imported == 1)
        assert rows(database, "SELECT recording, stage, reason FROM failure ORDER BY recording") == [
            ("S1/gone.tse_bi", "prepare", "annotation_without_edf"),
            ("S1_b", "prepare", "unreadable_edf"),
        ]
    assert rows(database, "SELECT name, subject, annotated FROM recording") == [("S1_a", "S1", True)]
    # Both go on to whoever is handed the database, and to the pages.
    other, file = new_database(postgresql_server), tmp_path / "all.dump"
    assert main(["dump", f"url={database}", f"output={file}"]) == 0
    assert main(["restore", f"url={other}", f"dump={file}"]) == 0
    for table in ("failure", "recording", "annotation"):
        query = f"SELECT * FROM {table} ORDER BY 1, 2"
        assert rows(other, query) == rows(database, query) != []
    assert main(["detect", f"model={MODEL}", f"edf={root}", f"output={tmp_path / 'out'}", *words[2:]]) == 0
    page = (tmp_path / "out" / "index.html").read_text()
    assert "gone.tse_bi" in page
    assert "NaN" not in page
    assert ">nan<" not in page


def test_a_connection_that_drops_leaves_whole_recordings(
    trained: Project, imported: str, database: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import aura.stages.importing.run as importing

    real, n_calls = importing.write_predictions, []

    def dropped(connection: Any, *arguments: Any, **more: Any) -> None:
        n_calls.append(1)
        if len(n_calls) == 4:
            rows(database, "SELECT pg_terminate_backend(%s)", connection.info.backend_pid)
        real(connection, *arguments, **more)

    monkeypatch.setattr(importing, "write_predictions", dropped)
    assert trained.run("import", f"url={database}", f"model={MODEL}") == 1
    said = capsys.readouterr().err
    assert "aura import: the database t" in said
    assert "Traceback" not in said
    assert rows(database, "SELECT count(*) FROM recording") == [(3,)]
    monkeypatch.undo()
    assert trained.run("import", f"url={database}", f"model={MODEL}") == 0
    assert content(database) == content(imported)


@pytest.fixture
def small_disk(postgresql_server: str, public_path: Path) -> Iterator[Path]:
    """A disk of 24 MB that the server may write to."""
    folder = public_path / "disk"
    folder.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=24m,mode=777", "none", folder], capture_output=True
    ).returncode:
        pytest.skip("a small disk cannot be mounted; run the tests as root")
    (folder / "space").mkdir()
    data = Path(postgresql_server.split("host=")[1])
    shutil.chown(folder / "space", data.stat().st_uid, data.stat().st_gid)
    yield folder / "space"
    subprocess.run(["umount", "--lazy", folder], check=True)


def test_a_full_disk_is_one_line_and_leaves_whole_recordings(
    trained: Project, imported: str, postgresql_server: str, small_disk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows(postgresql_server, f"CREATE TABLESPACE small LOCATION '{small_disk}'")
    url = new_database(postgresql_server)
    name = url.split("/")[3].split("?")[0]
    rows(postgresql_server, f"ALTER DATABASE {name} SET TABLESPACE small")
    # Otherwise the timed checkpoint may come while the disk is full, and end the server.
    rows(postgresql_server, "CHECKPOINT")
    assert trained.run("import", f"url={url}") == 1
    said = capsys.readouterr().err
    assert "No space left on device" in said.splitlines()[-1]
    assert "Traceback" not in said
    counts = "SELECT name, (SELECT count(*) FROM rr WHERE recording_id = r.recording_id), "
    counts += "(SELECT count(*) FROM ecg WHERE recording_id = r.recording_id) FROM recording r"
    there = rows(url, counts)
    assert 0 < len(there) < 12
    assert set(there) <= set(rows(imported, counts))
    rows(postgresql_server, f"DROP DATABASE {name} WITH (FORCE)")
    rows(postgresql_server, "DROP TABLESPACE small")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "write url=postgresql://user@host/aura, or set AURA_DATABASE"),
        (["url=mysql://x"], "database.url has to begin with postgresql://"),
        (["url=postgresql://me:secret@127.0.0.1:9/aura"], "the database aura at 127.0.0.1: "),
        (
            ["url=postgresql://me:100%zzsecret@127.0.0.1:9/aura"],
            "database.url cannot be read; in a user name or password",
        ),
        (["url=postgresql://me:a secret@127.0.0.1:9/aura"], "database.url cannot be read"),
        (["url=postgresql://me:p@secret@127.0.0.1:9/aura"], "database.url cannot be read"),
        (["url=postgresql://me:a/secret@127.0.0.1:9/aura"], "database.url cannot be read"),
        (["url=postgresql://me:secret@[::1/aura"], "database.url cannot be read"),
        (["url=postgresql://me@/x", "ecg=all"], "ecg=all; allowed are none, envelope, events"),
        (["url=postgresql://me@/x", "dataset.pseudonyms=true"], "write ecg=none"),
    ],
)
def test_a_wrong_setting_gives_one_line(
    words: list[str], says: str, trained: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    assert trained.run("import", *words) == 1
    said = capsys.readouterr().err
    assert says in said.splitlines()[-1]
    assert "secret" not in said


def test_a_missing_database_is_named(
    trained: Project, postgresql_server: str, capsys: pytest.CaptureFixture[str]
) -> None:
    url = postgresql_server.replace("/postgres?", "/nowhere?")
    assert trained.run("import", f"url={url}") == 1
    assert "the database nowhere at this machine: " in capsys.readouterr().err


READERS = {".tse_bi": read_tse, ".csv_bi": read_csv, "_events.tsv": read_events_tsv}


@pytest.mark.parametrize(
    ("kind", "suffix"), [("tse_bi", ".tse_bi"), ("csv_bi", ".csv_bi"), ("events_tsv", "_events.tsv")]
)
def test_exported_annotations_equal_the_imported_ones(
    kind: str, suffix: str, trained: Project, imported: str, tmp_path: Path
) -> None:
    output = tmp_path / "some folder" / "out"
    assert main(["export-annotations", f"url={imported}", f"output={output}", f"format={kind}"]) == 0
    prepared = PreparedCorpus.open(trained.folder("prepared"))
    n_seizures = 0
    for name in prepared:
        seizures = prepared[name].seizures
        file = output / "annotators" / "reference" / "synthetic" / f"{name}{suffix}"
        events = [event for event in READERS[suffix](file) if event.kind in ("seiz", "sz")]
        times = [(e.onset_s, e.end_s) for e in events]
        assert np.allclose(times, [(e.onset_s, e.end_s) for e in seizures], rtol=0, atol=0.0011), name
        n_seizures += len(events)
        about = file.with_name(f"{name}_events.json") if kind == "events_tsv" else file
        if seizures:
            assert "annotator" in about.read_text()
            assert "UTC" in about.read_text()
    assert n_seizures == prepared.recordings["n_seizures"].sum() > 0


def test_annotators_are_compared(
    trained: Project, postgresql_server: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = new_database(postgresql_server)
    assert trained.run("import", f"url={url}", "ecg=none") == 0
    at = "SELECT recording_id, %s, start_at + %s, start_at + %s, %s FROM recording WHERE name = %s"
    name = rows(url, "SELECT name FROM recording r ORDER BY name")[0][0]
    for annotator, from_s, to_s, kind in (
        ("A. Nnotator", 100, 200, "seiz"),
        ("A. Nnotator", 150, 160, "bckg"),
        ("../../B", 100, 150, "seiz"),
        ('=HYPERLINK("http://x";1)', 100, 150, "seiz"),
        ("-1,+2", 100, 150, "seiz"),
    ):
        rows(
            url,
            "INSERT INTO annotation (recording_id, annotator, onset_at, end_at, kind) " + at,
            annotator,
            timedelta(seconds=from_s),
            timedelta(seconds=to_s),
            kind,
            name,
        )
    assert main(["export-annotations", f"url={url}", f"output={tmp_path / 'out'}", "dataset=synthetic"]) == 0
    assert "annotators disagree" in capsys.readouterr().out
    mine = read_tse(tmp_path / "out" / "annotators" / "A. Nnotator" / "synthetic" / f"{name}.tse_bi")
    assert [(e.onset_s, e.end_s) for e in mine if e.kind == "seiz"] == [(100, 150), (160, 200)]
    assert (tmp_path / "out" / "annotators" / "..%2F..%2FB" / "synthetic" / f"{name}.tse_bi").is_file()
    table = pd.read_csv(tmp_path / "out" / "agreement.csv")
    formula = """'=HYPERLINK("http://x";1)"""
    assert set(table["one"]) | set(table["other"]) == {"reference", "A. Nnotator", "../../B", formula, "'-1,'+2"}
    pair = table[(table["one"] == "../../B") & (table["other"] == "A. Nnotator")].iloc[0]
    assert pair["disputed_s"] == 40
    duration_s = rows(url, "SELECT duration_s FROM recording WHERE name = %s", name)[0][0]
    # Cohen's kappa by hand.
    n, both, one, other = round(duration_s), 50, 50, 90
    by_chance = (one * other + (n - one) * (n - other)) / n**2
    agreed = (both + n - one - other + both) / n
    assert pair["kappa"] == pytest.approx((agreed - by_chance) / (1 - by_chance))


def test_a_dump_fills_another_database(
    imported: str, database: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "some folder" / "all.dump"
    file.parent.mkdir()
    assert main(["dump", f"url={imported}", f"output={file}"]) == 0
    assert "12 recordings" in capsys.readouterr().out
    manifest = json.loads(zipfile.ZipFile(file).read("manifest.json"))
    assert manifest["tables"]["rr"]["rows"] == rows(imported, "SELECT count(*) FROM rr")[0][0]
    assert main(["restore", f"url={database}", f"dump={file}"]) == 0
    for table in TABLES:
        query = f"SELECT * FROM {table} ORDER BY 1, 2, 3"
        assert rows(database, query) == rows(imported, query)
    # Ids go on where they were.
    rows(
        database,
        "INSERT INTO annotation (recording_id, annotator, onset_at, end_at) SELECT 1, 'x', start_at, end_at "
        "FROM recording WHERE recording_id = 1",
    )
    assert main(["restore", f"url={database}", f"dump={file}"]) == 1
    assert "the database is not empty" in capsys.readouterr().err


def test_a_damaged_dump_restores_nothing(
    imported: str, database: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, damaged = tmp_path / "a.dump", tmp_path / "b.dump"
    assert main(["dump", f"url={imported}", f"output={file}"]) == 0
    whole = file.read_bytes()
    middle = bytearray(whole)
    middle[len(whole) // 2] ^= 0xFF
    swapped = io.BytesIO()
    with zipfile.ZipFile(file) as old, zipfile.ZipFile(swapped, "w") as new:
        for name in old.namelist():
            text = old.read(name)
            new.writestr(name, text.replace(b'"rows": 12', b'"rows": 11') if name == "manifest.json" else text)
    for bad in (b"", b"hello", whole[: len(whole) // 2], bytes(middle), swapped.getvalue()):
        damaged.write_bytes(bad)
        assert main(["restore", f"url={database}", f"dump={damaged}"]) == 1
        assert "is not a dump of Aura, or is damaged" in capsys.readouterr().err
        if rows(database, "SELECT to_regclass('public.recording')") != [(None,)]:
            assert rows(database, "SELECT count(*) FROM recording") == [(0,)]


def repack(file: Path, packing: int = zipfile.ZIP_DEFLATED, **changed: bytes | None) -> Path:
    """Copy a dump with other content of some of its files, or with further ones; None leaves a file out."""
    target = file.with_name("changed.dump")
    with zipfile.ZipFile(file) as old, zipfile.ZipFile(target, "w", packing) as new:
        for name in old.namelist():
            text = changed.pop(name, b"") or (old.read(name) if name not in changed else None)
            if text is not None:
                new.writestr(name, text)
        for name, text in changed.items():
            new.writestr(name, text or b"")
    return target


@pytest.mark.parametrize(
    ("packing", "changed", "says"),
    [
        (zipfile.ZIP_DEFLATED, {"manifest.json": b" " * 400_000_000}, "manifest.json would unpack to 400000000 bytes"),
        (zipfile.ZIP_DEFLATED, {"rr": b"\0" * 400_000_000}, "rr would unpack to 400000000 bytes; allowed are"),
        (zipfile.ZIP_BZIP2, {"rr": b"\0" * 400_000_000}, "is not packed in the way dump does"),
        (zipfile.ZIP_DEFLATED, {"../../etc/passwd": b"x"}, "its files are not those of a dump"),
        (zipfile.ZIP_DEFLATED, {str(i): b"" for i in range(1000)}, "its files are not those of a dump"),
        (zipfile.ZIP_DEFLATED, {str(i) * 40: b"" for i in range(10_000)}, "its list of files is too long"),
        (zipfile.ZIP_DEFLATED, {"manifest.json": b"[" * 900_000}, "is not a dump of Aura, or is damaged"),
        (
            zipfile.ZIP_DEFLATED,
            {"manifest.json": b'{"format": "\\u001b[2J", "schema_version": 1}'},
            "format is not a number",
        ),
    ],
)
def test_a_zip_bomb_is_not_unpacked(
    packing: int, changed: dict[str, bytes], says: str, database: str, tmp_path: Path
) -> None:
    put_one(database, "a")
    assert main(["dump", f"url={database}", f"output={tmp_path / 'a.dump'}"]) == 0
    bomb = repack(tmp_path / "a.dump", packing, **changed)
    with connect(database) as connection:
        tracemalloc.start()
        with pytest.raises(AuraError, match=says.replace("(", ".")):
            restore(connection, bomb)
        _, peak_bytes = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak_bytes < 60_000_000
    assert rows(database, "SELECT count(*) FROM recording") == [(1,)]


@pytest.mark.parametrize("table", ["manifest.json", "rr"])
def test_a_dump_that_declares_less_than_it_holds_is_not_restored(
    table: str, database: str, postgresql_server: str, tmp_path: Path
) -> None:
    put_one(database, "a")
    assert main(["dump", f"url={database}", f"output={tmp_path / 'a.dump'}"]) == 0
    bomb = repack(tmp_path / "a.dump", **{table: b" " * 400_000_000})
    # The size stands in the list at the end, and in front of the file.
    bomb.write_bytes(bomb.read_bytes().replace((400_000_000).to_bytes(4, "little"), (5000).to_bytes(4, "little")))
    other = new_database(postgresql_server)
    with connect(other) as connection:
        tracemalloc.start()
        with pytest.raises(AuraError):
            restore(connection, bomb)
        _, peak_bytes = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak_bytes < 20_000_000
    if rows(other, "SELECT to_regclass('public.recording')") != [(None,)]:
        assert rows(other, "SELECT count(*) FROM recording") == [(0,)]


def test_damage_of_any_byte_of_a_dump_is_found(database: str, postgresql_server: str, tmp_path: Path) -> None:
    file, damaged = tmp_path / "a.dump", tmp_path / "b.dump"
    put_one(database, "a")
    assert main(["dump", f"url={database}", f"output={file}"]) == 0
    whole, url, n_refused = file.read_bytes(), new_database(postgresql_server), 0
    for at in range(0, len(whole), 29):
        damaged.write_bytes(whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :])
        with suppress(AuraError):
            with connect(url) as connection:
                restore(connection, damaged)
            # A date in the archive, or the like.
            assert content(url) == content(database)
            rows(url, "TRUNCATE recording, rr, ecg, quality, annotation, model, prediction, detection, failure")
            continue
        n_refused += 1
        assert rows(url, "SELECT count(*) FROM recording") == [(0,)]
    assert n_refused > 50


def test_subjects_with_the_same_name_are_not_dumped_together(
    database: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put_one(database, "a", dataset="one", subject="01")
    put_one(database, "b", dataset="other", subject="01")
    words = ["dump", f"url={database}", "subjects=[01]", f"output={tmp_path / 'x'}"]
    assert main(words) == 1
    assert "a subject '01' in each of one, other; choose one with dataset=" in capsys.readouterr().err
    assert main([*words, "dataset=one"]) == 0
    assert "dump: 1 recording," in capsys.readouterr().out


def test_a_dump_with_pseudonyms_holds_no_names(
    imported: str, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AURA_PSEUDONYM_KEY", "a secret of the clinic")
    subject = rows(imported, "SELECT min(subject) FROM recording")[0][0]
    file = tmp_path / "some.dump"
    words = [f"url={imported}", "dataset=synthetic", f"subjects=[{subject}]", f"output={file}", "pseudonyms=true"]
    assert main(["dump", *words]) == 0
    with zipfile.ZipFile(file) as archive:
        everything = b"".join(archive.read(name) for name in archive.namelist())
    named = rows(imported, "SELECT name, subject, session FROM recording WHERE subject = %s", subject)
    for names in named:
        for name in names:
            assert name.encode() not in everything
    assert main(["restore", f"url={database}", f"dump={file}"]) == 0
    there = "SELECT count(*), sum(duration_s), sum(n_beats) FROM recording WHERE subject = %s OR %s"
    assert rows(database, there, "", True) == rows(imported, there, subject, False)
    first = "SELECT min(start_at) FROM recording WHERE subject = %s OR %s"
    moved = rows(imported, first, subject, False)[0][0] - rows(database, first, "", True)[0][0]
    assert moved > timedelta(0)
    assert moved % timedelta(weeks=1) == timedelta(0)
    # Neither ids nor days of import tell who it was, or when.
    names = [name for (name,) in rows(database, "SELECT name FROM recording ORDER BY recording_id")]
    assert names == sorted(names)
    when = "SELECT count(*) FROM recording WHERE imported_at <> start_at OR content <> 'handed over'"
    assert rows(database, when) == [(0,)]
    assert rows(database, "SELECT imported_on FROM model") == [(None,)]
    when = "SELECT count(*) FROM annotation a JOIN recording r USING (recording_id) WHERE created_at NOT BETWEEN "
    assert rows(database, when + "start_at AND start_at + interval '1 min'") == [(0,)]
    # Everything that has a time has moved with it.
    for table, column in (("rr", "ts"), ("prediction", "ts"), ("annotation", "onset_at"), ("ecg", "ts")):
        query = f"SELECT t.{column} - start_at FROM {table} t JOIN recording USING (recording_id) "
        query += "WHERE subject = %s OR %s ORDER BY 1"
        assert rows(database, query, "", True) == rows(imported, query, subject, False)
    assert main(["dump", f"url={imported}", "subjects=[nobody]", f"output={tmp_path / 'x'}"]) == 1
    assert "there is no subject 'nobody'" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()


def test_an_import_is_logged_without_its_address(trained: Project, database: str, run_of: Any) -> None:
    assert trained.run("import", f"url={database}", "ecg=none") == 0
    run = run_of("import")
    assert run.data.metrics["imported"] == 12
    assert run.data.params["import.ecg"] == "none"
    assert not any("postgresql" in value for value in run.data.params.values())
    text = mlflow.artifacts.load_text(f"{run.info.artifact_uri}/config.yaml")
    assert "postgresql" not in text
