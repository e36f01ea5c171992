"""What is said of other machines in compose.yaml and deploy/ fits together. No container runs here."""

import os
import re
import subprocess
from pathlib import Path

import psycopg
import pytest
import yaml

from aura.config import PROJECT
from tests.conftest import Project

COMPOSE = yaml.safe_load((PROJECT / "compose.yaml").read_text())
SERVICES = COMPOSE["services"]


def test_there_are_the_services_and_they_say_when_they_are_well() -> None:
    assert set(SERVICES) == {"postgres", "grafana", "mlflow", "importer"}
    for name, service in SERVICES.items():
        assert "healthcheck" in service
        # One that ends by itself is never asked.
        assert service["healthcheck"].get("disable", False) == (name == "importer")
        for volume in service["volumes"]:
            source = re.sub(r"\$\{.*?\}", ".", volume).split(":")[0]
            assert source in COMPOSE["volumes"] or source == "." or (PROJECT / source).exists()
        for other in service.get("depends_on", {}):
            assert "test" in SERVICES[other]["healthcheck"]


def test_no_password_has_a_default() -> None:
    text = (PROJECT / "compose.yaml").read_text()
    found = re.findall(r"^ +\w*PASSWORD\w*: (.*)$", text, re.MULTILINE)
    assert len(found) == 6
    assert all(re.fullmatch(r"\$\{AURA_\w+_PASSWORD:\?[^}]+\}", value) for value in found)


def test_the_data_source_of_grafana_gets_all_that_it_asks_for() -> None:
    text = (PROJECT / "deploy/grafana/provisioning/datasources/aura.yaml").read_text()
    assert set(re.findall(r"\$(\w+)", text)) <= set(SERVICES["grafana"]["environment"])
    (source,) = yaml.safe_load(text)["datasources"]
    boards = [(path, path.read_text()) for path in (PROJECT / "deploy/grafana/dashboards").glob("*.json")]
    assert len(boards) == 4
    for _, board in boards:
        assert set(re.findall(r'"uid": "(aura)"', board)) == {source["uid"]}
    (provider,) = yaml.safe_load((PROJECT / "deploy/grafana/provisioning/dashboards/aura.yaml").read_text())[
        "providers"
    ]
    assert f"./deploy/grafana/dashboards:{provider['options']['path']}:ro" in SERVICES["grafana"]["volumes"]


def test_the_roles_of_the_container_import_and_read(
    trained: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a server of its own, as roles are of a whole server; by the script that the container runs."""
    pgserver = pytest.importorskip(
        "pgserver", reason="pgserver has no build for this Python; run the tests on 3.11 or 3.12"
    )
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    server = pgserver.get_server(tmp_path / "pg")
    try:
        uri = server.get_uri()
        host = uri.split("host=")[1]
        words = {"POSTGRES_USER": "postgres", "POSTGRES_DB": "postgres", "PGHOST": host}
        words |= {"AURA_WRITER_PASSWORD": 'it\'s "secret"', "AURA_READER_PASSWORD": "x y"}
        folder = Path(pgserver.__file__).parent / "pginstall" / "bin"
        env = {**os.environ, **words, "PATH": f"{folder}:{os.environ['PATH']}"}
        subprocess.run([str(PROJECT / "deploy/postgres/roles.sh")], env=env, check=True, capture_output=True)
        assert trained.run("import", f"url=postgresql://aura_importer@/postgres?host={host}", "ecg=none") == 0
        with psycopg.connect(f"postgresql://aura_grafana@/postgres?host={host}", autocommit=True) as connection:
            assert connection.execute("SELECT count(*) FROM recording").fetchone() == (12,)
            with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
                connection.execute("DELETE FROM rr")
    finally:
        server.cleanup()
