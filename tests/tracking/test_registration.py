"""A run that ends early leaves no version without its card and tags, and no report costs a model."""

import signal
import subprocess
import sys
from pathlib import Path

import mlflow
import pytest

from aura.cli import main
from aura.config.compose import compose
from aura.core.paths import PROJECT
from aura.reports import figures
from aura.tracking import registry, runs, versions
from tests.support.project import Project
from tests.support.registry import aliases, make_evaluation, register_active
from tests.support.runs import RunOf

pytestmark = pytest.mark.integration

# Before or after which request to the registry a run is killed, whose version is better than the champion; versions of
# the model that it leaves, and whether its version is the champion then.
STEPS = {
    ("create_registered_model", 1, "before"): (1, False),
    ("create_registered_model", 1, "after"): (1, False),
    ("create_model_version", 1, "before"): (1, False),
    ("create_model_version", 1, "after"): (2, False),
    ("set_registered_model_alias", 1, "before"): (2, False),
    ("set_registered_model_alias", 1, "after"): (2, True),
    ("set_registered_model_alias", 2, "before"): (2, True),
    ("set_registered_model_alias", 2, "after"): (2, True),
    ("delete_model_version_tag", 1, "before"): (2, True),
    ("delete_model_version_tag", 1, "after"): (2, True),
    ("set_logged_model_tags", 1, "before"): (2, True),
}
# A process for each step, forked, since the imports take most of the time.
KILLED_AT = """
import os, signal, sys
from tests.support.registry import kill_at
from tests.tracking.test_registration import STEPS, register

for request, number, when in STEPS:
    if (child := os.fork()) == 0:
        name = f"{request}-{number}-{when}"
        register(name, sys.argv[1], 1)
        kill_at(request, number, when)
        register(name, sys.argv[1], 10)
    _, status = os.waitpid(child, 0)
    assert os.WTERMSIG(status) == signal.SIGKILL, (request, number, when)
"""


def register(name: str, workspace: str, n_found: int) -> str:
    """Register a version that finds some of the 20 seizures, by a run of its own."""
    words = [f"tracking.model_name={name}", "scoring.max_false_alarms_per_24h=30", f"workspace={workspace}"]
    config = compose(words)
    with runs.stage_run("train", config):
        return register_active(config, make_evaluation(list(range(n_found))))


def test_a_run_killed_at_any_step_leaves_complete_versions_for_the_next_to_settle(
    tracking_uri: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    subprocess.run([sys.executable, "-c", KILLED_AT, str(tmp_path)], check=True, cwd=PROJECT)
    client = mlflow.MlflowClient()
    runs.settle_killed(compose([f"workspace={tmp_path}"]))
    for (request, number, when), (left, is_champion) in STEPS.items():
        name = f"{request}-{number}-{when}"
        found = client.search_model_versions(f"name = '{name}'")
        assert len(found) == left, name
        assert all(
            one.description.startswith("Card\n\nRegistered as champion ") and "aura.promotion" in one.tags
            for one in found
        ), name
        capsys.readouterr()
        versions.settle(name)
        assert capsys.readouterr().out.count("is withdrawn: its run") == left - 1 - is_champion, name
        assert aliases(name) == ({"champion": "2", "previous": "1"} if is_champion else {"champion": "1"}), name
        assert ("event F1 1.000 against 0.667" in register(name, str(tmp_path), 20)) == is_champion, name
        found = client.search_model_versions(f"name = '{name}'")
        newest = max(str(one.version) for one in found)
        assert len(found) == 2 + is_champion, name
        assert not any(versions.PENDING in one.tags for one in found), name
        assert aliases(name) == {"champion": newest, "previous": "2" if is_champion else "1"}, name
        logged = mlflow.search_runs(
            experiment_names=["tests"], filter_string=f"params.`tracking.model_name` = '{name}'", output_format="list"
        )
        assert sorted(run.info.status for run in logged) == ["FINISHED", "FINISHED", "KILLED"], name


def test_a_run_that_was_killed_meanwhile_is_not_waited_for(
    tracking_uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(versions, "WAIT_S", 0.0)
    config = compose(["tracking.model_name=meanwhile", f"workspace={tmp_path}"])
    code = """
import sys
from tests.support.registry import kill_at
from tests.tracking.test_registration import register

kill_at("create_model_version", 1, "after")
register("meanwhile", sys.argv[1], 1)
"""
    with runs.stage_run("train", config):
        killed = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False, cwd=PROJECT)
        assert killed.returncode == -signal.SIGKILL
        assert "meanwhile version 2 is the champion" in register_active(config, make_evaluation([0]))
    said = capsys.readouterr().out
    assert "meanwhile version 1 is withdrawn" in said
    assert "has had no alias" not in said


def test_a_version_of_an_active_run_is_left_alone(tracking_uri: str) -> None:
    mlflow.set_experiment("tests")
    client = mlflow.MlflowClient()
    client.create_registered_model("at_work")
    with mlflow.start_run(nested=True) as run:
        tags = {versions.PENDING: "champion"}
        version = client.create_model_version("at_work", "source", run.info.run_id, tags=tags).version
        versions.settle("at_work")
        assert client.get_model_version("at_work", version).tags == tags
    versions.settle("at_work")
    assert not client.search_model_versions("name = 'at_work'")


@pytest.mark.parametrize("error", [ValueError("no such symbol"), OSError("no space left on device")])
def test_a_failed_figure_does_not_prevent_registration(
    error: Exception,
    trained: Project,
    run_of: RunOf,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(*given: object) -> None:
        raise error

    monkeypatch.setattr(figures, "draw_latency", fail)
    words = ["train", *trained.overrides, f"tracking.model_name=pictures-{type(error).__name__}"]
    if isinstance(error, OSError):
        assert main(words) == 1
        said = capsys.readouterr()
        assert (
            f"aura train: {error}; everything but pictures and pages is saved: pictures-OSError version 1" in said.err
        )
    else:
        with pytest.raises(ValueError, match="no such symbol") as raised:
            main(words)
        assert "pictures-ValueError version 1 is the champion" in raised.value.__notes__[0]
        said = capsys.readouterr()
    assert "version 1 is the champion" in said.out
    run = run_of("train")
    assert run.info.status == "FAILED"
    version = mlflow.MlflowClient().get_model_version_by_alias(words[-1].partition("=")[2], "champion")
    assert (version.run_id, version.status) == (run.info.run_id, "READY")
    assert version.description.startswith("F1 ")
    assert registry.load(f"models:/{version.name}@champion").run_id == run.info.run_id
