"""Who becomes the champion, and that a registered version is found and scored again."""

import re
from pathlib import Path

import mlflow
import pytest

from aura.cli import main
from aura.core.errors import AuraError
from aura.tracking import logs, promotion, registry
from tests.support.project import Project
from tests.support.registry import make_evaluation, register_version
from tests.support.runs import RunOf

pytestmark = pytest.mark.integration


def test_only_a_better_version_within_the_alarm_limit_becomes_champion(tracking_uri: str) -> None:
    mlflow.set_experiment("tests")
    said = [
        register_version("gate", make_evaluation(list(range(8)))),
        # One more is no proof.
        register_version("gate", make_evaluation(list(range(9)))),
        register_version("gate", make_evaluation(list(range(16)))),
        # Finds all, but rings twice an hour, where 30 a day are allowed.
        register_version("gate", make_evaluation(list(range(20)), false_alarms=2)),
        register_version("gate", make_evaluation([])),
    ]
    kinds = [sentence.split(" is the ")[1].split(":")[0] for sentence in said]
    assert kinds == ["champion", "challenger", "champion", "challenger", "challenger"]
    assert "there was no champion; it raises 0.0 false alarms per 24 h of assessed time, 30 are allowed" in said[0]
    assert "event F1 0.621 against 0.571, better in 6" in said[1]
    assert "(90% are needed" in said[1]
    assert "48.0 false alarms per 24 h of assessed time against 0.0 (30 are allowed)" in said[3]
    client = mlflow.MlflowClient()
    assert str(client.get_model_version_by_alias("gate", "champion").version) == "3"
    tags = client.get_model_version("gate", "3").tags
    assert tags["aura.f1"] == "0.8889"
    assert re.fullmatch(
        r"champion [-\d]{10} [:\d]{5} UTC after version 1: F1 0.889 against 0.571", tags["aura.promotion"]
    )
    description = client.get_model_version("gate", "3").description
    assert re.search(
        r"as champion [-:\d ]+ UTC after version 1: event F1 0\.889 against 0\.571, better in 100% of the draws",
        description,
    )


def test_a_champion_over_the_alarm_limit_is_replaced(tracking_uri: str) -> None:
    mlflow.set_experiment("tests")
    assert "it raises 72.0 false alarms per 24 h of assessed time, 30 are allowed" in register_version(
        "loud", make_evaluation([0, 1], 3)
    )
    # Better, and not as loud, but too loud still.
    assert "is the challenger" in register_version("loud", make_evaluation(list(range(20)), 2))
    assert "is the champion" in register_version("loud", make_evaluation(list(range(20)), 1))


def test_time_without_a_probability_does_not_lower_the_false_alarm_rate(tracking_uri: str) -> None:
    mlflow.set_experiment("tests")
    register_version("blind", make_evaluation([0, 1]))
    # One in each recorded hour, which are two in each that was assessed; 30 a day are allowed.
    said = register_version("blind", make_evaluation(list(range(20)), 1, assessed_s=1800))
    assert "is the challenger" in said
    assert "48.0 false alarms per 24 h of assessed time against 0.0 (30 are allowed)" in said
    tags = mlflow.MlflowClient().get_model_version_by_alias("blind", "challenger").tags
    assert tags["aura.false_alarms"] == "48 per 24 h"


def test_a_champion_without_assessed_time_is_scored_again(tracking_uri: str) -> None:
    mlflow.set_experiment("tests")
    with mlflow.start_run(nested=True) as run:
        mlflow.log_param("test.digest", "same")
        logs.log_table(make_evaluation([0, 1]).per_subject().drop(columns="assessed_hours"), "per_subject.json")
    client = mlflow.MlflowClient()
    client.create_registered_model("earlier")
    version = client.create_model_version("earlier", "source", run.info.run_id).version
    client.set_registered_model_alias("earlier", "champion", version)
    # There is no model at this source; that it is asked for is enough.
    assert "it cannot be loaded" in register_version("earlier", make_evaluation(list(range(20))))


def test_a_champion_promoted_meanwhile_is_compared_with(tracking_uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    mlflow.set_experiment("tests")
    register_version("race", make_evaluation([0, 1]))
    compare, compared = promotion._compare, []

    def and_another(*given: object) -> object:
        if not compared:
            compared.append(1)
            assert "is the champion" in register_version("race", make_evaluation(list(range(19))))
        return compare(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(promotion, "_compare", and_another)
    assert "event F1 0.571 against 0.974" in register_version("race", make_evaluation(list(range(8))))


def test_a_champion_is_scored_again_on_subjects_new_to_it(
    trained: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "tracking.model_name=elsewhere"
    assert trained.run("train", name) == 0
    assert "is the champion: there was no champion" in capsys.readouterr().out
    # The very same detector on the very same recordings; two people are no proof of anything.
    assert trained.run("train", name) == 0
    assert (
        "not compared with the champion (version 1): only 2 test subjects are new to both, at least 5 are needed"
        in capsys.readouterr().out
    )
    monkeypatch.setattr(promotion, "MIN_SUBJECTS", 1)
    assert trained.run("train", name) == 0
    assert "better in 0% of the draws of 2 subjects" in capsys.readouterr().out
    # Other subjects, of which it has seen some; of a corpus of another name it has seen the same beats.
    elsewhere = f"workspace={tmp_path}"
    for other, corpus in (("elsewhere", "synthetic"), ("renamed", "renamed")):
        name = f"tracking.model_name={other}"
        assert trained.run("train", name) == 0
        assert trained.run("train", name, "split.test_share=0.6", f"dataset.name={corpus}", elsewhere) == 0
        said = capsys.readouterr().out
        assert re.search(r"scored again on the [12] of [34] test subjects that it has not seen", said)
    assert trained.run("train", name, "labels=forecasting", "labels.occurrence_s=300") == 0
    assert "it was trained for another task" in capsys.readouterr().out


def test_a_registered_version_is_evaluated_on_subjects_new_to_it(
    trained: Project, tmp_path: Path, run_of: RunOf, capsys: pytest.CaptureFixture[str]
) -> None:
    assert trained.run("train", "tracking.model_name=evaluated") == 0
    there = run_of("train").data.metrics
    capsys.readouterr()
    assert trained.run("evaluate", "model=models:/evaluated@champion") == 0
    said = capsys.readouterr().out
    assert "left out: 4 subjects that the model was trained on" in said
    here = run_of("evaluate").data.metrics
    # Computed from the RR intervals again, in float64 where training has float32.
    for score in ("event_f1", "event_sensitivity", "event_false_alarms_per_24h", "sample_f1"):
        assert here[score] == pytest.approx(there[score], nan_ok=True)
    assert here["roc_auc"] == pytest.approx(there["roc_auc"], abs=0.01)
    # The same recordings under another name are the same people.
    assert (
        trained.run("evaluate", "model=models:/evaluated@champion", "dataset.name=renamed", f"workspace={tmp_path}")
        == 0
    )
    assert "left out: 4 subjects that the model was trained on" in capsys.readouterr().out
    assert run_of("evaluate").data.metrics["event_f1"] == pytest.approx(here["event_f1"], nan_ok=True)
    assert trained.run("evaluate", "model=models:/evaluated@champion", "labels=forecasting") == 1
    assert "was trained for another task (_target_=aura.learning.labels.Detection)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "evaluate: model is missing; write model=models:/aura-seizure-detector-synthetic@champion"),
        (["model=models:/no_such@champion"], "model=models:/no_such@champion is not a model of sqlite:"),
        (["model=nonsense"], "model=nonsense is not a model of"),
    ],
)
def test_a_missing_model_is_reported_in_one_line(
    words: list[str], says: str, trained: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", *trained.overrides, *words]) == 1
    captured = capsys.readouterr().err
    assert says in captured


def test_loading_refuses_a_model_that_is_no_detector(tracking_uri: str) -> None:
    with pytest.raises(AuraError, match="is not a model of"):
        registry.load("runs:/0123/model")
