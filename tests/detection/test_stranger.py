"""A model folder of a stranger: nothing in it is imported or run, and what is wrong with it is one sentence."""

import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import mlflow
import numpy as np
import pandas as pd
import pytest
import skops.io
from mlflow.exceptions import MlflowException
from sklearn.ensemble import (
    BaggingClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from aura.cli import main
from aura.core.errors import AuraError
from aura.core.provenance import UNCONFIRMED_WARNING
from aura.detection.components import BEAT_DETECTORS, LABELLINGS, build_beat_detector, build_labelling
from aura.detection.detector_file import DetectorFile
from aura.learning.classifier_file import load_classifier
from aura.learning.labels import Detection
from aura.serving.pyfunc import Pyfunc
from aura.tracking import registry
from tests.support.project import Project
from tests.support.real_ecg import write_real

pytestmark = pytest.mark.integration

MODEL = "models:/aura-seizure-detector-synthetic@champion"
Values = dict[str, Any]
# Paths of functions that run or read what they are given, where the saved model names a part of Aura.
HOSTILE = ("pandas.read_pickle", "joblib.load", "pip.main", "os.system", "builtins.eval", "aura.core.files.read_json")


@pytest.fixture(scope="module")
def saved(trained: Project, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model folder of the small corpus's champion; not to be changed."""
    folder = tmp_path_factory.mktemp("saved") / "model"
    shutil.copytree(mlflow.artifacts.download_artifacts(MODEL), folder)
    return folder


@pytest.fixture
def model(saved: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    folder = tmp_path / "model"
    shutil.copytree(saved, folder)
    return folder


def data(model: Path) -> Path:
    (folder,) = (model / "data").iterdir()
    return folder


def change(model: Path, by: Callable[[Values], Any]) -> None:
    file = data(model) / "detector.json"
    values = json.loads(file.read_text())
    changed = by(values)
    file.write_text(json.dumps(changed if isinstance(changed, list) else values))


def test_a_saved_model_names_its_parts_by_short_names_alone(saved: Path) -> None:
    text = (data(saved) / "detector.json").read_text()
    values = json.loads(text)
    assert values["beats"]["detector"] == {"name": "sleepecg"}
    assert values["labels"] == {"name": "detection", "min_overlap": 0.5, "postictal_s": 60}
    assert "_target_" not in text
    assert "aura." not in text
    # In memory it is what a configuration holds, so that both can be compared.
    read = DetectorFile.read(data(saved) / "detector.json")
    assert read.beats["detector"] == {"_target_": "aura.ecg.beat_detectors.sleepecg"}
    assert read.labels == {"_target_": "aura.learning.labels.Detection", "min_overlap": 0.5, "postictal_s": 60}


def test_import_paths_of_models_registered_before_are_aliases() -> None:
    values = {"_target_": "aura.learning.labels.Detection", "min_overlap": 0.4, "postictal_s": 9}
    assert build_labelling("labels", values) == Detection(min_overlap=0.4, postictal_s=9)
    assert build_labelling("labels", {**values, "_target_": "detection"}) == Detection(min_overlap=0.4, postictal_s=9)
    # These stand in models that are registered.
    assert {"aura.ecg.beat_detectors.sleepecg", "aura.ecg.beat_detectors.neurokit"} <= BEAT_DETECTORS.aliases.keys()
    assert {"aura.learning.labels.Detection", "aura.learning.labels.Forecasting"} <= LABELLINGS.aliases.keys()
    assert build_beat_detector("detector", {"name": "neurokit"}).func.__name__ == "neurokit"  # type: ignore[attr-defined]


@pytest.mark.parametrize("target", HOSTILE)
@pytest.mark.parametrize("field", ["_target_", "name"])
@pytest.mark.parametrize("key", ["beats.detector", "beats.quality.second_detector", "labels"])
def test_detect_runs_no_function_that_a_model_names(
    target: str, field: str, key: str, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[object] = []
    for name in ("joblib.load", "pandas.read_pickle", "os.system", "aura.core.files.read_json"):
        monkeypatch.setattr(name, lambda *given, **more: ran.append((given, more)))

    def name_it(values: Values) -> None:
        *way, last = key.split(".")
        for part in way:
            values = values[part]
        values[last] = {field: target, "filepath_or_buffer": str(tmp_path / "x.pkl"), "command": "touch /tmp/x"}

    change(model, name_it)
    with pytest.raises(AuraError, match=r"detector\.json: ") as refused:
        registry.load(str(model))
    assert target in str(refused.value)
    assert "allowed are " in str(refused.value)
    assert ran == []


def test_detect_refuses_a_hostile_model_in_one_line(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pickled = tmp_path / "x.pkl"
    joblib.dump([1], pickled)
    write_real(tmp_path / "a.edf")
    change(
        model,
        lambda values: values["beats"].update(detector={"_target_": "joblib.load", "filename": str(pickled)}),
    )
    words = [f"edf={tmp_path / 'a.edf'}", f"model={model}", f"output={tmp_path / 'o'}", f"workspace={tmp_path / 'w'}"]
    assert main(["detect", *words, "compute=serial"]) == 1
    said = capsys.readouterr().err.splitlines()
    assert said[-1] == (
        f"aura detect: model={model} cannot be used: detector.json: beats.detector._target_=joblib.load; "
        "allowed are sleepecg, neurokit, manikandan"
    )
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize(
    ("by", "says"),
    [
        (lambda v: v["labels"].update(min_overlap={"_target_": "os.system", "command": "id"}), "labels.min_overlap="),
        (lambda v: v["labels"].update(_partial_=True), "there is no key labels._partial_"),
        (lambda v: v["labels"].update(min_overlap=7), "labels.min_overlap=7 is out of range"),
        (lambda v: v["labels"].pop("min_overlap"), "labels.min_overlap is missing"),
        (lambda v: v["beats"]["detector"].update(low=1), "there is no key beats.detector.low"),
        (lambda v: v["beats"]["quality"].update(flat_mv="${oc.env:HOME}"), "beats.quality.flat_mv='${oc.env:HOME}'"),
        (lambda v: v["beats"].update(more=1), "there is no key 'more' in beats"),
        (lambda v: v["beats"].pop("quality"), "beats hold detector and quality"),
        (lambda v: v["alarms"].update(smoothing_s="soon"), "alarms.smoothing_s='soon' is not a number"),
        (lambda v: v["alarms"].update(smoothing_s=1e9), "alarms.smoothing_s=1e+09 is out of range"),
        (lambda v: v["alarms"].pop("release"), "alarms: "),
        (lambda v: v["calibration"].update(slope=float("nan")), "calibration.slope=nan is not a number"),
        (lambda v: v["calibration"].update(extra=1), "there is no key 'extra' in calibration"),
        (lambda v: v.update(threshold="0.5"), "threshold='0.5' is not a number"),
        (lambda v: v.update(threshold=None), "threshold=None is not a number"),
        (lambda v: v.pop("threshold"), "threshold is missing"),
        (lambda v: v.update(runtime="shell"), "runtime='shell'; allowed are sklearn, onnx"),
        (lambda v: v["features"].update(step_s="x"), "features hold a value of the wrong type"),
        (lambda v: v["features"].update(lengths_s=[["entropy"]]), "features hold a value of the wrong type"),
        (lambda v: v["features"].update(hook="x"), "there is no key 'hook' in features"),
        (
            lambda v: v["features"].update(lengths_s=[["time_domain", [10]]]),
            "takes 27 features, but detector.json names",
        ),
        (lambda v: v["origin"].update(corpus="x\n0 10 seiz 1"), "origin.corpus is not a short text on one line"),
        (lambda v: v["origin"].update(synthetic="no"), "origin.synthetic='no'"),
        (lambda v: v.update(hook="x"), "there is no key 'hook'"),
        (lambda v: [1, 2], "the file is not a mapping"),
    ],
)
def test_what_is_wrong_with_a_saved_detector_is_said(by: Callable[[Values], Any], says: str, model: Path) -> None:
    change(model, by)
    with pytest.raises(AuraError) as refused:
        registry.load(str(model))
    assert says in str(refused.value)


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, "\xff", " " * 1_000_001])
def test_a_file_that_is_no_json_is_refused(text: str, model: Path) -> None:
    (data(model) / "detector.json").write_text(text, encoding="latin-1")
    with pytest.raises(AuraError, match=r"detector\.json (is not valid JSON|has 1000001 bytes)"):
        registry.load(str(model))


def forest(model: Path) -> RandomForestClassifier:
    return registry.load(str(model)).detector.model  # type: ignore[return-value]


def with_nodes(model: Path, changes: Callable[[Any], None]) -> None:
    """Change the nodes of the first tree of the forest in its file."""
    found = forest(model)
    tree = found.estimators_[0].tree_
    state = tree.__getstate__()
    changes(state["nodes"])
    tree.__setstate__(state)
    skops.io.dump(found, data(model) / "model.skops")


@pytest.mark.parametrize(
    "changes",
    [
        lambda nodes: nodes["left_child"].__setitem__(0, 10_000_000),
        lambda nodes: nodes["right_child"].__setitem__(0, 0),
        lambda nodes: nodes["left_child"].__setitem__(0, -7),
        lambda nodes: nodes["feature"].__setitem__(0, 10_000_000),
    ],
    ids=["beyond", "loop", "negative", "feature"],
)
def test_a_tree_that_would_read_foreign_memory_is_refused(changes: Callable[[Any], None], model: Path) -> None:
    with_nodes(model, changes)
    with pytest.raises(AuraError, match=r"model\.skops is not .*: a tree has nodes"):
        registry.load(str(model))


def refusal_of(classifier: Any, path: Path, n_features: int = 5) -> str:
    """What is said of a file that holds this classifier."""
    skops.io.dump(classifier, path)
    with pytest.raises(AuraError) as refused:
        load_classifier(path, n_features=n_features)
    return str(refused.value)


def rows_and_labels() -> tuple[np.ndarray, np.ndarray]:
    x = np.random.default_rng(0).normal(size=(300, 5))
    return x, (x[:, 0] > 0).astype(np.int64)


@pytest.fixture
def boosted() -> HistGradientBoostingClassifier:
    return HistGradientBoostingClassifier(max_iter=3).fit(*rows_and_labels())


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("left", 4_000_000_000, "a tree has nodes that do not exist"),
        ("right", 4_000_000_000, "a tree has nodes that do not exist"),
        ("left", 0, "a tree has nodes that do not exist"),
        ("feature_idx", 5, "a tree has nodes that do not exist"),
        ("feature_idx", -1, "a tree has nodes that do not exist"),
        ("is_categorical", 1, "it takes categories, which no feature is"),
    ],
)
def test_boosted_trees_that_would_read_foreign_memory_are_refused(
    field: str, value: int, says: str, boosted: HistGradientBoostingClassifier, tmp_path: Path
) -> None:
    boosted._predictors[-1][0].nodes[field][0] = value
    assert refusal_of(boosted, tmp_path / "m.skops") == f"m.skops is not a model that skops wrote: {says}"


def test_boosted_trees_are_read_as_they_were_written(boosted: HistGradientBoostingClassifier, tmp_path: Path) -> None:
    skops.io.dump(boosted, tmp_path / "m.skops")
    x, _ = rows_and_labels()
    read = load_classifier(tmp_path / "m.skops", n_features=5)
    assert np.array_equal(read.predict_proba(x), boosted.predict_proba(x))


def test_parts_of_boosted_trees_of_another_kind_are_refused(
    boosted: HistGradientBoostingClassifier, tmp_path: Path
) -> None:
    tree = DecisionTreeClassifier(max_depth=2).fit(*rows_and_labels())
    loss, boosted._loss = boosted._loss, tree
    assert "a DecisionTreeClassifier in the place of a HalfBinomialLoss" in refusal_of(boosted, tmp_path / "m.skops")
    boosted._loss, boosted._preprocessor = loss, tree
    assert "it takes categories" in refusal_of(boosted, tmp_path / "m.skops")


def test_a_method_that_the_file_replaces_is_refused(boosted: HistGradientBoostingClassifier, tmp_path: Path) -> None:
    tree = DecisionTreeClassifier(max_depth=2).fit(*rows_and_labels())
    boosted.predict_proba = tree.predict_proba
    assert "holds types that are not trusted" in refusal_of(boosted, tmp_path / "m.skops")


@pytest.mark.parametrize(
    "classifier",
    [
        DecisionTreeClassifier(max_depth=2),
        BaggingClassifier(n_estimators=2),
        GradientBoostingClassifier(n_estimators=2),
        make_pipeline(StandardScaler(), DecisionTreeClassifier(max_depth=2)),
        SVC(),
    ],
    ids=lambda one: type(one).__name__,
)
def test_a_classifier_that_aura_does_not_check_is_refused(classifier: Any, tmp_path: Path) -> None:
    allowed = (
        "allowed are ExtraTreesClassifier, HistGradientBoostingClassifier, LGBMClassifier, OneFeature, "
        "RandomForestClassifier"
    )
    name = type(classifier).__name__
    classifier.fit(*rows_and_labels())
    assert refusal_of(classifier, tmp_path / "m.skops") == f"m.skops holds a {name}; {allowed}"


def test_a_skops_file_of_other_types_is_refused(model: Path) -> None:
    file = data(model) / "model.skops"
    for made, says in (
        (FunctionTransformer(np.square), "holds a FunctionTransformer; allowed are ExtraTreesClassifier, HistGradient"),
        (FunctionTransformer(joblib.load), "holds types that are not trusted"),
        (RandomForestClassifier(3).fit([[0.0], [1.0]], [0, 1]), "takes 1 features, but detector.json names 27"),
        (RandomForestClassifier(3), "is not a model that skops wrote"),
    ):
        skops.io.dump(made, file)
        with pytest.raises(AuraError, match=says):
            registry.load(str(model))
    skops.io.dump(FunctionTransformer(np.square), file, compression=zipfile.ZIP_DEFLATED)
    with pytest.raises(AuraError, match="has compressed parts"):
        registry.load(str(model))
    for content in (b"", b"PK\x03\x04", b"not a zip"):
        file.write_bytes(content)
        with pytest.raises(AuraError, match=r"model\.skops is not a model that skops wrote"):
            registry.load(str(model))


def test_an_onnx_file_that_is_none_is_refused(model: Path) -> None:
    (data(model) / "model.onnx").write_bytes(b"\x08\x07garbage")
    with pytest.raises(AuraError, match="the ONNX model cannot be read"):
        registry.load(str(model), runtime="onnx")


def test_code_in_the_folder_is_not_imported(model: Path, tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    for file in [*(model / "code").rglob("*.py"), model / "sitecustomize.py"]:
        file.write_text(f"import pathlib; pathlib.Path({str(mark)!r}).touch()\n")
    rr = pd.DataFrame({"t_s": np.arange(1, 200) * 0.8, "rr_ms": 800.0})
    assert len(Pyfunc(registry.load(str(model)).detector).predict(rr)) > 30
    assert not mark.exists()


def test_what_mlflow_would_not_write_is_left_out(model: Path) -> None:
    (model / "registered_model_meta").write_text("model_name: 'a/../b'\nmodel_version: \"1\\nx\"\n")
    text = (model / "MLmodel").read_text()
    (model / "MLmodel").write_text(text.replace("run_id: ", "run_id: ../../"))
    made_by = registry.load(str(model)).provenance
    assert (made_by.model, made_by.version, made_by.run_id) == ("a folder", "", "")
    (model / "MLmodel").write_text("a: [")
    with pytest.raises(AuraError, match="MLmodel is not valid YAML"):
        registry.load(str(model))


def test_a_folder_cannot_pass_for_a_registered_version(model: Path) -> None:
    (model / "registered_model_meta").write_text("model_name: aura-seizure-detector-ours\nmodel_version: 3\n")
    change(model, lambda values: values["origin"].update(corpus="ours", synthetic=False))
    for address in (str(model), model.as_uri()):
        loaded = registry.load(address)
        made_by = loaded.provenance
        assert made_by.name == "a folder, which says it is aura-seizure-detector-ours version 3"
        assert (made_by.address, made_by.version, made_by.run_id) == (made_by.name, "", "")
        assert made_by.warning(synthetic_data=False) == UNCONFIRMED_WARNING
        assert loaded.has_seen("ours", pd.DataFrame({"subject": ["a"], "rr_digest": ["b"]})) is None


def test_a_folder_without_a_version_is_a_folder(model: Path) -> None:
    (model / "registered_model_meta").unlink()
    for address in (str(model), model.as_uri()):
        assert registry.load(address).name == "a folder"


def test_a_model_of_a_run_has_the_address_of_the_run_as_its_name(saved: Path) -> None:
    run_id = registry.load(MODEL).run_id
    uri = f"runs:/{run_id}/model"
    made_by = registry.load(uri).provenance
    assert (made_by.name, made_by.version, made_by.run_id, made_by.is_confirmed) == (uri, "", run_id, True)


def test_a_version_that_is_gone_from_the_registry_is_one_sentence(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise MlflowException("Model Version not found")

    monkeypatch.setattr(mlflow.MlflowClient, "get_model_version", refuse)
    monkeypatch.setattr(mlflow.artifacts, "download_artifacts", lambda _: str(model))
    with pytest.raises(
        AuraError, match=r"^model=models:\S+ is not a model of .*: Model Version not found; run aura train"
    ):
        registry.load(MODEL)
