"""What runs are called, and which parameters they log."""

import pytest

from aura.config.compose import compose
from aura.config.stage import find_stages
from aura.config.summary import describe_run, describe_setting, list_parameters, name_run


@pytest.mark.parametrize(
    ("overrides", "name"),
    [
        ([], "train"),
        (["experiments=window_length"], "train window_length"),
        (["experiments=window_length", "windows.lengths_s.poincare=[30]"], "train window_length · poincare 30 s"),
        (["model=lightgbm", "windows.step_s=2"], "train · model lightgbm · step 2 s"),
        (["train.interictal_per_ictal=null"], "train · interictal_per_ictal null"),
        # What belongs to a machine or to the corpus is not in the name.
        (["compute=serial", "workspace=/data/work", "dataset=any", "dataset.name=ours", "dataset.root=/data"], "train"),
    ],
)
def test_a_run_is_named_after_what_was_set(overrides: list[str], name: str) -> None:
    assert name_run("train", compose(overrides)) == name


def test_a_long_name_says_how_much_it_leaves_out() -> None:
    lengths = [f"windows.lengths_s.{family}=[40]" for family in ("poincare", "entropy", "robust", "pnn", "complexity")]
    name = name_run("train", compose([*lengths, "model.n_estimators=300", "model.max_depth=7"]))
    assert name == "train · poincare 40 s · entropy 40 s · robust 40 s · pnn 40 s · complexity 40 s · 2 more"


def test_a_stage_names_only_settings_that_it_uses() -> None:
    config = compose(["model.n_estimators=300", "quality.max_mv=5"])
    assert name_run("prepare", config) == "prepare · max 5 mV"
    assert "model.n_estimators" not in list_parameters("prepare", config)


@pytest.mark.parametrize(("stage", "n"), [("prepare", 8), ("featurize", 20), ("train", 24)])
def test_the_default_run_logs_what_its_stage_declares(stage: str, n: int) -> None:
    parameters = list_parameters(stage, compose())
    assert len(parameters) == n
    assert not {"", "None", "null", "[]", "{}"} & set(parameters.values())


def test_parameters_are_written_for_people() -> None:
    parameters = list_parameters("train", compose(["windows.lengths_s.time_domain=[10,60]"]))
    assert parameters["model.kind"] == "random_forest"
    assert parameters["windows.step_s"] == "1"
    assert parameters["windows.lengths_s.poincare"] == "60"
    assert parameters["windows.lengths_s.time_domain"] == "10, 60"
    assert not any(key.endswith("_target_") for key in parameters)


def test_other_values_are_logged_where_they_differ_from_the_default() -> None:
    config = compose(["alarms.refractory_s=60", "cleaning=hrv_analysis", "train.calibrate=false", "quality.max_mv=5"])
    other = dict(list_parameters("train", config).items() - list_parameters("train", compose()).items())
    assert other.pop("cleaning.kind") == "hrv_analysis"
    assert {key: value for key, value in other.items() if not key.startswith("cleaning.")} == {
        "alarms.refractory_s": "60",
        "train.calibrate": "false",
        "quality.max_mv": "5",
    }


def test_a_target_that_was_typed_is_logged() -> None:
    config = compose(["model._target_=sklearn.ensemble.ExtraTreesClassifier"])
    assert list_parameters("train", config)["model._target_"] == "sklearn.ensemble.ExtraTreesClassifier"


def test_what_stages_declare_exists() -> None:
    parameters = {stage.name: list_parameters(stage.name, compose()) for stage in find_stages().values() if stage.logs}
    for name, logged in parameters.items():
        for declared in find_stages()[name].logs:
            prefix = declared.removesuffix("*")
            options = {f"{declared}.kind", {"seed": "random.seed"}.get(declared, declared)}
            assert options & logged.keys() or any(key.startswith(prefix) for key in logged), declared


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("windows.lengths_s.poincare", [30.0], "poincare 30 s"),
        ("windows.step_s", 0.5, "step 0.5 s"),
        ("cleaning.low_ms", 300.0, "low 300 ms"),
        ("model.max_features", "sqrt", "max_features sqrt"),
        ("train.calibrate", False, "calibrate false"),
        ("model.max_samples", 0.3713875606379008, "max_samples 0.371"),
    ],
)
def test_a_setting_in_words(key: str, value: object, words: str) -> None:
    assert describe_setting(key, value) == words


def test_the_description_repeats_the_run_without_places() -> None:
    config = compose(
        ["dataset=any", "dataset.root=/data/jane", "experiments=step", "windows.step_s=3", "workspace=/data/jane/work"]
    )
    described = describe_run("train", config, "aura 1.0", "Event F1 0.5.")
    assert described.startswith(f"Event F1 0.5.\n\n{config.question}\n\nRun again with aura 1.0:")
    assert described.endswith("    python -m aura train dataset=any dataset.root=... experiments=step windows.step_s=3")
