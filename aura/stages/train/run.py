"""Features to a seizure detector: split, fit, choose the threshold, score, log, register."""

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, astuple
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
from hydra.errors import HydraException
from hydra.utils import get_class, instantiate
from matplotlib.figure import Figure

from aura.config.schema import Config
from aura.core.errors import AuraError
from aura.core.files import digest
from aura.core.parquet import read_meta, read_table
from aura.core.provenance import Origin, Provenance
from aura.detection.components import labelling
from aura.detection.detector import SeizureDetector, requirements, save_detector
from aura.detection.onnx import require
from aura.evaluation.operating_point import event_curve
from aura.evaluation.recipe import Trained, Trial
from aura.evaluation.results import Evaluation, ScoredRecording, evaluate
from aura.evaluation.scoring import FALSE_ALARM_RATE
from aura.features import names_of
from aura.learning import splits
from aura.learning.classifier import Classifier
from aura.learning.feature_table import FeatureTable
from aura.learning.importance import permutation_importance
from aura.learning.labels import LEFT_OUT, TARGET, task
from aura.learning.splits import Fold
from aura.learning.training import Training, check_parameters
from aura.reports import figures, text
from aura.reports.model_card import model_card
from aura.stages import featurize
from aura.stages._pages import log_pages
from aura.stages.evaluate.run import count, score
from aura.tracking import registry, runs
from aura.tracking.registry import Registered
from aura.workspace.folders import (
    channels_digest,
    features_folder,
    is_complete,
    is_prepared,
    is_synthetic,
    prepared_folder,
    read_rr,
)

N_TIMELINES = 3
# What is shown before and after an event.
AROUND_S = 240.0


def run(config: Config) -> None:
    """Train, score and register a detector on the feature table of this configuration.

    Where there is no such table, featurize runs first, as a child run.
    """
    trial = trial_of(config)
    runtime = config.serving.runtime or "sklearn"
    if runtime == "onnx":
        require(instantiate(config.model))
    with runs.stage_run("train", config) as active:
        table = table_of(config)
        folds = folds_of(config, table.recordings)
        tested = np.any([fold.test for fold in folds], axis=0)
        runs.log_dataset(
            table.folder,
            name=config.dataset.name,
            digest=data_digest(table.recordings, config.labels),
            recordings=table.recordings,
            test_digest=test_digest(config, table.recordings[tested]),
        )
        with instantiate(config.compute).forest():
            trained, scored = fold_by_fold(trial, table, folds, groups_of(config))
            # Of one fold the detector that was tested is registered; of several, one that was made in the same way.
            personal = instantiate(config.split).personal
            final = trained[0] if len(folds) == 1 or personal else trial.train(table, groups_of(config))
        evaluation = evaluate(scored, trial.alarms, trial.rules)
        scores = evaluation.scores(seed=config.seed)
        count(evaluation)
        runs.log_metrics({**scores, **_counts(scored), "threshold": final.threshold})
        runs.log_json(_sides(config, table, folds), "split.json")
        _log_tables(evaluation, trained)
        origin = Origin(config.dataset.name, is_synthetic(config), runs.software(), runs.today())
        baselines = runs.baselines(test_digest(config, table.recordings[tested]))
        runs.log_table(baselines, "baselines.json")
        comparison = text.against(scores, baselines)
        kept = bool((final.curve[FALSE_ALARM_RATE] <= trial.max_false_alarms_per_24h).any())
        card = model_card(
            config, scores, comparison, table.recordings, table.recordings[tested], origin=origin, kept=kept
        )
        runs.log_text(card, "model_card.md")
        outcome = "nothing is registered: each model is for one subject"
        if not personal:
            with TemporaryDirectory() as saved:
                save_detector(
                    Path(saved),
                    SeizureDetector(
                        final.model,
                        config.feature_spec,
                        final.calibration,
                        trial.alarms,
                        final.threshold,
                        config.labels,
                        {"detector": config.detector, "quality": asdict(config.quality)},
                        origin,
                    ),
                    runtime=runtime,
                )
                needed = requirements(final.model, config.feature_spec, runtime=runtime)
                model_id = runs.log_model(Path(saved), needed)
            again = partial(_score_again, config, table.recordings[tested])
            outcome = registry.register(config, model_id, card, origin, evaluation, table.recordings[tested], again)
        sides = _sides(config, table, folds)
        print(
            f"train: {len(table)} recordings, {len(sides['train'])} subjects to train on, {len(sides['test'])} to test "
            f"on with {sum(len(r.seizures) for r in scored)} seizures in "
            f"{sum(r.duration_s for r in scored) / 3600:.1f} h; run {active.info.run_id}\n\n"
            f"{text.summary(scores)}\n\n{comparison}\n\n{outcome}"
        )
        # Last, and after all that counts is kept and said: a picture that fails must cost nothing else.
        with _noting(f"all but pictures and pages is kept: {outcome}"):
            # The first of several folds speaks for the others: each of its models is tried on whom it has not seen.
            importance = permutation_importance(trained[0].model, table.of(folds[0].test), seed=config.seed)
            runs.log_figures(_figures(final, importance, evaluation, trial, scores, config))
            provenance = Provenance(
                f"of run {active.info.run_id}", "", "", origin, final.threshold, runs.software(), runs.today()
            )
            log_pages(config, evaluation, table.recordings[tested], trial.alarms, provenance)


@contextmanager
def _noting(sentence: str) -> Iterator[None]:
    """Add a sentence to whatever ends the block early."""
    try:
        yield
    except BaseException as error:
        error.add_note(sentence)
        raise


def trial_of(config: Config) -> Trial:
    """How the configuration says that detectors are trained and scored, after the model was tried on a few rows."""
    compute = instantiate(config.compute)
    taken = inspect.signature(get_class(config.model["_target_"])).parameters
    columns = names_of(config.feature_spec)
    defaults = {"random_state": config.seed, "n_jobs": compute.n_workers, "columns": columns}
    values = {**{name: value for name, value in defaults.items() if name in taken}, **config.model}
    make_model: Callable[[], Classifier] = partial(instantiate, values, _convert_="all")
    try:
        check_parameters(make_model, len(columns))
    except HydraException as error:
        raise AuraError(f"model: {' '.join(str(error.__cause__ or error).split())}") from error
    training = Training(
        make_model,
        config.train.interictal_per_ictal,
        config.train.folds,
        config.train.calibrate,
        config.seed,
        compute.n_workers,
    )
    return Trial(training, instantiate(config.alarms), config.event_rules, config.scoring.max_false_alarms_per_24h)


def table_of(config: Config) -> FeatureTable:
    """Feature table of the annotated recordings; where there is none, featurize runs first, as a child run."""
    if not _is_current(config):
        featurize.STAGE.run(config)
    folder = features_folder(config)
    found, meta = read_table(folder / "recordings.parquet")
    runs.log_upstream({"prepare": meta["upstream"]["run_id"], "featurize": meta["run_id"]})
    recordings = annotated(found)
    return FeatureTable(folder, recordings, config.windows.step_s, labelling("labels", config.labels))


def folds_of(config: Config, recordings: pd.DataFrame) -> list[Fold]:
    """Folds of the configuration's split, checked."""
    how = instantiate(config.split, _convert_="all")
    folds: list[Fold] = how(recordings, seed=config.seed)
    splits.check(folds, recordings, personal=how.personal)
    return folds


def groups_of(config: Config) -> str:
    """What stays together in the folds within the training side."""
    return "recording" if instantiate(config.split).personal else "subject"


def fold_by_fold(
    trial: Trial, table: FeatureTable, folds: Sequence[Fold], groups: str
) -> tuple[list[Trained], list[ScoredRecording]]:
    """Train on one side of each fold and test on the other."""
    trained, scored = [], []
    for number, fold in enumerate(folds):
        if len(folds) > 1:
            print(f"train: {fold.name} ({number + 1} of {len(folds)})")
        trained.append(trial.train(table.of(fold.train), groups))
        scored += trial.test(trained[-1], table.of(fold.test))
    return trained, scored


def test_digest(config: Config, recordings: pd.DataFrame) -> str:
    """Name for what a detector is tested on and by which rules; the same where two scores can be compared."""
    known = recordings[["recording", "subject", "duration_s"]].to_dict("list")
    seizures = [[list(map(float, pair)) for pair in pairs] for pairs in recordings["seizures"]]
    return digest(known, seizures, task(config.labels), list(astuple(config.event_rules)))


def _score_again(config: Config, recordings: pd.DataFrame, other: Registered) -> Evaluation:
    """Score another detector on the recordings that this one was tested on."""
    return score(config, other.detector, recordings)


def _sides(config: Config, table: FeatureTable, folds: Sequence[Fold]) -> dict[str, list[str]]:
    """Who the registered detector was trained on, in which recordings, and who it was tested on."""
    subjects, beats = table.recordings["subject"], table.recordings["rr_digest"]
    tested = np.any([fold.test for fold in folds], axis=0)
    trained = folds[0].train if len(folds) == 1 else np.ones(len(subjects), dtype=np.bool_)
    return {
        "dataset": [config.dataset.name],
        "train": sorted(set(subjects[trained])),
        "test": sorted(set(subjects[tested])),
        "train_beats": sorted(set(beats[trained])),
    }


def annotated(found: pd.DataFrame) -> pd.DataFrame:
    """Recordings of which somebody said where the seizures are; the others teach nothing."""
    recordings = found[found["annotated"]].astype({"n_seizures": "int64"}).reset_index(drop=True)
    if not len(recordings):
        raise AuraError(f"none of the {len(found)} recordings is annotated; without seizures there is nothing to learn")
    if len(recordings) < len(found):
        print(f"train: {len(found) - len(recordings)} of {len(found)} recordings have no annotations and are left out")
    return recordings


def data_digest(recordings: pd.DataFrame, labels: Mapping[str, Any]) -> str:
    """Name for who was recorded, for how long, with which seizures, and what is to be found of them.

    Features and detectors do not count.
    """
    known = recordings[["recording", "subject", "split", "duration_s", "n_seizures", "seizure_s"]]
    return digest(known.astype({"split": "object"}).where(known.notna(), None).to_dict("list"), task(labels))


def _is_current(config: Config) -> bool:
    """Whether the feature table is there, and made from what prepare left last."""
    folder = features_folder(config)
    if not is_prepared(config) or not is_complete(folder, "windows"):
        return False
    made, prepared = (read_meta(one / "recordings.parquet") for one in (folder, prepared_folder(config)))
    return (
        made is not None
        and prepared is not None
        and made["upstream"]["channels"] == channels_digest(config)
        and made["upstream"]["run_id"] == prepared["run_id"]
    )


def _counts(scored: Sequence[ScoredRecording]) -> dict[str, int]:
    """Windows of the test side by label."""
    labels = np.concatenate([r.labels for r in scored])
    return {"target_windows": int((labels == TARGET).sum()), "left_out_windows": int((labels == LEFT_OUT).sum())}


def _log_tables(evaluation: Evaluation, trained: Sequence[Trained]) -> None:
    runs.log_table(evaluation.per_subject(), "per_subject.json")
    runs.log_table(evaluation.seizures(), "seizures.json")
    curves = [one.curve.assign(fold=number) for number, one in enumerate(trained)]
    runs.log_table(pd.concat(curves, ignore_index=True), "training_curve.json")


def _figures(
    final: Trained,
    importance: pd.DataFrame,
    evaluation: Evaluation,
    trial: Trial,
    scores: Mapping[str, float],
    config: Config,
) -> dict[str, Figure]:
    """Pictures of the run, by name."""
    recordings = evaluation.recordings
    curve = event_curve(recordings, trial.alarms, trial.rules)
    return {
        "sensitivity_false_alarms": figures.false_alarm_curve(
            curve, final.curve, scores, trial.max_false_alarms_per_24h
        ),
        "per_subject": figures.per_subject(evaluation.per_subject()),
        "calibration": figures.calibration(recordings),
        "latency": figures.latency(evaluation.seizures()),
        "precision_recall": figures.precision_recall(recordings),
        "feature_importance": figures.feature_importance(importance),
        "timelines": figures.timelines(_whole(evaluation, config)),
        "worst": figures.timelines(_worst(evaluation, config)),
    }


def _whole(evaluation: Evaluation, config: Config) -> list[figures.Panel]:
    """Recordings with the most seizures, whole."""
    recordings = evaluation.recordings
    shown = sorted(range(len(recordings)), key=lambda i: (-len(recordings[i].targets), recordings[i].recording))
    return [
        _panel(evaluation, config, i, recordings[i].recording, 0.0, recordings[i].duration_s)
        for i in shown[:N_TIMELINES]
    ]


def _worst(evaluation: Evaluation, config: Config) -> list[figures.Panel]:
    """The false alarms with the highest scores, and the longest events that were missed."""
    alarms, misses = [], []
    for i, (r, raised) in enumerate(zip(evaluation.recordings, evaluation.alarms, strict=True)):
        found = evaluation.found(i)
        misses += [(-event.duration_s, i, event) for event, hit in zip(r.targets, found, strict=True) if not hit]
        for alarm, is_right in zip(raised, evaluation.right(i), strict=True):
            if not is_right:
                steps = slice(int(alarm.onset_s / r.step_s), int(np.ceil(alarm.end_s / r.step_s)))
                alarms.append((-float(np.nanmax(r.score[steps], initial=0.0)), i, alarm))
    panels = []
    for what, ranked in (("false alarm", alarms), ("missed", misses)):
        for _, i, event in sorted(ranked, key=lambda one: one[:2])[:N_TIMELINES]:
            name = evaluation.recordings[i].recording
            from_s = max(event.onset_s - AROUND_S, 0.0)
            to_s = min(event.end_s + AROUND_S, evaluation.recordings[i].duration_s)
            panels.append(_panel(evaluation, config, i, f"{what}, {name}", from_s, to_s))
    return panels


def _panel(
    evaluation: Evaluation, config: Config, number: int, title: str, from_s: float, to_s: float
) -> figures.Panel:
    scored = evaluation.recordings[number]
    rr, _, _ = read_rr(prepared_folder(config), scored.recording)
    return figures.Panel(title, scored, evaluation.alarms[number], rr, from_s, to_s)
