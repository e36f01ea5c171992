"""Features to a seizure detector: split, fit, choose the threshold, score, log, register."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
from hydra.utils import instantiate

from aura.assembly import (
    build_detector,
    build_folds,
    build_recipe,
    choose_groups,
    compute_data_digest,
    compute_test_digest,
    is_personal,
    is_synthetic,
    open_prepared,
)
from aura.config.schema import Config
from aura.core.errors import AuraError
from aura.core.provenance import Origin, Provenance
from aura.core.wording import counted
from aura.detection.components import build_labelling
from aura.evaluation.recipe import Recipe, TrainingResult
from aura.evaluation.results import Evaluation
from aura.learning.feature_table import FeatureTable
from aura.learning.importance import compute_importance
from aura.learning.splits import Fold
from aura.reports import text
from aura.reports.model_card import write_model_card
from aura.stages._pages import log_pages
from aura.stages.evaluate import run as evaluate
from aura.stages.featurize.run import ensure_features
from aura.tracking import promotion, runs
from aura.tracking.registry import Registered


def run(config: Config) -> None:
    """Train, test and register a detector on the features of this configuration.

    If features are missing or outdated, featurize runs first, as a child run.
    """
    recipe = build_recipe(config)
    runtime = config.serving.runtime or "sklearn"
    if runtime == "onnx":
        from aura.detection.onnx import check_exportable

        check_exportable(instantiate(config.model))
    with runs.stage_run("train", config) as active:
        features = open_feature_table(config)
        folds = build_folds(config, features.recordings)
        log_data(config, features, folds)
        with instantiate(config.compute).forest():
            result = recipe.train_and_test(
                features,
                folds,
                choose_groups(config),
                # Several folds test the recipe; the registered detector is then trained on all recordings.
                retrain=len(folds) > 1 and not is_personal(config),
                progress=lambda name: print(f"train: {name}"),
            )
        scores = result.evaluation.scores(seed=config.seed)
        evaluate.push_counts(result.evaluation)
        comparison = log_result(config, result, scores)
        outcome = register(config, result, recipe, scores, comparison, runtime)
        print(describe(result, scores, comparison, outcome, active.info.run_id))
        # Pictures come last, so that a failure to draw them costs nothing else.
        with _note_on_error(f"everything but pictures and pages is saved: {outcome}"):
            log_pictures(config, features, result, recipe, scores)


def log_data(config: Config, features: FeatureTable, folds: Sequence[Fold]) -> None:
    """Log the data that the detector is trained and tested on, before any work."""
    tested = features.recordings[np.any([fold.test for fold in folds], axis=0)]
    runs.log_dataset(
        features.store.folder,
        name=config.dataset.name,
        digest=compute_data_digest(features.recordings, config.labels),
        recordings=features.recordings,
        test_digest=compute_test_digest(config, tested),
    )


def log_result(config: Config, result: TrainingResult, scores: Mapping[str, float]) -> str:
    """Log scores and tables, and return the comparison with baselines in words."""
    evaluation = result.evaluation
    runs.log_metrics({**scores, **result.window_counts, "threshold": result.detector.threshold})
    runs.log_json({"dataset": [config.dataset.name], **result.sides}, "split.json")
    runs.log_table(evaluation.per_subject(), "per_subject.json")
    runs.log_table(evaluation.seizures(), "seizures.json")
    runs.log_table(result.training_curve, "training_curve.json")
    baselines = runs.find_baselines(compute_test_digest(config, result.tested))
    runs.log_table(baselines, "baselines.json")
    return text.compare_with_baselines(scores, baselines)


def register(
    config: Config,
    result: TrainingResult,
    recipe: Recipe,
    scores: Mapping[str, float],
    comparison: str,
    runtime: str,
) -> str:
    """Log the model card and the model, register the model, and return a sentence about it."""
    origin = build_origin(config)
    card = write_model_card(
        config, scores, comparison, result.recordings, result.tested, origin=origin, keeps_limit=result.keeps_limit
    )
    runs.log_text(card, "model_card.md")
    if is_personal(config):
        return "nothing is registered: each model is for one subject"
    detector = build_detector(config, result.detector, recipe, origin)
    with TemporaryDirectory() as saved:
        detector.save(Path(saved), runtime=runtime)
        model_id = runs.log_model(Path(saved), detector.requirements(runtime=runtime))
    score_again = partial(_score_again, config, result.tested)
    return promotion.register(config, model_id, card, origin, result.evaluation, result.tested, score_again)


def describe(result: TrainingResult, scores: Mapping[str, float], comparison: str, outcome: str, run_id: str) -> str:
    """Describe a training in words, for the terminal."""
    recordings, sides = result.evaluation.recordings, result.sides
    return (
        f"train: {counted(len(result.recordings), 'recording')}, "
        f"{counted(len(sides['train']), 'subject')} to train on, {len(sides['test'])} to test on with "
        f"{counted(sum(len(r.seizures) for r in recordings), 'seizure')} in "
        f"{sum(r.duration_s for r in recordings) / 3600:.1f} h; run {run_id}\n\n"
        f"{text.summarize_scores(scores)}\n\n{comparison}\n\n{outcome}"
    )


def log_pictures(
    config: Config, features: FeatureTable, result: TrainingResult, recipe: Recipe, scores: Mapping[str, float]
) -> None:
    """Log the pictures of a training, and the pages of the recordings with the most errors."""
    from aura.reports.training import draw_training

    # The first of several folds stands for the others: its model is tried on subjects that it has not seen.
    unseen = features.select(result.folds[0].test)
    importance = compute_importance(result.by_fold[0].model, unseen, seed=config.seed)
    corpus = open_prepared(config)
    pictures = draw_training(result, recipe, scores, importance, read_rr=lambda recording: corpus[recording].rr)
    runs.log_figures(pictures)
    provenance = Provenance(
        f"of run {runs.active_id()}",
        "",
        "",
        build_origin(config),
        result.detector.threshold,
        runs.software(),
        runs.today(),
    )
    log_pages(corpus, result.evaluation, recipe.alarms, provenance, synthetic_data=is_synthetic(config))


def build_origin(config: Config) -> Origin:
    """Describe what a detector is trained on."""
    return Origin(config.dataset.name, is_synthetic(config), runs.software(), runs.today())


@contextmanager
def _note_on_error(sentence: str) -> Iterator[None]:
    """Add a sentence to an error that ends the block."""
    try:
        yield
    except BaseException as error:
        error.add_note(sentence)
        raise


def open_feature_table(config: Config) -> FeatureTable:
    """Open the features of the annotated recordings; where they are missing or outdated, featurize runs first."""
    store = ensure_features(config)
    runs.log_upstream({"prepare": store.prepare_run_id, "featurize": store.run_id})
    recordings = select_annotated(store.recordings)
    return FeatureTable(store, recordings, config.windows.step_s, build_labelling("labels", config.labels))


def select_annotated(recordings: pd.DataFrame) -> pd.DataFrame:
    """Select the annotated recordings; a detector cannot learn from the others."""
    annotated = recordings[recordings["annotated"]].astype({"n_seizures": "int64"}).reset_index(drop=True)
    if not len(annotated):
        n = len(recordings)
        raise AuraError(f"no recording is annotated, of {n} that were prepared; training needs annotated seizures")
    n_left_out = len(recordings) - len(annotated)
    if n_left_out:
        print(f"train: left out without annotations: {n_left_out} of {counted(len(recordings), 'recording')}")
    return annotated


def _score_again(config: Config, recordings: pd.DataFrame, other: Registered) -> Evaluation:
    """Score another detector on the recordings that this one was tested on."""
    corpus = open_prepared(config)
    return evaluate.score_corpus(config, other.detector, (corpus[name] for name in recordings["recording"]))
