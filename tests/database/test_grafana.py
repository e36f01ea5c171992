"""What Grafana asks is answered, by the role it has; what people mark in it comes back. No Grafana runs here."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models import dashboard as models

from aura.cli import main
from aura.core.paths import PROJECT
from aura.database.annotations import Recording
from aura.database.grafana import Region, assign_regions
from aura.formats.tse import read_tse
from deploy.grafana.generate import recordings
from deploy.grafana.generate.__main__ import files
from deploy.grafana.generate.queries import HEART_RATE, VARIABLES, expand, lane
from tests.support.postgresql import new_database
from tests.support.project import Project

pytestmark = pytest.mark.integration

MODEL = "models:/aura-seizure-detector-synthetic@champion"
GRAFANA = PROJECT / "deploy" / "grafana"


@pytest.fixture(scope="module")
def imported(trained: Project, postgresql_server: str) -> str:
    """A database with the small corpus and what the champion says of it."""
    url = new_database(postgresql_server)
    assert trained.run("import", f"url={url}", f"model={MODEL}") == 0
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("ANALYZE")
    return url


def test_the_files_are_up_to_date() -> None:
    for path, text in files().items():
        assert (GRAFANA / path).read_text(encoding="utf-8") == text, f"{path} is old; run make dashboards"


@pytest.mark.parametrize("name", sorted(recordings.dashboards()))
def test_a_dashboard_is_valid_by_grafana_s_own_types(name: str) -> None:
    """The SDK's models are generated from Grafana's schema: what they read and write again is by it."""
    register_default_plugins()
    text = json.loads((GRAFANA / "dashboards" / f"{name}.json").read_text())
    again = json.loads(json.dumps(models.Dashboard.from_json(text), cls=JSONEncoder))
    for board in (text, again):
        # What the SDK does not know of: the queries of the data source.
        board.pop("annotations", None)
        for panel in board["panels"]:
            panel.pop("targets")
    assert_within(text, again)
    assert [panel["id"] for panel in text["panels"]] == list(range(1, len(text["panels"]) + 1))
    for panel in text["panels"]:
        assert panel["title"]
        assert panel["description"]
        assert panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24


def assert_within(some: Any, whole: Any) -> None:
    """See that all of one is in the other, which may have defaults besides."""
    if isinstance(some, dict):
        for key, value in some.items():
            assert_within(value, whole[key])
    elif isinstance(some, list):
        assert len(some) == len(whole)
        for one, other in zip(some, whole, strict=True):
            assert_within(one, other)
    else:
        assert some == whole


def queries_of(board: Any) -> list[str]:
    panels = [target["rawSql"] for panel in board["panels"] for target in panel["targets"]]
    marks = [one["target"]["rawSql"] for one in board.get("annotations", {}).get("list", []) if "target" in one]
    return [*panels, *marks]


ALL = {
    f"{name} {number}": sql
    for name in recordings.dashboards()
    for number, sql in enumerate(queries_of(json.loads((GRAFANA / "dashboards" / f"{name}.json").read_text())))
}
ALL |= {f"variable {name}": sql for name, sql in VARIABLES.items()}
ALL |= {
    rule["title"]: rule["data"][0]["model"]["rawSql"]
    for rule in yaml.safe_load((GRAFANA / "provisioning/alerting/aura.yaml").read_text())["groups"][0]["rules"]
}


def ask(connection: psycopg.Connection[Any], sql: str, values: dict[str, str], begin: str, end: str) -> Any:
    text = expand(sql, values, begin, end, "10s")
    assert "$" not in text
    return connection.execute(text.encode())


@pytest.mark.parametrize("name", ALL)
def test_the_reader_can_run_every_query(name: str, imported: str) -> None:
    with psycopg.connect(imported, autocommit=True) as connection:
        connection.execute("SET ROLE aura_reader")
        connection.execute("SET TIME ZONE 'UTC'")
        row = connection.execute(
            "SELECT recording_id, subject, start_at, end_at FROM recording "
            "WHERE recording_id IN (SELECT recording_id FROM annotation) ORDER BY 1 LIMIT 1"
        ).fetchone()
        assert row is not None
        values = {"dataset": "synthetic", "subject": row[1], "recording": str(row[0]), "model": "1"}
        cursor = ask(connection, ALL[name], values, str(row[2]), str(row[3]))
        found = cursor.fetchall()
        # Nothing has failed, and what is detected or of bad quality need not be.
        may_be_empty = ("FROM failure" in ALL[name], "FROM quality" in ALL[name], "FROM detection" in ALL[name])
        assert found or any(may_be_empty) or "annotator <>" in ALL[name] or "imported_at" in ALL[name]
        # A value that breaks out of its quotes is a value.
        evil = dict.fromkeys(values, "1'; DROP TABLE rr; --")
        with suppress(psycopg.errors.InvalidTextRepresentation):
            ask(connection, ALL[name], evil, str(row[2]), str(row[3]))


def test_the_time_range_of_a_recording_shows_all_of_it(imported: str) -> None:
    """What the chart of heart rates shows is what is there: its lowest, its highest, and no gap."""
    with psycopg.connect(imported, autocommit=True) as connection:
        connection.execute("SET TIME ZONE 'UTC'")
        row = connection.execute("SELECT recording_id, start_at, end_at FROM recording ORDER BY 1 LIMIT 1").fetchone()
        assert row is not None
        found = ask(connection, HEART_RATE, {"recording": str(row[0])}, str(row[1]), str(row[2]))
        shown = found.fetchall()
        real = connection.execute(
            "SELECT min(60000 / rr_ms), max(60000 / rr_ms) FROM rr WHERE recording_id = %s", (row[0],)
        ).fetchone()
    assert (min(one[1] for one in shown), max(one[3] for one in shown)) == real
    assert len(shown) == 90


class Stub(BaseHTTPRequestHandler):
    """A stand-in for the annotations of Grafana's HTTP API, as its documentation has them; no Grafana."""

    annotations: ClassVar[list[dict[str, Any]]] = []

    def do_GET(self) -> None:
        asked = urlsplit(self.path)
        query = parse_qs(asked.query)
        if self.headers["Authorization"] != "Bearer right":
            self.answer(401, {"message": "Invalid API key"})
        elif asked.path.startswith("/elsewhere"):
            self.send_response(302)
            self.send_header("Location", f"http://localhost:{self.server.server_port}/grafana{self.path[10:]}")  # type: ignore[attr-defined]
            self.end_headers()
        elif asked.path != "/grafana/api/annotations":
            self.answer(404, {"message": "Not found"})
        else:
            self.answer(200, self.annotations[: int(query["limit"][0])])

    def answer(self, status: int, what: Any) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(what).encode())

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def grafana(annotations: list[dict[str, Any]]) -> Iterator[str]:
    Stub.annotations = annotations
    with ThreadingHTTPServer(("127.0.0.1", 0), Stub) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def mark(number: int, start: Any, from_s: float, to_s: float, *tags: str, **more: Any) -> dict[str, Any]:
    begin = start.timestamp() * 1000
    times = {"time": int(begin + 1000 * from_s), "timeEnd": int(begin + 1000 * to_s)}
    fixed = {
        "id": number,
        "alertId": 0,
        "dashboardUID": "aura-recording",
        "panelId": 2,
        "userId": 1,
        "text": "<b>x</b>",
    }
    return {**fixed, **times, "login": "dr.who", "tags": list(tags), "created": 1_790_000_000_000 + number, **more}


def test_marks_in_grafana_are_exported_as_files(
    imported: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with psycopg.connect(imported) as connection:
        name, start = connection.execute("SELECT name, start_at FROM recording ORDER BY 1 LIMIT 1").fetchone() or (
            "",
            None,
        )
    marks = [
        mark(1, start, 100, 160, "seiz", f"recording:{name}"),
        mark(2, start, 120, 130, "bckg", f"recording:{name}"),
        mark(3, start, 400, 430, "seiz", f"recording:{name}", login="anyone else"),
        # Another word for it, and a point, of which only the onset is known.
        mark(13, start, 200, 230, "Focal seizure", f"recording:{name}"),
        mark(14, start, 500, 500, "Anfall", f"recording:{name}"),
        mark(15, start, 520, 530, "Turnus", f"recording:{name}"),
        # A point of background, an alert's, one of another time, of a recording that is not there, of something else.
        mark(4, start, 500, 500, "bckg", f"recording:{name}"),
        mark(5, start, 600, 660, "seiz", alertId=7),
        mark(6, start, 10**8, 10**8 + 5, "seiz"),
        mark(7, start, 700, 710, "seiz", "recording:another"),
        mark(8, start, 800, 810, "lunch"),
        mark(10, start, 810, 820, "seiz"),
        mark(9, start, 850, 860, "seiz", f"recording:{name}"),
        mark(11, start, 870, 880, "seiz", "bckg", f"recording:{name}"),
        mark(12, start, 880, 890, "seiz", f"recording:synthetic/{name}", login="reference"),
    ]
    monkeypatch.setenv("AURA_GRAFANA_TOKEN", "right")
    output = tmp_path / "out"
    with grafana(marks) as url:
        command = ["export-annotations", f"url={imported}", f"output={output}", f"grafana={url}/grafana"]
        assert main([*command, "dataset.words.seizure=[Turnus]"]) == 0
    said = capsys.readouterr().out
    folder = output / "annotators"
    events = read_tse(folder / "dr.who" / "synthetic" / f"{name}.tse_bi")
    assert [(e.onset_s, e.end_s) for e in events if e.kind == "seiz"] == [
        (100, 120),
        (130, 160),
        (200, 230),
        (500, 500),
        (520, 530),
        (850, 860),
    ]
    events = read_tse(folder / "anyone else" / "synthetic" / f"{name}.tse_bi")
    assert [(e.onset_s, e.end_s) for e in events if e.kind == "seiz"] == [(400, 430)]
    events = read_tse(folder / "reference@grafana" / "synthetic" / f"{name}.tse_bi")
    assert [(e.onset_s, e.end_s) for e in events if e.kind == "seiz"] == [(880, 890)]
    assert "4 annotations are not exported" in said
    assert "annotation 11 of dr.who" in said
    assert "is tagged seiz and bckg; allowed is one of them" in said
    assert "annotation 10 of dr.who" in said
    assert "recordings; a tag recording:DATASET/NAME says which" in said
    assert "annotation 6 of dr.who" in said
    assert "is of no recording named another" in said
    assert "annotators disagree" in said


def test_a_mark_belongs_to_the_only_recording_of_that_time() -> None:
    at = datetime(2026, 3, 1, tzinfo=UTC)
    days = [Recording(i, "any", f"r{i}", at + timedelta(days=i), True, 3600.0, False) for i in range(3)]
    region = Region(1, "me", "seiz", at + timedelta(days=1, seconds=5), at + timedelta(days=1, seconds=9), at, None)
    by_recording, left = assign_regions([region], days)
    assert not left
    assert [(one.event.onset_s, one.event.end_s) for one in by_recording[1]] == [(5, 9)]


@pytest.mark.parametrize(
    ("token", "path", "says"),
    [
        ("", "", "needs the token of a service account; set the environment variable AURA_GRAFANA_TOKEN"),
        ("wrong", "/grafana", "answers 401 Unauthorized; AURA_GRAFANA_TOKEN has to be"),
        ("right", "/other", "answers 404"),
        # To follow would be to hand the token on.
        ("right", "/elsewhere", "answers 302"),
    ],
)
def test_a_grafana_that_does_not_answer_gives_one_line(
    token: str, path: str, says: str, imported: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AURA_GRAFANA_TOKEN", token)
    with grafana([]) as url:
        assert main(["export-annotations", f"url={imported}", f"grafana={url}{path}"]) == 1
    assert says in capsys.readouterr().err


def test_annotations_that_cannot_be_read_are_refused(
    imported: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AURA_GRAFANA_TOKEN", "right")
    for bad in ({"tags": ["seiz"]}, {"id": 1, "time": 1e308, "timeEnd": 1.7e308, "tags": ["seiz"]}):
        with grafana([bad]) as url:
            assert main(["export-annotations", f"url={imported}", f"grafana={url}/grafana"]) == 1
        assert "an annotation that cannot be read" in capsys.readouterr().err
    assert main(["export-annotations", f"url={imported}", "grafana=ftp://x"]) == 1
    assert "grafana=ftp://x; allowed are addresses such as https://" in capsys.readouterr().err


STRETCHES = """
CREATE TEMPORARY TABLE stretch_ (recording_id integer, onset_at timestamptz, end_at timestamptz, kind text);
INSERT INTO stretch_ SELECT 1, timestamptz '2024-01-01 00:00:00+00' + make_interval(secs => a),
timestamptz '2024-01-01 00:00:00+00' + make_interval(secs => b), kind FROM (VALUES
(10, 60, 'A'), (20, 30, 'B'), (60, 70, 'C'), (90, 95, 'A')) v (a, b, kind);
"""


def test_a_lane_shows_all_current_events(postgresql_server: str) -> None:
    sql = lane("stretch_", "x", "kind", where="recording_id = 1")
    with psycopg.connect(postgresql_server) as connection:
        connection.execute("SET TIME ZONE 'UTC'")
        connection.execute(STRETCHES.encode())
        found = ask(connection, sql, {}, "2024-01-01 00:00:00+00", "2024-01-01 01:00:00+00").fetchall()
    shown = [(time.minute * 60 + time.second, value) for time, value in found]
    expected = [(10, "A"), (20, "A, B"), (30, "A"), (60, "C"), (70, None), (90, "A"), (95, None)]
    assert shown == expected


def test_the_threshold_is_drawn_and_link_columns_are_text() -> None:
    boards = {
        name: json.loads((GRAFANA / "dashboards" / f"{name}.json").read_text()) for name in ("recording", "corpus")
    }
    (panel,) = [one for one in boards["recording"]["panels"] if one["title"] == "Probability and score"]
    assert panel["fieldConfig"]["defaults"]["custom"]["thresholdsStyle"] == {"mode": "line"}
    (panel,) = [one for one in boards["corpus"]["panels"] if one["title"] == "Recordings to look at first"]
    sql = panel["targets"][0]["rawSql"]
    assert "recording_id::text" in sql
    assert sql.count("::bigint::text") == 2
