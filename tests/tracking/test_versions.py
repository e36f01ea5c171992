"""Each model is registered once, whatever happens meanwhile, and a rollback ends whole."""

import re
import subprocess
import sys

import mlflow
import pytest

from aura.cli import main
from aura.core.paths import PROJECT
from aura.tracking import versions
from tests.support.registry import aliases, make_evaluation, register_version

pytestmark = pytest.mark.integration

# Before or after which request a rollback is killed, and whether the champion has changed by then.
STEPS = {
    ("set_model_version_tag", 1, "before"): False,
    ("set_model_version_tag", 1, "after"): False,
    ("set_registered_model_alias", 1, "before"): False,
    ("set_registered_model_alias", 1, "after"): True,
    ("set_registered_model_alias", 2, "before"): True,
    ("set_registered_model_alias", 2, "after"): True,
    ("set_model_version_tag", 2, "before"): True,
    ("set_model_version_tag", 2, "after"): True,
    ("delete_model_version_tag", 1, "before"): True,
}
KILLED_AT = """
import os, signal
import mlflow
from tests.support.registry import kill_at
from tests.tracking.test_versions import STEPS, load_anything
from aura.tracking import versions

load_anything()
for request, number, when in STEPS:
    for name in (f"again-{request}-{number}-{when}", f"settle-{request}-{number}-{when}"):
        if (child := os.fork()) == 0:
            kill_at(request, number, when)
            versions.rollback(name)
        _, status = os.waitpid(child, 0)
        assert os.WTERMSIG(status) == signal.SIGKILL, name
"""
# Registers versions that find some of the seizures, all at the same time.
AT_ONCE = """
import sys
from multiprocessing import get_context
import mlflow
from tests.support.registry import make_evaluation, register_version

fork = get_context("fork")
name, fingerprint, *found = sys.argv[1:]
barrier = fork.Barrier(len(found))

def register(n_found):
    mlflow.set_experiment("tests")
    barrier.wait()
    print(register_version(name, make_evaluation(list(range(n_found))), fingerprint or None), flush=True)

processes = [fork.Process(target=register, args=(int(n_found),)) for n_found in found]
for process in processes:
    process.start()
for process in processes:
    process.join()
sys.exit(sum(process.exitcode for process in processes))
"""


def load_anything() -> None:
    """Take the versions of the tests, which hold no detector, for detectors."""
    versions.load = lambda address: None  # type: ignore[assignment]


@pytest.fixture
def _any_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(versions, "load", lambda address: None)


def register_two(name: str) -> None:
    mlflow.set_experiment("tests")
    for n_found in (1, 10):
        assert "is the champion" in register_version(name, make_evaluation(list(range(n_found))))


@pytest.mark.usefixtures("_any_model")
def test_a_rollback_makes_the_previous_champion_the_champion_and_a_second_one_undoes_it(
    tracking_uri: str, capsys: pytest.CaptureFixture[str]
) -> None:
    register_two("back")
    assert main(["rollback", "model_name=back"]) == 0
    said = capsys.readouterr().out
    assert said == "rollback: back version 1 is the champion again; version 2 was the champion before\n"
    assert aliases("back") == {"champion": "1", "previous": "2"}
    history = mlflow.MlflowClient().get_model_version("back", "1").tags["aura.promotion"].split("; ")
    times = r"champion [-\d]{10} [:\d]{5} UTC"
    assert re.fullmatch(f"{times} after version 2: rollback", history[0])
    assert re.fullmatch(f"{times}: F1 0.095", history[1])
    assert main(["rollback", "model_name=back"]) == 0
    assert aliases("back") == {"champion": "2", "previous": "1"}


def test_a_rollback_without_a_previous_champion_is_refused(
    tracking_uri: str, capsys: pytest.CaptureFixture[str]
) -> None:
    mlflow.set_experiment("tests")
    register_version("first", make_evaluation([0]))
    assert main(["rollback", "model_name=first"]) == 1
    says = "aura rollback: there is nothing to roll back to: no version of first has the alias previous\n"
    assert capsys.readouterr().err == says
    assert main(["rollback", "dataset.name=nowhere"]) == 1
    assert "no model is registered as aura-seizure-detector-nowhere at sqlite:" in capsys.readouterr().err


def test_a_rollback_to_a_model_that_cannot_be_used_changes_nothing(
    tracking_uri: str, capsys: pytest.CaptureFixture[str]
) -> None:
    register_two("useless")
    assert main(["rollback", "model_name=useless"]) == 1
    assert "model=models:/useless/1 is not a seizure detector of Aura" in capsys.readouterr().err
    assert aliases("useless") == {"champion": "2", "previous": "1"}


@pytest.mark.usefixtures("_any_model")
def test_a_rollback_killed_at_any_step_is_completed_by_the_next_one_or_by_the_next_registration(
    tracking_uri: str,
) -> None:
    names = {f"{kind}-{'-'.join(map(str, step))}": step for step in STEPS for kind in ("again", "settle")}
    for name in names:
        register_two(name)
    subprocess.run([sys.executable, "-c", KILLED_AT], check=True, cwd=PROJECT)
    for name, step in names.items():
        if name.startswith("again"):
            versions.rollback(name)
        else:
            versions.settle(name)
        has_changed = name.startswith("again") or STEPS[step]
        champion, previous = ("1", "2") if has_changed else ("2", "1")
        assert aliases(name) == {"champion": champion, "previous": previous}, name
        tags = mlflow.MlflowClient().get_model_version(name, "1").tags
        assert tags["aura.promotion"].count("rollback") == has_changed, name
        assert versions.ROLLBACK not in tags


def test_models_that_are_registered_at_once_are_compared_with_each_other(tracking_uri: str) -> None:
    command = [sys.executable, "-c", AT_ONCE, "at_once", "", "1", "10", "20"]
    done = subprocess.run(command, check=False, cwd=PROJECT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    champion = mlflow.MlflowClient().get_model_version_by_alias("at_once", "champion")
    assert champion.tags["aura.f1"] == "1"
    assert done.stdout.count("there was no champion") == 1
    found = mlflow.MlflowClient().search_model_versions("name = 'at_once'")
    assert len(found) == 3
    assert not any(versions.PENDING in one.tags for one in found)


def test_a_model_that_two_processes_register_at_once_is_registered_once(tracking_uri: str) -> None:
    command = [sys.executable, "-c", AT_ONCE, "same", "0123", "10", "10", "10"]
    done = subprocess.run(command, check=False, cwd=PROJECT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (version,) = mlflow.MlflowClient().search_model_versions("name = 'same'")
    assert aliases("same") == {"champion": str(version.version)}
    assert done.stdout.count("it is the same model, so it is not registered again") == 2


def test_a_request_that_the_client_repeats_creates_one_version(
    tracking_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when the server was restarted before it answered."""
    create = mlflow.MlflowClient.create_model_version

    def create_twice(*given: object, **named: object) -> object:
        create(*given, **named)
        return create(*given, **named)

    monkeypatch.setattr(mlflow.MlflowClient, "create_model_version", create_twice)
    mlflow.set_experiment("tests")
    assert "repeated version 1 is the champion" in register_version("repeated", make_evaluation([0]))
    (version,) = mlflow.MlflowClient().search_model_versions("name = 'repeated'")
    assert aliases("repeated") == {"champion": str(version.version)}


def test_a_version_waits_for_an_earlier_one_only_for_a_while(
    tracking_uri: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(versions, "WAIT_S", 0.1)
    mlflow.set_experiment("tests")
    client = mlflow.MlflowClient()
    client.create_registered_model("stuck")
    with mlflow.start_run(nested=True) as run:
        client.create_model_version("stuck", "source", run.info.run_id, tags={versions.PENDING: "champion"})
        assert "stuck version 2 is the champion" in register_version("stuck", make_evaluation([0]))
    assert "stuck version 1 has had no alias for 0 s, although its run" in capsys.readouterr().out


def test_a_version_whose_model_was_deleted_is_not_taken_for_the_same_model(tracking_uri: str) -> None:
    mlflow.set_experiment("tests")
    client = mlflow.MlflowClient()
    register_version("deleted", make_evaluation([0]), "4567")
    version = versions.find("deleted", "4567")
    assert version is not None
    assert "it is the same model" in register_version("deleted", make_evaluation([0]), "4567")
    client.delete_logged_model(version.source.removeprefix("models:/"))
    assert versions.find("deleted", "4567") is None
    assert "deleted version 2 is the" in register_version("deleted", make_evaluation([0]), "4567")


def test_a_registered_model_keeps_a_description_that_a_person_wrote(tracking_uri: str) -> None:
    mlflow.set_experiment("tests")
    client = mlflow.MlflowClient()
    client.create_registered_model("described", description="By hand")
    client.create_registered_model("undescribed")
    for name in ("described", "undescribed"):
        register_version(name, make_evaluation([0]))
    assert client.get_registered_model("described").description == "By hand"
    model = client.get_registered_model("undescribed")
    assert model.description.startswith("Detects epileptic seizures from RR intervals of the corpus tests.\n")
    assert model.tags == {"aura.corpus": "synthetic", "aura.labels": "detection"}
