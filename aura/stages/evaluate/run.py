"""Score a registered detector on a corpus, on subjects it was not trained on."""

from collections.abc import Iterable, Mapping

import pandas as pd

from aura.assembly import is_synthetic
from aura.config.schema import Config
from aura.core.errors import AuraError
from aura.core.wording import counted
from aura.detection.components import build_labelling
from aura.detection.detector import SeizureDetector
from aura.evaluation.operating_point import compute_event_curve
from aura.evaluation.results import AnnotatedRecording, Evaluation, ScoredRecording, evaluate, score_recording
from aura.execution import telemetry
from aura.features import extract_features
from aura.learning.labels import describe_task
from aura.reports import text
from aura.stages._pages import log_pages
from aura.stages.evaluate import EvaluateConfig
from aura.stages.prepare.run import ensure_prepared
from aura.tracking import logs, registry, runs
from aura.workspace.prepared import PreparedCorpus, PreparedRecording


def run(config: Config) -> None:
    """Score a registered detector on the corpus of this configuration.

    If its recordings are not prepared, prepare runs first, as a child run.
    """
    model = config.section(EvaluateConfig).model
    if model is None:
        raise AuraError(f"evaluate: model is missing; write model=models:/{config.tracking.model_name}@champion")
    with runs.stage_run("evaluate", config) as active:
        registered = registry.load(model, runtime=config.serving.runtime)
        _check_task(config, registered)
        corpus = ensure_prepared(config)
        logs.log_upstream({"prepare": corpus.run_id})
        recordings = _select_unseen(config, registered, _select_annotated(config, corpus))
        evaluation = score_corpus(config, registered.detector, (corpus[name] for name in recordings["recording"]))
        scores = evaluation.scores(seed=config.seed)
        push_counts(evaluation)
        log_evaluation(config, registered, evaluation, scores)
        log_pages(
            corpus,
            evaluation,
            registered.detector.alarms,
            registered.provenance,
            synthetic_data=is_synthetic(config),
        )
    print(describe(config, registered, evaluation, scores, active.info.run_id))


def push_counts(evaluation: Evaluation) -> None:
    """Push the counts of an evaluation to the push gateway."""
    scored = evaluation.recordings
    telemetry.count(
        recordings=len(scored),
        recorded_s=sum(recording.duration_s for recording in scored),
        windows=sum(len(recording.score) for recording in scored),
        alarms=sum(map(len, evaluation.alarms)),
    )


def log_evaluation(
    config: Config, registered: registry.Registered, evaluation: Evaluation, scores: Mapping[str, float]
) -> None:
    """Log scores, tables and pictures of an evaluation."""
    # Local, since detect uses this module and draws no such pictures.
    from aura.reports import figures

    logs.log_metrics({**scores, "threshold": registered.detector.threshold})
    logs.log_params({"evaluated.model": registered.name, "evaluated.run_id": registered.run_id})
    logs.log_json(registered.provenance.to_dict(), "provenance.json")
    logs.log_table(evaluation.per_subject(), "per_subject.json")
    logs.log_table(evaluation.seizures(), "seizures.json")
    curve = compute_event_curve(evaluation.recordings, registered.detector.alarms, evaluation.rules)
    limit = config.scoring.max_false_alarms_per_24h
    logs.log_figures(
        {
            "sensitivity_false_alarms": figures.draw_false_alarm_curve(curve, curve.iloc[:0], scores, limit),
            "per_subject": figures.draw_subjects(evaluation.per_subject()),
            "calibration": figures.draw_calibration(evaluation.recordings),
        }
    )


def describe(
    config: Config,
    registered: registry.Registered,
    evaluation: Evaluation,
    scores: Mapping[str, float],
    run_id: str,
) -> str:
    """Describe an evaluation in words, for the terminal."""
    recordings = evaluation.recordings
    warning = registered.provenance.warning(synthetic_data=is_synthetic(config))
    return (
        f"evaluate: {registered.name} on {counted(len(evaluation.subjects), 'subject')} of {config.dataset.name} with "
        f"{counted(sum(len(r.seizures) for r in recordings), 'seizure')} in "
        f"{sum(r.duration_s for r in recordings) / 3600:.1f} h; run {run_id}\n  by {registered.provenance}\n"
        + (f"  warning: {warning}\n" if warning else "")
        + f"\n{text.summarize_scores(scores)}"
    )


def score_corpus(config: Config, detector: SeizureDetector, recordings: Iterable[PreparedRecording]) -> Evaluation:
    """Raise the alarms of a detector in prepared recordings, by its own features and threshold, and count them."""
    scored = [score_prepared(config, detector, recording) for recording in recordings]
    return evaluate(scored, detector.alarms, config.event_rules)


def score_prepared(config: Config, detector: SeizureDetector, recording: PreparedRecording) -> ScoredRecording:
    """Score a prepared recording by the features of a detector."""
    return score_recording(
        AnnotatedRecording(
            recording.name, recording.subject, recording.duration_s, recording.seizures, recording.rises_bpm
        ),
        detector.probability(extract_features(recording.rr, detector.spec)),
        step_s=detector.spec.step_s,
        alarms=detector.alarms,
        threshold=detector.threshold,
        labelling=build_labelling("labels", detector.labels or config.labels),
    )


def _select_annotated(config: Config, corpus: PreparedCorpus) -> pd.DataFrame:
    """Select the annotated recordings of the corpus; raise if they hold no seizure."""
    recordings = corpus.recordings[corpus.recordings["annotated"]].reset_index(drop=True)
    if not recordings["n_seizures"].sum():
        raise AuraError(
            f"{config.dataset.name} has {counted(len(recordings), 'annotated recording')} without any seizure; there "
            "is nothing to score"
        )
    return recordings


def _check_task(config: Config, registered: registry.Registered) -> None:
    """Raise AuraError if the detector was trained for another task than that of the configuration."""
    labels = registered.detector.labels
    if labels and describe_task(labels) != describe_task(config.labels):
        theirs, ours = (
            ", ".join(f"{key}={value}" for key, value in sorted(describe_task(values).items()))
            for values in (labels, config.labels)
        )
        raise AuraError(
            f"{registered.name} was trained for another task ({theirs}) than that of this configuration ({ours}); "
            "write labels=detection or labels=forecasting with its values"
        )


def _select_unseen(config: Config, registered: registry.Registered, recordings: pd.DataFrame) -> pd.DataFrame:
    """Select the recordings of subjects that the detector was not trained on."""
    seen = registered.has_seen(config.dataset.name, recordings)
    if seen is None:
        print(
            f"evaluate: the training subjects of {registered.name} are not recorded; if some of these subjects are "
            "among them, the scores are too good"
        )
        logs.log_params({"evaluated.unseen": "unknown"})
        return recordings
    if seen.any():
        n_seen = recordings["subject"][seen].nunique()
        print(f"evaluate: left out: {counted(n_seen, 'subject')} that the model was trained on")
    if not recordings["n_seizures"][~seen].sum():
        raise AuraError(f"{registered.name} was trained on all subjects of {config.dataset.name} with seizures")
    return recordings[~seen].reset_index(drop=True)
