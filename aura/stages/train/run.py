"""Features to a seizure detector: split, fit, choose the threshold, score, log, register."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
from hydra.utils import instantiate
from mlflow.data.dataset import Dataset

from aura.assembly import (
    build_detector,
    build_folds,
    build_recipe,
    choose_groups,
    compute_data_digest,
    compute_fingerprint,
    compute_test_digest,
    is_personal,
    is_synthetic,
    open_prepared,
)
from aura.config import summary
from aura.config.schema import Config
from aura.core.errors import AuraError
from aura.core.provenance import Provenance
from aura.core.wording import counted
from aura.detection.components import build_labelling
from aura.evaluation.operating_point import compute_event_curve
from aura.evaluation.recipe import Recipe, TrainingResult
from aura.evaluation.scoring import FALSE_ALARM_RATE
from aura.learning.feature_table import FeatureTable
from aura.learning.importance import compute_importance, compute_size_curve, draw_windows
from aura.learning.splits import Fold
from aura.reports import text
from aura.reports.model_card import write_model_card
from aura.stages._pages import log_pages
from aura.stages.evaluate import run as evaluate
from aura.stages.featurize.run import ensure_features
from aura.stages.train import STAGE
from aura.stages.train.curves import trace_false_alarms, trace_folds, trace_sizes, trace_thresholds
from aura.stages.train.registration import (
    CARD,
    build_origin,
    find_finished,
    list_annotated,
    register,
    report_finished,
    run_together,
)
from aura.tracking import finished, logs, promotion, runs, views

# MLflow's page that compares runs opens on the metric that was logged first.
FIRST_METRICS = ("event_f1", "event_sensitivity", "event_false_alarms_per_24h", f"event_{FALSE_ALARM_RATE}")


def run(config: Config, *, registers: bool = True) -> None:
    """Train, test and register a detector on the features of this configuration.

    If features are missing or outdated, featurize runs first, as a child run. With ``tracking.register=auto``, a
    finished run that trained the same detector is reported instead.

    Parameters
    ----------
    config
        Configuration.
    registers
        Whether the detector is registered, unless ``tracking.register=never``; the jobs of a multirun are not.
    """
    if config.tracking.register == "auto" and (same := find_finished(config)) is not None:
        report_finished(config, same, registers=registers)
        return
    recipe = build_recipe(config)
    runtime = config.serving.runtime or "sklearn"
    if runtime == "onnx":
        from aura.detection.onnx import check_exportable

        check_exportable(instantiate(config.model))
    with runs.stage_run("train", config) as active:
        features = open_feature_table(config)
        fingerprint = _compute_fingerprint(config, features)
        finished.mark(fingerprint)
        folds = build_folds(config, features.recordings)
        datasets = log_data(config, features, folds)
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
        comparison = log_tables(config, result, scores)
        model_id = log_model(config, result, recipe, runtime)
        log_scores(result, scores, datasets, model_id)
        runs.describe("train", config, text.describe_scores(scores, result.evaluation), model_id)
        candidate = log_candidate(config, result, scores, comparison, model_id, fingerprint)
        outcome = register(config, candidate, result.tested, registers=registers)
        print(describe(result, scores, comparison, outcome, active.info.run_id))
        # Pictures come last, so that a failure to draw them costs nothing else.
        with _note_on_error(f"everything but pictures and pages is saved: {outcome}"):
            log_pictures(config, features, result, recipe, scores)
        print(f"train: compare with other runs at {views.update_view('train')} (make ui)")


def run_jobs(configs: Sequence[Config]) -> None:
    """Run the jobs of a multirun, and register the best."""
    run_together(STAGE, configs)


def log_data(config: Config, features: FeatureTable, folds: Sequence[Fold]) -> dict[str, Dataset]:
    """Log the data that the detector is trained and tested on, before any work; return it by side."""
    recordings = features.recordings
    trained, tested = (
        recordings[np.any([getattr(fold, side) for fold in folds], axis=0)] for side in ("train", "test")
    )
    digests = {
        "train": compute_data_digest(trained, config.labels),
        "test": compute_test_digest(config, tested),
    }
    logs.log_params(
        {
            "data.subjects": recordings["subject"].nunique(),
            "data.recordings": len(recordings),
            "data.hours": round(float(recordings["duration_s"].sum() / 3600), 3),
            "data.seizures": int(recordings["n_seizures"].sum()),
            "data.digest": compute_data_digest(recordings, config.labels),
            "test.digest": digests["test"],
        }
    )
    return logs.log_datasets(features.store.folder, corpus=config.dataset.name, digests=digests)


def log_tables(config: Config, result: TrainingResult, scores: Mapping[str, float]) -> str:
    """Log the scores in full and the tables, and return the comparison with baselines in words."""
    evaluation = result.evaluation
    logs.log_json(scores, "scores.json")
    logs.log_json({"dataset": [config.dataset.name], **result.sides}, "split.json")
    logs.log_table(evaluation.per_subject(), "per_subject.json")
    logs.log_table(evaluation.seizures(), "seizures.json")
    logs.log_table(result.training_curve, "training_curve.json")
    baselines = runs.find_baselines(compute_test_digest(config, result.tested))
    logs.log_table(baselines, "baselines.json")
    return text.compare_with_baselines(scores, baselines)


def log_model(config: Config, result: TrainingResult, recipe: Recipe, runtime: str) -> str | None:
    """Log the model and return its id; None for personal models, since each is for one subject."""
    if is_personal(config):
        return None
    detector = build_detector(config, result.detector, recipe, build_origin(config))
    with TemporaryDirectory() as saved:
        detector.save(Path(saved), runtime=runtime)
        return logs.log_model(
            Path(saved),
            detector.requirements(runtime=runtime),
            name=f"{config.choices['model']} {summary.name_run('train', config).removeprefix('train')}",
        )


def log_scores(
    result: TrainingResult, scores: Mapping[str, float], datasets: Mapping[str, Dataset], model_id: str | None
) -> None:
    """Log the scores on test subjects, and those on training subjects that the threshold was chosen for."""
    trained = result.detector
    tested = {**scores, **result.window_counts, "threshold": trained.threshold}
    first = {name: tested[name] for name in FIRST_METRICS}
    logs.log_metrics(first | tested, model_id=model_id, dataset=datasets["test"])
    chosen = {f"train_event_{name}": value for name, value in result.training_scores.items()}
    logs.log_metrics(chosen, model_id=model_id, dataset=datasets["train"])


def log_candidate(
    config: Config,
    result: TrainingResult,
    scores: Mapping[str, float],
    comparison: str,
    model_id: str | None,
    fingerprint: str,
) -> promotion.Candidate | None:
    """Log the model card, and return what can be registered; None if each model is for one subject."""
    origin = build_origin(config)
    card = write_model_card(
        config, scores, comparison, result.recordings, result.tested, origin=origin, keeps_limit=result.keeps_limit
    )
    logs.log_text(card, CARD)
    if model_id is None:
        return None
    return promotion.Candidate(model_id, card, origin, result.evaluation.per_subject(), result.tested, fingerprint)


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
    """Log the curves and pictures of a training, and the pages of the recordings with the most errors."""
    from aura.reports.training import draw_training

    # The first of several folds stands for the others: its model is tried on subjects that it has not seen.
    unseen = features.select(result.folds[0].test)
    drawn = draw_windows(unseen, seed=config.seed)
    importance = compute_importance(result.by_fold[0].model, drawn, seed=config.seed)
    curve = compute_event_curve(result.evaluation.recordings, recipe.alarms, recipe.rules)
    logs.log_curves(
        {
            **trace_thresholds(result.detector.curve, "train_threshold_percent"),
            **trace_thresholds(curve, "threshold_percent"),
            "false_alarms_per_assessed_24h/sensitivity": trace_false_alarms(curve, result.max_false_alarms_per_24h),
            **trace_folds(result),
            **trace_sizes(compute_size_curve(result.by_fold[0].model, drawn)),
        }
    )
    corpus = open_prepared(config)
    pictures = draw_training(result, curve, scores, importance, read_rr=lambda recording: corpus[recording].rr)
    logs.log_figures(pictures)
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


@contextmanager
def _note_on_error(sentence: str) -> Iterator[None]:
    """Add a sentence to an error that ends the block."""
    try:
        yield
    except BaseException as error:
        error.add_note(sentence)
        raise


def _compute_fingerprint(config: Config, features: FeatureTable) -> str:
    prepared = open_prepared(config).recordings
    return compute_fingerprint(config, prepared[prepared["recording"].isin(features.recordings["recording"])])


def open_feature_table(config: Config) -> FeatureTable:
    """Open the features of the annotated recordings; where they are missing or outdated, featurize runs first."""
    store = ensure_features(config)
    logs.log_upstream({"prepare": store.prepare_run_id, "featurize": store.run_id})
    recordings = select_annotated(store.recordings)
    return FeatureTable(store, recordings, config.windows.step_s, build_labelling("labels", config.labels))


def select_annotated(recordings: pd.DataFrame) -> pd.DataFrame:
    """Select the annotated recordings; a detector cannot learn from the others."""
    annotated = list_annotated(recordings)
    if not len(annotated):
        n = len(recordings)
        raise AuraError(f"no recording is annotated, of {n} that were prepared; training needs annotated seizures")
    n_left_out = len(recordings) - len(annotated)
    if n_left_out:
        print(f"train: left out without annotations: {n_left_out} of {counted(len(recordings), 'recording')}")
    return annotated
