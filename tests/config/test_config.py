import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from aura.cli import main
from aura.config.compose import compose
from aura.config.stage import find_stages
from aura.core.errors import AuraError, InvalidInput
from aura.core.paths import CONF, PROJECT

GROUP_FILES = sorted(path.relative_to(CONF) for path in CONF.glob("*/*.yaml"))
RANGES = [
    ("dataset.min_seizure_s", 0.1, 60),
    ("quality.flat_mv", 0, 1),
    ("quality.max_mv", 0.1, 1_000),
    ("quality.min_agreement", 0, 1),
    ("prepare.max_failed_share", 0, 1),
    ("train.folds", 2, 100),
    ("train.interictal_per_ictal", 0.1, 1_000_000),
    ("train.max_windows", 1_000, 1_000_000_000),
    ("sweep.max_windows", 1_000, 1_000_000_000),
    ("sweep.n_trials", 1, 1_000_000),
    ("scoring.tolerance_before_s", 0, 3_600),
    ("scoring.tolerance_after_s", 0, 3_600),
    ("scoring.merge_gap_s", 0, 3_600),
    ("scoring.max_event_s", 1, 604_800),
    ("scoring.max_false_alarms_per_24h", 0, 86_400),
    ("tracking.champion_confidence", 0.5, 1),
    ("dataset.synthesis.subjects", 2, 10_000),
    ("dataset.synthesis.hours_per_subject", 0.1, 1_000),
    ("dataset.synthesis.recording_minutes", 10, 1_440),
    ("dataset.synthesis.seizures_per_subject", 1, 100),
    ("dataset.synthesis.arousals_per_hour", 0, 100),
    ("dataset.synthesis.exercises_per_hour", 0, 20),
    ("dataset.synthesis.eeg_channels", 0, 23),
    ("seed", 0, 2**32 - 1),
]
EXPERIMENTS = sorted(path.stem for path in (PROJECT / "experiments").glob("*.yaml"))


@pytest.mark.slow
@pytest.mark.parametrize("path", GROUP_FILES, ids=str)
def test_every_file_of_every_group_composes(path: Path) -> None:
    config = compose([f"{path.parent}={path.stem}", "dataset.root=somewhere"])
    assert config.feature_spec.step_s > 0


@pytest.mark.slow
@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_experiment_composes_and_asks_something(name: str) -> None:
    assert compose([f"experiments={name}"]).question.endswith("?")
    assert compose([f"experiments={name}"]) != compose()


@pytest.mark.slow
@pytest.mark.parametrize(("key", "low", "high"), RANGES, ids=[key for key, _, _ in RANGES])
def test_a_number_out_of_its_range_is_refused_with_its_key(key: str, low: float, high: float) -> None:
    says = f"{key}={high + 1:g} is out of range; allowed is {low:g} to {high:g}"
    with pytest.raises(InvalidInput, match=f"^{re.escape(says)}$"):
        compose([f"{key}={high + 1}"])
    with pytest.raises(InvalidInput, match=f"^{re.escape(key)}="):
        compose([f"{key}={low - 1}"])


@pytest.mark.parametrize("end", [1, 2], ids=["lowest", "highest"])
def test_the_ends_of_the_ranges_are_allowed(end: int) -> None:
    compose([f"{declared[0]}={declared[end]}" for declared in RANGES])


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("model.n_estimatorz=3", "there is no key model.n_estimatorz; allowed beside it are: _target_, n_estimators"),
        ("+model.depth=3", "there is no key model.depth; allowed beside it are: n_estimators, criterion, max_depth"),
        ("+detector.low=3", "there is no key detector.low; allowed beside it are: none"),
        ("+nothing=1", "there is no key nothing; allowed beside it are: dataset, detector"),
        ("windows.steps=1", "there is no key windows.steps; allowed beside it are: step_s, lengths_s, min_coverage"),
        ("windows.step_s=soon", "windows.step_s: Value 'soon' of type 'str' could not be converted to Float"),
        ("windows.step_s=11", "windows.lengths_s.time_domain: a window of 10 s is shorter than windows.step_s (11 s)"),
        ("windows.step_s=0", "windows.step_s=0 is out of range; allowed is 0.001 to 3600"),
        ("windows.lengths_s.entropy=long", "windows.lengths_s.entropy=long; allowed are window lengths"),
        ("windows.lengths_s.entropy=[a]", "windows.lengths_s.entropy=['a']; allowed are window lengths"),
        ("+windows.lengths_s.pulse=[9]", "there is no key windows.lengths_s.pulse; allowed are: time_domain"),
        ("features.families=[pulse]", "features.families: no family is called 'pulse'; allowed are time_domain"),
        ("features.families=[]", "features.families is empty; allowed are time_domain"),
        ("tracking.model_name=a/b", "tracking.model_name='a/b'; allowed are letters"),
        ("dataset.name=../x", "dataset.name='../x'; allowed are letters and digits"),
        ("labels.min_overlap=2", "labels.min_overlap=2 is out of range; allowed is 0.01 to 1"),
        ("cleaning.low_ms=3100", "cleaning.low_ms is not below cleaning.high_ms"),
        ("compute.workers=-1", "aura prepare: compute.workers=-1; allowed are null"),
        ("compute.workers=two", "aura prepare: compute.workers=two; allowed are null"),
        ("+compute.threads=2", "there is no key compute.threads; allowed beside it are: workers"),
        ("quality.flat_mv=-1", "quality.flat_mv=-1 is out of range"),
        ("prepare.max_failed_share=2", "prepare.max_failed_share=2 is out of range"),
        ("dataset.channels=EKG", "dataset.channels is a list; write dataset.channels=[...]"),
        ("dataset.root=", "dataset.root is empty"),
        ("/data", "'/data' is not an override; write key=value, such as root=/data"),
        ("dataset.root=~/x", "write $HOME"),
        ("dataset.min_seizure_s=0", "dataset.min_seizure_s=0 is out of range; allowed is 0.1 to 60"),
        (
            "dataset.timezone=Paris/Europe",
            "dataset.timezone=Paris/Europe is not a time zone; allowed are names such as",
        ),
        ("dataset.timezone=../etc", "dataset.timezone=../etc is not a time zone"),
        ("dataset.words.seizure=['']", "dataset.words: each word stands for seizure or for background, and none is"),
        ("dataset.words={seizure: [a], background: [a]}", "dataset.words: each word stands for seizure or for"),
        ("dataset.layouts=[]", "dataset.layouts or dataset.channels is empty"),
        ("dataset.synthesis.layout=odd", "dataset.synthesis.layout=odd; allowed are bids, plain, seizeit2, teppe"),
        ("train.folds=few", "train.folds: Value 'few' of type 'str' could not be converted to Integer"),
        ("dataset=any", "dataset.root has no value; give one, such as dataset.root=..., or set AURA_DATA"),
        ("model=boost", "In 'config': Could not find 'model/boost' Available options in 'model': extra_trees"),
        ("experiments=none_such", "Could not find 'experiments/none_such' Available options"),
        ("model._target_=no.such.Thing", "model._target_: 'no.such.Thing' cannot be imported"),
        ("dataset.layouts=[no.such]", "dataset.layouts: no layout is called 'no.such'; allowed are bids, plain, teppe"),
        ("seed=[1", "no viable alternative at input '[1'"),
        ("=3", "Config group override must be a string"),
    ],
)
def test_what_is_wrong_is_one_line_that_names_the_key(
    override: str, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["prepare", override]) == 2
    captured = capsys.readouterr()
    assert says in captured.err
    assert captured.err.startswith("aura prepare: ")
    assert captured.err.count("\n") == 1


@pytest.mark.integration
def test_a_wrong_model_parameter_is_refused_before_any_work(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for stage in ("train", "main"):
        assert main([stage, "dataset=any", f"dataset.root={tmp_path}", "model.n_estimators=many"]) == 1
        assert f"aura {stage}: model: The 'n_estimators' parameter" in capsys.readouterr().err


def test_overrides_of_mlflow_come_as_one_word(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--cfg", "job", "--", "seed=3 'workspace=my work'"]) == 0
    printed = yaml.safe_load(capsys.readouterr().out)
    assert (printed["seed"], printed["workspace"]) == (3, "my work")
    assert main(["train", "--cfg", "job", "--", "experiments=", ""]) == 0
    capsys.readouterr()
    assert main(["train", "--cfg", "job", "--", "experiments=baseline_heart_rate", "seed=3"]) == 0
    assert yaml.safe_load(capsys.readouterr().out)["baseline"] == "heart rate"
    # A -P that MLproject does not declare comes as an option.
    given = ["experiments=", "", "--seed", "3", "--dataset.root", "/our data"]
    assert main(["train", "--cfg", "job", "--", *given]) == 0
    printed = yaml.safe_load(capsys.readouterr().out)
    assert (printed["seed"], printed["dataset"]["root"]) == (3, "/our data")
    assert main(["train", "--", "", "--seed"]) == 2
    assert "--seed is no parameter here; write -P KEY=VALUE" in capsys.readouterr().err
    assert main(["train", "--", "", "--sed", "3"]) == 2
    assert "there is no key sed;" in capsys.readouterr().err
    assert main(["train", "--", "seed='3"]) == 2


def test_listing_the_stages_imports_nothing_heavy() -> None:
    code = "import sys, aura.cli as m; m.main([]); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=PROJECT)
    assert all(stage in done.stdout for stage in find_stages())
    assert not {"numpy", "hydra", "mlflow", "pandas", "sklearn", "omegaconf", "yaml"} & set(
        done.stdout.split("\n")[-2].split()
    )


def test_an_unknown_stage_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict"]) == 2
    assert "aura: there is no stage 'predict'; allowed are synthesize, prepare" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "offers"),
    [
        ("aura tr", "train"),
        ("aura detect e", "edf="),
        ("aura train windows.st", "windows.step_s="),
        ("aura train model=", "model=random_forest"),
    ],
)
def test_tab_completion(line: str, offers: str) -> None:
    command = [sys.executable, "-m", "aura", "-sc", "query=bash"]
    environment = {**os.environ, "COMP_LINE": line, "COMP_POINT": str(len(line))}
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=PROJECT, env=environment)
    assert offers in done.stdout.split()


def test_help_shows_the_groups(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--help"]) == 0
    out = capsys.readouterr().out
    assert "model: extra_trees, hist_gradient_boosting, lightgbm, one_feature, random_forest" in out
    assert "window_length" in out


def test_compose_raises_for_libraries() -> None:
    with pytest.raises(AuraError, match="is out of range"):
        compose(["split.test_share=7"])
