"""A run that ends early leaves no version without its card and tags, and no report costs a model."""

import subprocess
import sys
from pathlib import Path

import mlflow
import pandas as pd
import pytest

from aura.cli import main
from aura.config.compose import compose
from aura.core.paths import PROJECT
from aura.reports import figures
from aura.tracking import promotion, registry, runs
from tests.support.project import Project
from tests.support.registry import ORIGIN, make_evaluation, refuse_to_score
from tests.support.runs import RunOf

pytestmark = pytest.mark.integration

# Before or after which request to the registry a run is killed; versions that it leaves, and those that the next
# registration withdraws, since they had not got their alias.
STEPS = {
    ("create_registered_model", "before"): (0, 0),
    ("create_registered_model", "after"): (0, 0),
    ("create_model_version", "before"): (0, 0),
    ("create_model_version", "after"): (1, 1),
    ("set_registered_model_alias", "before"): (1, 1),
    ("set_registered_model_alias", "after"): (1, 0),
    ("delete_model_version_tag", "before"): (1, 0),
    ("delete_model_version_tag", "after"): (1, 0),
}
# A process for each step, forked, since the imports take most of the time.
KILLED_AT = """
import os, signal, sys
import mlflow
from tests.tracking.test_registration import STEPS, register

for step, when in STEPS:
    if (child := os.fork()) == 0:
        request = getattr(mlflow.MlflowClient, step)

        def killed(*given, **named):
            if when == "after":
                request(*given, **named)
            os.kill(os.getpid(), signal.SIGKILL)

        setattr(mlflow.MlflowClient, step, killed)
        register(f"{step}-{when}", sys.argv[1], [0])
    _, status = os.waitpid(child, 0)
    assert os.WTERMSIG(status) == signal.SIGKILL, (step, when)
"""


def register(name: str, workspace: str, found: list[int]) -> str:
    """Register a version that finds some of the seizures, by a run of its own."""
    words = [f"tracking.model_name={name}", "scoring.max_false_alarms_per_24h=30", f"workspace={workspace}"]
    config = compose(words)
    with runs.stage_run("train", config):
        tested = make_evaluation(found)
        mlflow.log_param("test.digest", "same")
        runs.log_table(tested.per_subject(), "per_subject.json")
        model_id = mlflow.initialize_logged_model(name="model").model_id
        return promotion.register(config, model_id, "# Card", ORIGIN, tested, pd.DataFrame(), refuse_to_score)


def test_a_run_killed_at_any_step_leaves_complete_versions_for_the_next_to_settle(
    tracking_uri: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    subprocess.run([sys.executable, "-c", KILLED_AT, str(tmp_path)], check=True, cwd=PROJECT)
    client = mlflow.MlflowClient()
    for (step, when), (left, withdrawn) in STEPS.items():
        name = f"{step}-{when}"
        versions = client.search_model_versions(f"name = '{name}'")
        assert len(versions) == left, name
        assert all(one.description == "# Card" and "aura.promotion" in one.tags for one in versions), name
        capsys.readouterr()
        outcome = register(name, str(tmp_path), list(range(20)))
        assert capsys.readouterr().out.count("is withdrawn: its run") == withdrawn, name
        assert "is the champion" in outcome
        assert ("event F1 1.000 against 0.095" in outcome) == (left > withdrawn), name
        versions = client.search_model_versions(f"name = '{name}'")
        assert len(versions) == left - withdrawn + 1, name
        assert not any(promotion.PENDING in one.tags for one in versions), name
        champion = client.get_model_version_by_alias(name, "champion")
        assert str(champion.version) == max(str(one.version) for one in versions)
        runs = mlflow.search_runs(
            experiment_names=["tests"], filter_string=f"params.`tracking.model_name` = '{name}'", output_format="list"
        )
        assert sorted(run.info.status for run in runs) == ["FINISHED", "KILLED"], name


def test_a_version_of_an_active_run_is_left_alone(tracking_uri: str) -> None:
    mlflow.set_experiment("tests")
    client = mlflow.MlflowClient()
    client.create_registered_model("at_work")
    with mlflow.start_run(nested=True) as run:
        tags = {promotion.PENDING: "champion"}
        version = client.create_model_version("at_work", "source", run.info.run_id, tags=tags).version
        promotion._settle("at_work")
        assert client.get_model_version("at_work", version).tags == tags
    promotion._settle("at_work")
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
    assert version.description.startswith("# pictures-")
    assert registry.load(f"models:/{version.name}@champion").run_id == run.info.run_id
