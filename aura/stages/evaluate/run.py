"""A registered detector on any corpus: the scores it has on people it was not trained on."""

from collections.abc import Iterable

import pandas as pd

from aura.assembly import is_synthetic
from aura.config.schema import Config
from aura.core.errors import AuraError
from aura.detection.components import labelling
from aura.detection.detector import SeizureDetector
from aura.evaluation.operating_point import compute_event_curve
from aura.evaluation.results import AnnotatedRecording, Evaluation, ScoredRecording, evaluate, score_recording
from aura.execution import telemetry
from aura.features import extract_features
from aura.learning.labels import describe_task
from aura.reports import figures, text
from aura.stages._pages import log_pages
from aura.stages.evaluate import EvaluateConfig
from aura.stages.prepare.run import ensure_prepared
from aura.tracking import registry, runs
from aura.workspace.prepared import PreparedCorpus, PreparedRecording


def run(config: Config) -> None:
    """Score a registered detector on the corpus of this configuration.

    Where its recordings are not prepared, prepare runs first, as a child run.
    """
    model = config.section(EvaluateConfig).model
    if model is None:
        raise AuraError(f"evaluate: say which model; write model=models:/{config.tracking.model_name}@champion")
    with runs.stage_run("evaluate", config) as active:
        registered = registry.load(model, runtime=config.serving.runtime)
        _check_task(config, registered)
        corpus = ensure_prepared(config)
        runs.log_upstream({"prepare": corpus.run_id})
        recordings = _unseen(config, registered, _annotated(config, corpus))
        evaluation = score(config, registered.detector, (corpus[name] for name in recordings["recording"]))
        scores = evaluation.scores(seed=config.seed)
        count(evaluation)
        runs.log_metrics({**scores, "threshold": registered.detector.threshold})
        runs.log_params({"evaluated.model": registered.name, "evaluated.run_id": registered.run_id})
        runs.log_json(registered.provenance.to_dict(), "provenance.json")
        runs.log_table(evaluation.per_subject(), "per_subject.json")
        runs.log_table(evaluation.seizures(), "seizures.json")
        curve = compute_event_curve(evaluation.recordings, registered.detector.alarms, evaluation.rules)
        limit = config.scoring.max_false_alarms_per_24h
        runs.log_figures(
            {
                "sensitivity_false_alarms": figures.false_alarm_curve(curve, curve.iloc[:0], scores, limit),
                "per_subject": figures.per_subject(evaluation.per_subject()),
                "calibration": figures.calibration(evaluation.recordings),
            }
        )
        synthetic_data = is_synthetic(config)
        log_pages(corpus, evaluation, registered.detector.alarms, registered.provenance, synthetic_data=synthetic_data)
        warning = registered.provenance.warning(synthetic_data=synthetic_data)
    print(
        f"evaluate: {registered.name} on {len(evaluation.subjects)} subjects of {config.dataset.name} with "
        f"{recordings['n_seizures'].sum()} seizures in {recordings['duration_s'].sum() / 3600:.1f} h; "
        f"run {active.info.run_id}\n  by {registered.provenance}\n"
        + (f"  warning: {warning}\n" if warning else "")
        + f"\n{text.summary(scores)}"
    )


def count(evaluation: Evaluation) -> None:
    """Say to the push gateway what was evaluated."""
    scored = evaluation.recordings
    telemetry.count(
        recordings=len(scored),
        recorded_s=sum(one.duration_s for one in scored),
        windows=sum(len(one.score) for one in scored),
        alarms=sum(map(len, evaluation.alarms)),
    )


def score(config: Config, detector: SeizureDetector, recordings: Iterable[PreparedRecording]) -> Evaluation:
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
        labelling=labelling("labels", detector.labels or config.labels),
    )


def _annotated(config: Config, corpus: PreparedCorpus) -> pd.DataFrame:
    """Return the rows of the annotated recordings."""
    recordings = corpus.recordings[corpus.recordings["annotated"]].reset_index(drop=True)
    if not recordings["n_seizures"].sum():
        raise AuraError(f"{config.dataset.name} has {len(recordings)} annotated recordings and no seizure to find")
    return recordings


def _check_task(config: Config, registered: registry.Registered) -> None:
    """Refuse to count what one detector finds by the rules of another."""
    labels = registered.detector.labels
    if labels and describe_task(labels) != describe_task(config.labels):
        theirs, ours = (
            ", ".join(f"{key}={value}" for key, value in sorted(describe_task(part).items()))
            for part in (labels, config.labels)
        )
        raise AuraError(
            f"{registered.name} is to find something else ({theirs}) than this configuration ({ours}); write "
            "labels=detection or labels=forecasting with its values"
        )


def _unseen(config: Config, registered: registry.Registered, recordings: pd.DataFrame) -> pd.DataFrame:
    """Recordings of subjects that the detector was not trained on."""
    seen = registered.seen(config.dataset.name, recordings)
    if seen is None:
        print(f"evaluate: nobody knows whom {registered.name} was trained on; if on some of these, it scores too well")
        runs.log_params({"evaluated.unseen": "unknown"})
        return recordings
    if seen.any():
        print(f"evaluate: {recordings['subject'][seen].nunique()} subjects it was trained on are left out")
    if not recordings["n_seizures"][~seen].sum():
        raise AuraError(f"{registered.name} was trained on all subjects of {config.dataset.name} with seizures")
    return recordings[~seen].reset_index(drop=True)
