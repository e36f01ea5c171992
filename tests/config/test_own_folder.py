"""A folder of own configuration files, and options of Hydra before or after the stage."""

from pathlib import Path

import pytest
import yaml
from optuna.trial import TrialState, create_trial

from aura.cli import main
from aura.config.compose import compose
from aura.config.schema import Config
from aura.reports.sweep import write_experiment
from aura.stages.bench import run as bench


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "conf" / "experiments").mkdir(parents=True)
    (tmp_path / "conf" / "experiments" / "mine.yaml").write_text("# @package _global_\nmodel: {n_estimators: 77}\n")
    return tmp_path / "conf"


@pytest.mark.parametrize(
    "words",
    [
        ["--config-dir", "{folder}", "bench", "experiments=mine"],
        ["bench", "--config-dir", "{folder}", "experiments=mine"],
        ["bench", "experiments=mine", "-cd={folder}"],
        ["-m", "bench", "--config-dir={folder}", "experiments=mine"],
    ],
)
def test_options_may_stand_before_or_after_the_stage(
    folder: Path, words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[Config] = []
    monkeypatch.setattr(bench, "run", ran.append)
    assert main([word.replace("{folder}", str(folder)) for word in words]) == 0
    (config,) = ran
    assert config.model["n_estimators"] == 77
    # The folder belongs to the overrides, so that a sweep composes its trials with it.
    assert compose([*config.overrides, "seed=3"]).model["n_estimators"] == 77


def test_a_folder_that_does_not_exist_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--config-dir", "/no/such/folder"]) == 2
    assert capsys.readouterr().err == "aura train: --config-dir /no/such/folder: there is no such folder\n"


def test_the_best_configuration_of_an_own_experiment_needs_no_folder(folder: Path) -> None:
    best = create_trial(state=TrialState.COMPLETE, value=0.5, user_attrs={"f1": 0.5})
    overrides = ["experiments=mine", f'hydra.searchpath=["file://{folder}"]']
    written = yaml.safe_load(write_experiment(overrides, ["windows.step_s=2"], best))
    assert written["model"] == {"n_estimators": 77}
    assert written["windows"] == {"step_s": 2}
    assert "hydra" not in written


@pytest.mark.parametrize("word", ["experiments=null", "experiments="])
def test_no_experiment_can_be_said(word: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[Config] = []
    monkeypatch.setattr(bench, "run", ran.append)
    assert main(["bench", word]) == 0
    assert "experiments" not in ran[0].choices
