"""Training on planted feature tables finds what was planted, and nothing else."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import BaggingClassifier, ExtraTreesClassifier, RandomForestClassifier
from sklearn.metrics import roc_auc_score
from sklearn.tree import DecisionTreeClassifier

from aura.assembly import build_recipe
from aura.config.compose import compose
from aura.core.arrays import Floats, Ints
from aura.core.errors import AuraError
from aura.learning.calibration import Calibration
from aura.learning.classifier import fit_classifier, seizure_probability
from aura.learning.feature_table import FeatureTable
from aura.learning.labels import INTERICTAL, LEFT_OUT, TARGET, Detection
from aura.learning.training import Training, check_parameters
from aura.workspace.features import FeatureStore, FeatureWriter
from tests.support.checkout import copy_checkout, run_in_checkout


class OurTree(DecisionTreeClassifier):
    """A class that is not scikit-learn's own."""


FOREST = partial(RandomForestClassifier, n_estimators=30, min_samples_leaf=5, random_state=0)
TRAINING = Training(FOREST, None, None, 4, calibrate=False, seed=0, n_threads=2)
N_WINDOWS = 200


def planted(
    folder: Path, features: Callable[[Ints, int, np.random.Generator], Floats], n_subjects: int = 8
) -> FeatureTable:
    """A recording per subject, with a seizure from 60 to 90 s, and features made of its labels and its number."""
    labelling, rows = Detection(0.5, 0), []
    seizure = [[60.0, 30.0]]
    for subject in range(n_subjects):
        name, rng = f"r{subject}", np.random.default_rng(subject)
        label = np.zeros(N_WINDOWS, dtype=np.int64)
        label[60:90] = 1
        x = features(label, subject, rng)
        frame = pd.DataFrame({"t_s": np.arange(1.0, N_WINDOWS + 1), "coverage": 1.0, "corrected": 0.0})
        for i, column in enumerate(x.T):
            frame[f"f{i}"] = column
        FeatureWriter(folder).write({"recording": name}, frame, rr_digest=name)
        rows.append((name, name, f"s{subject}", float(N_WINDOWS), 1, seizure, [float("nan")]))
    columns = ["recording", "rr_digest", "subject", "duration_s", "n_seizures", "seizures", "rises_bpm"]
    recordings = pd.DataFrame(rows, columns=columns)
    return FeatureTable(FeatureStore(folder, recordings, "", ""), recordings, 1.0, labelling)


def raised(label: Ints, subject: int, rng: np.random.Generator) -> Floats:
    return rng.normal(0, 1, (len(label), 5)) + label[:, None]


def truth(table: FeatureTable) -> Ints:
    return np.concatenate([table.labels(number) for number in range(len(table))]) == TARGET


def auc(table: FeatureTable, training: Training = TRAINING) -> float:
    return float(roc_auc_score(truth(table), np.concatenate(training.out_of_fold(table, "subject"))))


def test_a_planted_feature_is_learned_out_of_fold(tmp_path: Path) -> None:
    table = planted(tmp_path, raised)
    assert table.features == [f"f{i}" for i in range(5)]
    assert auc(table) > 0.9


def test_shuffled_labels_give_chance(tmp_path: Path) -> None:
    def shuffled(label: Ints, subject: int, rng: np.random.Generator) -> Floats:
        return raised(rng.permutation(label), subject, rng)

    assert abs(auc(planted(tmp_path, shuffled)) - 0.5) < 0.07


def test_a_feature_that_names_the_subject_does_not_help(tmp_path: Path) -> None:
    """A feature that names the subject, of whom some have much longer seizures than others."""

    def named(label: Ints, subject: int, rng: np.random.Generator) -> Floats:
        return np.column_stack([np.full(len(label), float(subject)), rng.normal(0, 1, len(label))])

    table = planted(tmp_path, named)
    table.recordings["seizures"] = [[[60.0, 100.0 if i % 2 else 10.0]] for i in range(8)]
    whole = seizure_probability(TRAINING.fit(table), np.concatenate([table.read(i) for i in range(8)]))
    # It tells apart the subjects it was fitted on, and no others.
    assert roc_auc_score(truth(table), whole) > 0.7
    assert auc(table) < 0.6


def test_all_windows_are_predicted_and_a_part_is_fitted_on(tmp_path: Path) -> None:
    table = planted(tmp_path, raised)
    few = Training(FOREST, 2.0, None, 4, calibrate=False, seed=0, n_threads=1)
    _, labels = few._draw(table)
    assert (labels == TARGET).sum() == 8 * 30
    assert (labels == INTERICTAL).sum() == pytest.approx(2 * 8 * 30, rel=0.15)
    found = few.out_of_fold(table, "subject")
    assert [len(one) for one in found] == [N_WINDOWS] * 8
    assert auc(table, few) > 0.9
    # The drawing of a recording does not depend on the others.
    alone, both = few._draw(table.select(np.arange(8) == 3)), few._draw(table)
    assert set(map(tuple, alone[0])) <= set(map(tuple, both[0]))


@pytest.mark.parametrize(
    ("max_windows", "n_ictal", "n_interictal"), [(10_000, 240, 1360), (800, 120, 680), (400, 60, 340)]
)
def test_ictal_and_interictal_windows_are_thinned_alike(
    max_windows: int, n_ictal: int, n_interictal: int, tmp_path: Path
) -> None:
    _, labels = replace(TRAINING, max_windows=max_windows)._draw(planted(tmp_path, raised))
    assert (labels == TARGET).sum() == pytest.approx(n_ictal, rel=0.3)
    assert (labels == INTERICTAL).sum() == pytest.approx(n_interictal, rel=0.15)


def test_calibrated_probabilities_match_the_observed_frequency(tmp_path: Path) -> None:
    table = planted(tmp_path, raised, n_subjects=16)
    drawn = Training(FOREST, 1.0, None, 4, calibrate=True, seed=0, n_threads=2)
    found = drawn.out_of_fold(table, "subject")
    calibration = drawn.calibration(table, found)
    before, after = np.concatenate(found).mean(), calibration(np.concatenate(found)).mean()
    # Fitted one to one, the forest takes half of all windows for ictal; 15 % are.
    assert before > 0.25
    assert after == pytest.approx(0.15, abs=0.01)
    assert np.array_equal(np.argsort(calibration(found[0]), kind="stable"), np.argsort(found[0], kind="stable"))
    assert replace(drawn, calibrate=False).calibration(table, found) == Calibration()


def test_recordings_of_a_single_subject_are_separate_groups(tmp_path: Path) -> None:
    table = planted(tmp_path, raised)
    table.recordings["subject"] = "one"
    assert roc_auc_score(truth(table), np.concatenate(TRAINING.out_of_fold(table, "recording"))) > 0.9
    with pytest.raises(AuraError, match=r"4 folds need 4 subjects with seizures; of the .* 1 has"):
        TRAINING.out_of_fold(table, "subject")


def windows(seed: int = 0) -> tuple[Floats, Ints]:
    rng = np.random.default_rng(seed)
    labels = (rng.random(1600) < 0.15).astype(np.int64)
    return rng.normal(0, 1, (1600, 5)) + labels[:, None], labels


def test_windows_left_out_or_without_features_are_not_fitted_on() -> None:
    x, labels = windows()
    spoiled_x, spoiled = x.copy(), labels.copy()
    spoiled[:300], spoiled_x[300:600] = LEFT_OUT, np.nan
    forest, other = fit_classifier(FOREST(), spoiled_x, spoiled), fit_classifier(FOREST(), x[600:], labels[600:])
    assert np.array_equal(forest.predict_proba(x), other.predict_proba(x))


def test_training_without_both_labels_is_refused() -> None:
    x, labels = windows()
    with pytest.raises(AuraError, match=r"0 windows are ictal .* of 1600 with a label and a feature"):
        fit_classifier(FOREST(), x, np.zeros_like(labels))
    with pytest.raises(AuraError, match="of 0 with a label"):
        fit_classifier(FOREST(), np.full_like(x, np.nan), labels)


def test_a_window_without_features_has_no_probability() -> None:
    x, labels = windows()
    forest = fit_classifier(FOREST(), x, labels)
    x[:2] = np.nan
    assert np.array_equal(np.isnan(seizure_probability(forest, x))[:3], [True, True, False])


@pytest.mark.parametrize("kind", [RandomForestClassifier, ExtraTreesClassifier])
def test_forests_predict_exactly_as_scikit_learn(kind: type[RandomForestClassifier | ExtraTreesClassifier]) -> None:
    """To the last bit, with values missing, whole and a row at a time."""
    x, labels = windows()
    x[np.random.default_rng(1).random(x.shape) < 0.2] = np.nan
    forest = fit_classifier(kind(n_estimators=30, max_depth=6, class_weight="balanced", random_state=0), x, labels)
    known = ~np.isnan(x).all(axis=1)
    expected = forest.predict_proba(x[known])[:, 1]
    assert len(np.unique(expected)) > 100
    assert np.array_equal(seizure_probability(forest, np.asfortranarray(x))[known], expected)
    one_by_one = [seizure_probability(forest, row[np.newaxis])[0] for row in x[known][:50]]
    assert np.array_equal(one_by_one, expected[:50])


def test_the_same_seed_gives_the_same_forest() -> None:
    x, labels = windows()
    one, other = (fit_classifier(FOREST(n_jobs=n_jobs), x, labels) for n_jobs in (1, 2))
    assert np.array_equal(one.predict_proba(x), other.predict_proba(x))


def test_an_unknown_type_of_model_is_refused_before_training() -> None:
    with pytest.raises(AuraError, match=r"OurTree cannot be served; allowed are"):
        check_parameters(OurTree, 2)


def test_a_classifier_that_cannot_be_loaded_again_is_refused_before_training() -> None:
    with pytest.raises(AuraError, match=r"^model: DecisionTreeClassifier cannot be served; allowed are ExtraTrees"):
        check_parameters(DecisionTreeClassifier, 2)


@pytest.mark.slow
@pytest.mark.parametrize("model", ["random_forest", "extra_trees", "hist_gradient_boosting", "lightgbm"])
def test_every_model_can_be_fitted_and_served(model: str, tmp_path: Path) -> None:
    trial = build_recipe(
        compose([f"model={model}", "train.folds=4", "train.calibrate=false", "train.interictal_per_ictal=null"])
    )
    assert auc(planted(tmp_path, raised), trial.training) > 0.85


@pytest.mark.parametrize("wrong", [{"n_estimators": "many"}, {"no_such": 1}])
def test_wrong_parameters_of_a_model_are_refused_in_one_line(wrong: dict[str, object]) -> None:
    with pytest.raises(AuraError, match=r"^model: [^\n]+$"):
        check_parameters(lambda: BaggingClassifier(**wrong), 2)


USE_OF_THE_NEW_MODEL = """
from hydra.utils import instantiate
from aura.config.compose import compose
from aura.learning.training import check_parameters

config = compose(["model=small_forest", "model.n_estimators=3"])
check_parameters(lambda: instantiate(config.model, random_state=0), 4)
print(instantiate(config.model, random_state=0))
"""


@pytest.mark.slow
def test_a_model_is_added_by_one_file(tmp_path: Path) -> None:
    checkout = copy_checkout(tmp_path)
    model = "_target_: sklearn.ensemble.ExtraTreesClassifier\nn_estimators: 10\nmax_depth: 3\n"
    (checkout / "conf/model/small_forest.yaml").write_text(model)
    said = run_in_checkout(checkout, USE_OF_THE_NEW_MODEL)
    assert said == "ExtraTreesClassifier(max_depth=3, n_estimators=3, random_state=0)\n"
