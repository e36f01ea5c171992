"""Every result says which detector made it, and none is made by a detector that nobody chose."""

import json
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import mlflow
import numpy as np
import pytest

from aura.cli import main
from aura.config.compose import compose
from aura.core.errors import AuraError
from aura.core.parquet import read_table
from aura.core.provenance import (
    SYNTHETIC_WARNING,
    UNCONFIRMED_WARNING,
    UNKNOWN_WARNING,
    ModelFolder,
    Origin,
    Provenance,
)
from aura.formats.detections import FORMATS
from aura.tracking import registry, runs
from tests.support.annotations import READERS
from tests.support.postgresql import rows
from tests.support.project import Project
from tests.support.real_ecg import write_real
from tests.support.runs import RunOf, artifacts

pytestmark = pytest.mark.integration

MODEL = "models:/aura-seizure-detector-synthetic@champion"
MADE_BY = Provenance("m", "3", "0" * 32, Origin("ours", synthetic=False), 0.25, "aura 0.1.0", "2026-11-28")


def test_a_detector_is_described_in_words() -> None:
    assert str(MADE_BY) == (
        f"model m version 3 (run {'0' * 32}), trained on the corpus ours, threshold 0.25; aura 0.1.0, 2026-11-28"
    )
    assert MADE_BY.address == "models:/m/3"
    unknown = Provenance("a folder", "", "", Origin(), 0.5, "aura 0.1.0", "2026-11-28")
    assert str(unknown) == "model a folder, trained on an unknown corpus, threshold 0.5; aura 0.1.0, 2026-11-28"


@pytest.mark.parametrize(
    ("synthetic", "synthetic_data", "warning"),
    [
        (True, False, SYNTHETIC_WARNING),
        (True, True, None),
        (False, False, None),
        (False, True, None),
        (None, False, UNKNOWN_WARNING),
        (None, True, UNKNOWN_WARNING),
    ],
)
def test_the_warning_depends_on_both_corpora(synthetic: bool | None, synthetic_data: bool, warning: str | None) -> None:
    made_by = Provenance("m", "3", "", Origin("x", synthetic=synthetic), 0.5, "aura 0.1.0", "2026-11-28")
    assert made_by.warning(synthetic_data=synthetic_data) == warning


@pytest.mark.parametrize(
    ("synthetic", "recorded", "warning"),
    [(False, None, UNCONFIRMED_WARNING), (True, True, SYNTHETIC_WARNING), (None, None, UNKNOWN_WARNING)],
)
def test_training_data_named_by_a_folder_are_an_unconfirmed_claim(
    synthetic: bool | None, recorded: bool | None, warning: str
) -> None:
    origin = Origin("ours", synthetic=synthetic)
    made_by = Provenance("a folder", "", "", origin, 0.5, "aura 0.1.0", "2026-11-28", is_confirmed=False)
    assert made_by.warning(synthetic_data=False) == warning
    assert made_by.to_dict()["synthetic_training"] is recorded
    assert str(made_by).startswith("model a folder, by its own claim trained on ")


def test_a_detector_that_never_alarms_has_no_threshold_in_json() -> None:
    never = replace(MADE_BY, threshold=float("inf")).to_dict()
    assert json.loads(json.dumps(never, allow_nan=False)) == {**MADE_BY.to_dict(), "threshold": None}


@pytest.mark.parametrize(
    ("meta", "model", "version"),
    [
        (None, "", ""),
        ("model_name: null\nmodel_version: null\n", "", ""),
        ("model_name: [a]\nmodel_version: {1: 2}\n", "", ""),
        ("model_name: ours\nmodel_version: 3\n", "ours", "3"),
        ("model_name: ours\nmodel_version: '3'\n", "ours", "3"),
        ('model_name: "ours\\u2028,=1+1"\nmodel_version: 3\n', "", "3"),
        ('model_name: "ours\\x85"\nmodel_version: 3\n', "", "3"),
    ],
)
def test_files_beside_a_model_are_read_as_text_or_ignored(
    meta: str | None, model: str, version: str, tmp_path: Path
) -> None:
    (tmp_path / "MLmodel").write_text("flavors: {}\n")
    if meta is not None:
        (tmp_path / "registered_model_meta").write_text(meta)
    assert ModelFolder.read(tmp_path) == ModelFolder(run_id="", date="", model=model, version=version)


@pytest.mark.parametrize("format_", FORMATS)
def test_every_file_of_detect_names_the_detector(
    format_: str, trained: Project, tmp_path: Path, run_of: RunOf, capsys: pytest.CaptureFixture[str]
) -> None:
    version = mlflow.MlflowClient().get_model_version_by_alias("aura-seizure-detector-synthetic", "champion")
    threshold = mlflow.get_run(version.run_id).data.metrics["threshold"]
    expected = {
        "model": "aura-seizure-detector-synthetic",
        "version": str(version.version),
        "run": version.run_id,
        "training_corpus": "synthetic",
        "synthetic_training": True,
        "training_software": runs.software(),
        "training_date": runs.today(),
        "threshold": threshold,
        "software": runs.software(),
        "date": runs.today(),
    }
    write_real(tmp_path / "in" / "night.edf")
    output = tmp_path / "found"
    words = [f"edf={tmp_path / 'in'}", f"model={MODEL}", f"output={output}", f"workspace={tmp_path}", "compute=serial"]
    assert main(["detect", *words, f"format={format_}"]) == 0
    line = str(registry.load(MODEL).provenance)
    assert f"aura-seizure-detector-synthetic version {version.version} (run {version.run_id})" in line
    said = capsys.readouterr().out
    assert f"  made by {line}\n  warning: {SYNTHETIC_WARNING}\n" in said
    for page in ("night.html", "index.html"):
        html = (output / page).read_text(encoding="utf-8")
        assert line in html
        assert f"Warning: {SYNTHETIC_WARNING}." in html
    for table in ("detections.parquet", "night_probability.parquet"):
        assert read_table(output / table)[1]["provenance"] == expected
    table, _ = read_table(output / "detections.parquet")
    assert table[list(expected)].to_dict("records") == [expected]

    annotations = output / f"night{FORMATS[format_]}"
    assert READERS[format_](annotations)
    if format_ == "events_tsv":
        assert json.loads((output / "night_events.json").read_text()) == expected
    else:
        header = dict(re.findall(r"^# (\w+) = (.*)$", annotations.read_text(), flags=re.MULTILINE))
        assert {key: header[key] for key in expected} == {key: str(value) for key, value in expected.items()}
    logged = mlflow.artifacts.load_dict(f"{run_of('detect').info.artifact_uri}/provenance.json")
    assert logged == expected
    # Once more writes over its own files, and over no other.
    assert main(["detect", *words, f"format={format_}"]) == 0
    changed = output / "night_events.json" if format_ == "events_tsv" else annotations
    changed.write_text(changed.read_text() + "\n")
    assert main(["detect", *words, f"format={format_}"]) == 1
    assert f"{changed.name} was written or changed by somebody else" in capsys.readouterr().err


def test_synthetic_recordings_get_no_warning_about_synthetic_training(
    trained: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    edf = next(iter(sorted(trained.corpus.rglob("*.edf"))))
    words = [f"edf={edf}", f"model={MODEL}", f"output={tmp_path / 'found'}", f"workspace={tmp_path}", "compute=serial"]
    assert main(["detect", *words]) == 0
    assert "warning:" not in capsys.readouterr().out


def test_evaluate_names_the_detector(
    trained: Project, run_of: RunOf, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert trained.run("evaluate", f"model={MODEL}") == 0
    made_by = registry.load(MODEL).provenance
    said = capsys.readouterr().out
    assert f"evaluate: {made_by.name} on 2 subjects of synthetic" in said
    assert f"  by {made_by}\n\n" in said
    run = run_of("evaluate")
    assert run.data.params["evaluated.model"] == made_by.name
    assert "provenance.json" in artifacts(run.info.run_id)


def test_import_keeps_the_detector_in_the_database(
    trained: Project, database: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert trained.run("import", f"url={database}", f"model={MODEL}", "ecg=none") == 0
    made_by = registry.load(MODEL).provenance
    assert f"  detections by {made_by}\n" in capsys.readouterr().out
    query = "SELECT name, run_id, training_corpus, synthetic_training, software, imported_on::text FROM model"
    assert rows(database, query) == [
        (made_by.address, made_by.run_id, "synthetic", True, runs.software(), runs.today())
    ]


Register = Callable[..., None]


@pytest.fixture
def register(
    trained: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tracking_uri: str
) -> Iterator[Register]:
    """Register the small corpus's detector under other names, in a registry of the test's own."""
    saved = tmp_path / "model"
    shutil.copytree(mlflow.artifacts.download_artifacts(MODEL), saved)
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    mlflow.set_tracking_uri(uri)
    client = mlflow.MlflowClient()

    def add(name: str, *, synthetic: str | None = "false", **tags: str) -> None:
        client.create_registered_model(name)
        client.create_model_version(name, saved.as_uri())
        known = {"aura.promotion": "champion: there was no champion", **tags}
        if synthetic is not None:
            known["aura.synthetic_training"] = synthetic
        for key, value in known.items():
            client.set_model_version_tag(name, "1", key, value)
        client.set_registered_model_alias(name, "champion", "1")

    yield add
    mlflow.set_tracking_uri(tracking_uri)


def test_the_default_model_is_the_champion_of_the_named_corpus(register: Register) -> None:
    register("aura-seizure-detector-synthetic", synthetic="true")
    register("aura-seizure-detector-ours")
    register("aura-seizure-detector-theirs")
    for words, name in (
        (["dataset=any", "dataset.root=x", "dataset.name=theirs"], "theirs"),
        (["dataset.name=ours"], "ours"),
        (["dataset=synthetic"], "synthetic"),
        (["tracking.model_name=aura-seizure-detector-ours"], "ours"),
    ):
        expected = f"models:/aura-seizure-detector-{name}@champion"
        assert registry.default_address(compose(words))[0] == expected


def test_the_model_of_the_demo_is_never_used_instead_of_a_real_one(register: Register) -> None:
    register("aura-seizure-detector-synthetic", synthetic="true")
    # The only one there is; what it makes says that it is synthetic.
    demo = "models:/aura-seizure-detector-synthetic@champion"
    assert registry.default_address(compose())[0] == demo
    assert registry.default_address(compose(["dataset.name=new"]))[0] == demo
    register("aura-seizure-detector-ours")
    for words in ([], ["dataset.name=new"]):
        assert registry.default_address(compose(words))[0] == "models:/aura-seizure-detector-ours@champion"
    register("aura-seizure-detector-theirs")
    with pytest.raises(AuraError) as refused:
        registry.default_address(compose(["dataset.name=new"]))
    assert str(refused.value) == (
        "several detectors are registered, but none for this corpus: aura-seizure-detector-ours, "
        "aura-seizure-detector-synthetic, aura-seizure-detector-theirs; write model=models:/NAME@champion"
    )


def test_baselines_forecasters_and_foreign_models_are_no_default(register: Register) -> None:
    with pytest.raises(AuraError, match="no detector is registered at sqlite:"):
        registry.default_address(compose())
    register("aura-baseline-heart-rate-ours", **{"aura.baseline": "heart rate"})
    register("aura-baseline-jeppesen")
    register("aura-seizure-forecaster-ours", **{"aura.learning.labels": "forecasting"})
    mlflow.MlflowClient().create_registered_model("of another project")
    with pytest.raises(AuraError, match="no detector is registered"):
        registry.default_address(compose())
    forecaster = "models:/aura-seizure-forecaster-ours@champion"
    assert registry.default_address(compose(["labels=forecasting"]))[0] == forecaster
    # Registered before each corpus had a name of its own.
    register("aura-seizure-detector", synthetic=None)
    assert registry.default_address(compose())[0] == "models:/aura-seizure-detector@champion"


def test_a_candidate_is_used_only_if_named(register: Register) -> None:
    register("aura-seizure-detector-ours-candidate")
    with pytest.raises(AuraError, match="no detector is registered"):
        registry.default_address(compose())
    register("aura-seizure-detector-synthetic", synthetic="true")
    assert registry.default_address(compose())[0] == "models:/aura-seizure-detector-synthetic@champion"
    register("aura-seizure-detector-ours")
    for words in ([], ["dataset.name=ours"]):
        assert registry.default_address(compose(words))[0] == "models:/aura-seizure-detector-ours@champion"
    named = ["tracking.model_name=aura-seizure-detector-ours-candidate"]
    assert registry.default_address(compose(named))[0] == "models:/aura-seizure-detector-ours-candidate@champion"


def test_detect_refuses_to_choose_between_several(
    register: Register, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    register("aura-seizure-detector-ours")
    register("aura-seizure-detector-theirs")
    write_real(tmp_path / "a.edf")
    words = [f"edf={tmp_path / 'a.edf'}", f"output={tmp_path / 'o'}", f"workspace={tmp_path / 'w'}", "compute=serial"]
    assert main(["detect", *words]) == 1
    assert "several detectors are registered, but none for this corpus" in capsys.readouterr().err
    assert main(["detect", *words, "dataset.name=theirs"]) == 0
    assert "made by model aura-seizure-detector-theirs version 1" in capsys.readouterr().out


def test_a_first_model_of_few_subjects_is_the_champion_of_its_corpus(
    trained: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("dataset=any", "dataset.name=clinic", f"workspace={tmp_path}")
    kept = [word for word in trained.overrides if not word.startswith(("dataset.synthesis", "workspace"))]
    assert main(["main", *kept, *words]) == 0
    said = capsys.readouterr().out
    assert "aura-seizure-detector-clinic version 1 is the champion: there was no champion" in said
    made_by = registry.load("models:/aura-seizure-detector-clinic@champion").provenance
    # What the corpus was made by stands in its folder, whatever it is called.
    assert made_by.origin == Origin("clinic", True, runs.software(), runs.today())
    assert np.isfinite(made_by.threshold)


def test_a_name_that_is_too_long_is_refused_before_any_work(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["prepare", f"dataset.name={'x' * 101}"]) == 2
    assert "dataset.name has 101 characters; allowed are 100" in capsys.readouterr().err
