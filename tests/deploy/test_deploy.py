"""What is said of other machines in compose.yaml and deploy/ fits together. No container runs here."""

import os
import re
import shlex
import subprocess
from pathlib import Path

import psycopg
import pytest
import yaml

from aura.config.compose import compose
from aura.config.stage import find_stages
from aura.core.paths import PROJECT
from tests.support.postgresql import MAKES
from tests.support.project import Project

pytestmark = pytest.mark.integration

COMPOSE = yaml.safe_load((PROJECT / "compose.yaml").read_text())
SERVICES = COMPOSE["services"]


# Each ends by itself, so nobody asks it how it is.
STAGES = {"prepare-0", "prepare-1", "prepare-2", "prepare-3", "prepare", "featurize", "train", "importer"}
PROFILES = {
    "pipeline": {"mlflow", *STAGES} - {"importer"},
    "serve": {"mlflow", "serve"},
    "visualise": {"mlflow", "postgres", "grafana"},
    "import": {"mlflow", "importer"},
    "monitor": {"mlflow", "prometheus", "pushgateway", "node-exporter"},
}


def test_each_profile_starts_its_services_and_each_service_has_a_health_check() -> None:
    for profile, expected in PROFILES.items():
        assert {name for name, one in SERVICES.items() if profile in one.get("profiles", [profile])} == expected
    assert set(SERVICES) == set.union(*PROFILES.values())
    for name, service in SERVICES.items():
        assert service["healthcheck"].get("disable", False) == (name in STAGES)
        for volume in service.get("volumes", ()):
            source = re.sub(r"\$\{.*?\}", ".", volume).split(":")[0]
            assert source in COMPOSE["volumes"] or source in (".", "/") or (PROJECT / source).exists()
        for other, how in service.get("depends_on", {}).items():
            ended = how["condition"] == "service_completed_successfully"
            assert ended if other in STAGES else how["condition"] == "service_healthy"


def test_no_service_may_do_more_than_it_needs() -> None:
    # Those two change their own user, and own what they write.
    for name in SERVICES.keys() - {"postgres", "grafana"}:
        service = SERVICES[name]
        assert service["read_only"], name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ())), name


def test_a_stage_keeps_a_host_name_of_its_own() -> None:
    """By it the next container finds the lock files of runs that were killed, and metrics tell stages apart."""
    assert {name: SERVICES[name].get("hostname") for name in STAGES} == {name: name for name in STAGES}


@pytest.mark.parametrize("words", ["dataset=any dataset.name=ours", "dataset=tusz15 windows.step_s=2"])
def test_each_service_passes_overrides_that_its_stage_accepts(words: str) -> None:
    """All see the same recordings, and the shares are all of them."""
    configs = {}
    for name in STAGES:
        command = re.sub(r"\$\{AURA_WORDS:-[^}]*\}", words, SERVICES[name]["command"])
        stage, *overrides = shlex.split(command)
        assert stage in find_stages()
        configs[name] = compose(overrides)
    assert {(config.dataset.root, config.dataset.name) for config in configs.values()} == {
        ("/data", configs["train"].dataset.name)
    }
    assert [configs[f"prepare-{index}"].partition for index in range(4)] == [f"{index}/4" for index in range(4)]


def test_the_example_environment_lists_every_variable() -> None:
    example = re.findall(r"^(\w+)=", (PROJECT / ".env.example").read_text(), re.MULTILINE)
    assert set(example) == set(re.findall(r"\$\{(AURA_\w+)", (PROJECT / "compose.yaml").read_text()))


def test_no_password_has_a_default() -> None:
    text = (PROJECT / "compose.yaml").read_text()
    found = re.findall(r"^ +\w*PASSWORD\w*: (.*)$", text, re.MULTILINE)
    assert len(found) == 6
    assert all(re.fullmatch(r"\$\{AURA_\w+_PASSWORD:\?[^}]+\}", value) for value in found)


def test_grafana_gets_every_variable_of_its_data_sources() -> None:
    text = (PROJECT / "deploy/grafana/provisioning/datasources/aura.yaml").read_text()
    assert set(re.findall(r"\$(\w+)", text)) <= set(SERVICES["grafana"]["environment"])
    (source,) = yaml.safe_load(text)["datasources"]
    boards = [(path, path.read_text()) for path in (PROJECT / "deploy/grafana/dashboards").glob("*.json")]
    metrics = (PROJECT / "deploy/grafana/provisioning/datasources/prometheus.yaml").read_text()
    assert set(re.findall(r"\$(\w+)", metrics)) <= set(SERVICES["grafana"]["environment"])
    (other,) = yaml.safe_load(metrics)["datasources"]
    assert len(boards) == 5
    for path, board in boards:
        sources = set(re.findall(r'"uid": "(aura|aura-prometheus)"', board))
        assert sources == {(other if path.stem == "operations" else source)["uid"]}
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
            connection.execute("SET default_transaction_read_only = off")
            for statement in ("DELETE FROM rr", *MAKES):
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    connection.execute(statement.encode())
    finally:
        server.cleanup()
