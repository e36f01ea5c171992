"""A registered detector on any corpus: the scores it has on people it was not trained on."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from aura.config.schema import Config
from aura.core.errors import AuraError
from aura.core.parquet import read_table
from aura.detection.components import labelling
from aura.detection.detector import SeizureDetector
from aura.evaluation.operating_point import event_curve
from aura.evaluation.results import Evaluation, ScoredRecording, evaluate
from aura.execution import telemetry
from aura.features import extract
from aura.learning.labels import task
from aura.reports import figures, text
from aura.stages import prepare
from aura.stages._pages import log_pages
from aura.stages.evaluate import EvaluateConfig
from aura.tracking import registry, runs
from aura.workspace.folders import is_prepared, is_synthetic, prepared_folder, read_rr


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
        if not is_prepared(config):
            prepare.STAGE.run(config)
        recordings = _unseen(config, registered, _annotated(config))
        evaluation = score(config, registered.detector, recordings)
        scores = evaluation.scores(seed=config.seed)
        count(evaluation)
        runs.log_metrics({**scores, "threshold": registered.detector.threshold})
        runs.log_params({"evaluated.model": registered.name, "evaluated.run_id": registered.run_id})
        runs.log_json(registered.provenance.to_dict(), "provenance.json")
        runs.log_table(evaluation.per_subject(), "per_subject.json")
        runs.log_table(evaluation.seizures(), "seizures.json")
        curve = event_curve(evaluation.recordings, registered.detector.alarms, evaluation.rules)
        limit = config.scoring.max_false_alarms_per_24h
        runs.log_figures(
            {
                "sensitivity_false_alarms": figures.false_alarm_curve(curve, curve.iloc[:0], scores, limit),
                "per_subject": figures.per_subject(evaluation.per_subject()),
                "calibration": figures.calibration(evaluation.recordings),
            }
        )
        log_pages(config, evaluation, recordings, registered.detector.alarms, registered.provenance)
        warning = registered.provenance.warning(synthetic_data=is_synthetic(config))
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


def score(config: Config, detector: SeizureDetector, recordings: pd.DataFrame) -> Evaluation:
    """Have a detector raise its alarms in prepared recordings, by its own features and threshold, and count."""
    found = [scored(config, detector, recording) for recording in recordings.to_dict("records")]
    return evaluate(found, detector.alarms, config.event_rules)


def scored(config: Config, detector: SeizureDetector, recording: Mapping[Any, Any]) -> ScoredRecording:
    """Have a detector say what it finds in a prepared recording, a row of the table of recordings."""
    learned = labelling("labels", detector.labels or config.labels)
    rr, seizures, rises_bpm = read_rr(prepared_folder(config), recording["recording"])
    windows = extract(rr, detector.spec)
    probability = detector.probability(windows)
    step_s = detector.spec.step_s
    return ScoredRecording(
        recording=recording["recording"],
        subject=recording["subject"],
        duration_s=recording["duration_s"],
        step_s=step_s,
        probability=probability,
        score=detector.alarms.score(probability, step_s=step_s),
        threshold=detector.threshold,
        labels=learned(windows["t_s"].to_numpy(), step_s=step_s, seizures=seizures).label,
        seizures=seizures,
        targets=learned.targets(seizures),
        rises_bpm=rises_bpm,
    )


def _annotated(config: Config) -> pd.DataFrame:
    """Recordings of which somebody said where the seizures are."""
    found, meta = read_table(prepared_folder(config) / "recordings.parquet")
    runs.log_upstream({"prepare": meta["run_id"]})
    recordings = found[found["annotated"]].reset_index(drop=True)
    if not recordings["n_seizures"].sum():
        raise AuraError(f"{config.dataset.name} has {len(recordings)} annotated recordings and no seizure to find")
    return recordings


def _check_task(config: Config, registered: registry.Registered) -> None:
    """Refuse to count what one detector finds by the rules of another."""
    labels = registered.detector.labels
    if labels and task(labels) != task(config.labels):
        theirs, ours = (
            ", ".join(f"{key}={value}" for key, value in sorted(task(one).items())) for one in (labels, config.labels)
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
