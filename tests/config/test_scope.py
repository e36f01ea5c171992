"""What is logged, searched and repeated of a configuration follows from one declaration, and is nothing without it."""

import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path

import optuna
import pytest
import yaml
from optuna.trial import TrialState

from aura.config.compose import compose
from aura.config.disclosure import public
from aura.config.schema import config_class
from aura.config.scope import LOGGED, Scope, dotted, scope_of, select, undeclared
from aura.config.stage import find_stages
from aura.config.summary import describe_run, list_parameters, name_run
from aura.core.errors import AuraError
from aura.core.paths import CONF
from aura.reports.sweep import write_experiment

Config = config_class()
SECRET = "geheim"
PLACE = "/home/jane doe"
# A word for each key that can hold a place or a secret.
PRIVATE_WORDS = [
    f"dataset.root='{PLACE}/data'",
    f"dataset.edf='{PLACE}/a.edf'",
    f"workspace='{PLACE}/work'",
    f"tracking.uri=postgresql://aura:{SECRET}@db/mlflow",
    f"sweep.storage=postgresql+psycopg://aura:{SECRET}@db/sweeps",
    f"database.url=postgresql://aura:{SECRET}@db/aura",
    f"database.model='{PLACE}/model'",
    f"evaluate.model='{PLACE}/model'",
    f"detect.edf='{PLACE}/b.edf'",
    f"detect.model='{PLACE}/model'",
    f"detect.output='{PLACE}/found'",
    f"live.model='{PLACE}/model'",
    f"live.source='{PLACE}/beats'",
    f"live.output='{PLACE}/lines'",
    f"live.state='{PLACE}/state'",
    f"export.output='{PLACE}/annotations'",
    f"export.grafana=https://aura:{SECRET}@grafana",
    f"dump.output='{PLACE}/aura.dump'",
    f"dump.subjects='[{SECRET}]'",
    f"restore.dump='{PLACE}/aura.dump'",
]


@dataclass
class BillingConfig:
    """A stage that nobody has declared anything of."""

    password: str = SECRET


@dataclass
class HalfConfig:
    """A section of which one key is declared."""

    shown: str = field(default="shown", metadata=LOGGED)
    password: str = SECRET


@dataclass
class Wider(Config):
    """A configuration with new sections."""

    billing: BillingConfig = field(default_factory=BillingConfig)
    half: HalfConfig = field(default_factory=HalfConfig, metadata=LOGGED)


def best() -> optuna.trial.FrozenTrial:
    return optuna.trial.create_trial(state=TrialState.COMPLETE, value=0.5, user_attrs={"f1": 0.5})


def test_every_key_of_the_configuration_is_declared() -> None:
    assert undeclared(Config) == []
    # What a YAML file adds beyond the classes is refused by the composition itself.
    for key, _ in dotted(asdict(compose(PRIVATE_WORDS))):
        assert isinstance(scope_of(Config, key), Scope)


def test_what_is_not_declared_is_private() -> None:
    assert sorted(undeclared(Wider)) == ["billing", "half.password"]
    assert scope_of(Wider, "billing") is Scope.PRIVATE
    assert scope_of(Wider, "billing.password") is Scope.PRIVATE
    assert scope_of(Wider, "half.password") is Scope.PRIVATE
    assert scope_of(Wider, "no.such.key") is Scope.PRIVATE
    values = {**asdict(compose()), "billing": {"password": SECRET}, "half": {"shown": "shown", "password": SECRET}}
    chosen = select(Wider, values, Scope.LOGGED)
    assert "billing" not in chosen
    assert chosen["half"] == {"shown": "shown"}


@pytest.mark.parametrize(
    ("key", "scope"),
    [
        ("model.n_estimators", Scope.SEARCHED),
        ("windows.lengths_s.entropy", Scope.SEARCHED),
        ("quality.flat_mv", Scope.SEARCHED),
        ("features", Scope.SEARCHED),
        ("dataset", Scope.COMPARED),
        ("labels.postictal_s", Scope.COMPARED),
        ("scoring.merge_gap_s", Scope.COMPARED),
        ("prepare.needs_subject", Scope.REPEATED),
        ("tracking.model_name", Scope.REPEATED),
        ("sweep.n_trials", Scope.LOGGED),
        ("dataset.subject_channels", Scope.LOGGED),
        *((word.partition("=")[0], Scope.PRIVATE) for word in PRIVATE_WORDS),
        ("compute.address", Scope.PRIVATE),
        ("dataset.synthesis.seed", Scope.PRIVATE),
        ("overrides", Scope.PRIVATE),
    ],
)
def test_how_far_a_key_reaches(key: str, scope: Scope) -> None:
    assert scope_of(Config, key) is scope


def test_no_place_and_no_secret_is_logged() -> None:
    config = compose(["dataset=any", *PRIVATE_WORDS])
    said = [
        f"{list_parameters(stage, config)}{name_run(stage, config)}{describe_run(stage, config, 'aura')}"
        for stage in find_stages()
    ]
    logged = f"{yaml.safe_dump(public(config))}{said}"
    assert "n_estimators" in logged
    for private in (SECRET, PLACE, "jane"):
        assert private not in logged


def test_no_place_and_no_secret_is_in_the_best_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(CONF, tmp_path / "conf")
    (tmp_path / "conf" / "experiments" / "ours.yaml").write_text(
        f"""# @package _global_
defaults: [override /model: extra_trees, override /compute: dask]
question: What?
workspace: {PLACE}/work
compute: {{address: "tcp://{SECRET}@scheduler:8786"}}
dataset: {{root: {PLACE}/data, name: ours}}
sweep: {{storage: "postgresql://aura:{SECRET}@db/x", n_trials: 9}}
model: {{n_estimators: 7}}
tracking: {{uri: "http://aura:{SECRET}@mlflow", model_name: ours}}
"""
    )
    monkeypatch.setattr("aura.reports.sweep.CONF", tmp_path / "conf")
    words = ["experiments=ours", "dataset=any", *PRIVATE_WORDS, "compute=dask", f"compute.address=tcp://{SECRET}@x:1"]
    people = f"dataset.subject_channels='[{{subject: \"{SECRET}\", channels: [x]}}]'"
    text = write_experiment(
        [*words, people.replace("'", ""), "labels.postictal_s=9"], ["alarms=adaptive", "seed=3"], best()
    )
    for private in (SECRET, PLACE, "jane"):
        assert private not in text
    kept = yaml.safe_load(text)
    kept.pop("question")
    assert kept == {
        "defaults": [
            {"override /model": "extra_trees"},
            {"override /dataset": "any"},
            {"override /alarms": "adaptive"},
        ],
        "dataset": {"name": "ours"},
        "model": {"n_estimators": 7},
        "tracking": {"model_name": "ours"},
        "labels": {"postictal_s": 9},
        "seed": 3,
    }


@pytest.mark.integration
@pytest.mark.parametrize(
    "key",
    [
        *("detect.format", "bench.workers", "database.ecg", "live.source", "serving.runtime", "export.format"),
        *("dump.pseudonyms", "restore.dump", "partition", "prepare.max_failed_share", "tracking.champion_confidence"),
        *("compute", "workspace", "evaluate.model", "sweep.n_trials", "hydra.job.name", "no_such_section.key"),
    ],
)
def test_what_decides_no_detector_is_not_searched(key: str) -> None:
    from aura.stages.sweep.setup import search_space

    with pytest.raises(AuraError, match=r"has to be the same in all trials of a sweep|there is no key"):
        search_space({key: {"choices": ["a", "b"]}})
