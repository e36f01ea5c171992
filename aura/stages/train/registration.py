"""Register trained detectors: each once, and of a multirun only the best. A finished run is used again."""

from collections.abc import Sequence
from functools import partial

import mlflow
import pandas as pd

from aura.assembly import build_folds, compute_fingerprint, find_prepared, is_personal, is_synthetic, open_prepared
from aura.config.schema import Config
from aura.config.stage import Stage
from aura.core.errors import AuraError
from aura.core.provenance import Origin
from aura.core.wording import counted
from aura.evaluation.results import Evaluation
from aura.evaluation.scoring import FALSE_ALARM_RATE
from aura.reports import text
from aura.stages.evaluate import run as evaluate
from aura.tracking import finished, logs, promotion, runs
from aura.tracking.finished import FinishedRun
from aura.tracking.registry import Registered

# File of the model card of a run.
CARD = "model_card.md"


def find_finished(config: Config) -> FinishedRun | None:
    """Find a finished run that trained the same detector; None if the recordings are not prepared, or have changed."""
    corpus = find_prepared(config)
    if corpus is None:
        return None
    fingerprint = compute_fingerprint(config, list_annotated(corpus.recordings))
    return finished.find(config, fingerprint, has_model=not is_personal(config))


def report_finished(config: Config, same: FinishedRun, *, registers: bool) -> None:
    """Print what a finished run has found and registered, and register its model if it is not registered yet."""
    outcome = register_finished(config, same) if registers else f"the model is models:/{same.model_id}"
    if mlflow.active_run() is not None:
        logs.log_upstream({"train": same.run_id})
    print(
        f"train: nothing is trained: run {same.run_id} of {same.date} has the same settings, recordings and code; "
        f"register=always trains again\n\n{text.summarize_scores(same.metrics)}\n\n{outcome}"
    )


def register(
    config: Config, candidate: promotion.Candidate | None, tested: pd.DataFrame, *, registers: bool = True
) -> str:
    """Register the model of the active run if it should be, and return a sentence about it.

    Parameters
    ----------
    config
        Configuration of the training.
    candidate
        The model and its scores; None if each model is for one subject.
    tested
        Table of the test recordings, on which the champion may be scored again.
    registers
        Whether the model is registered, unless the configuration says more.
    """
    if candidate is None:
        return "nothing is registered: each model is for one subject"
    if config.tracking.register == "never":
        return f"nothing is registered, since tracking.register=never; the model is models:/{candidate.model_id}"
    if config.tracking.register == "auto" and not registers:
        return f"the best of these runs is registered at the end; the model is models:/{candidate.model_id}"
    return promotion.register(config, candidate, partial(_score_again, config, tested))


def register_finished(config: Config, run: FinishedRun) -> str:
    """Register the model of a finished run unless it is registered, and return a sentence about it."""
    if not run.model_id:
        return "nothing is registered: each model is for one subject"
    recordings = list_annotated(open_prepared(config).recordings)
    fingerprint = compute_fingerprint(config, recordings)
    if (version := finished.find_version(config, fingerprint)) is not None:
        return version
    tested = recordings[pd.DataFrame([fold.test for fold in build_folds(config, recordings)]).any().to_numpy()]
    with finished.reopened(config, run.run_id):
        candidate = promotion.Candidate(
            run.model_id,
            mlflow.artifacts.load_text(f"runs:/{run.run_id}/{CARD}"),
            build_origin(config),
            promotion.read_per_subject(run.run_id),
            tested,
            fingerprint,
        )
        return register(config, candidate, tested)


def run_together(stage: Stage, configs: Sequence[Config]) -> None:
    """Run the jobs of a multirun; with ``tracking.register=auto``, register only the best of each model name.

    Parameters
    ----------
    stage
        Stage to run, train or main.
    configs
        Configuration of each job.
    """
    with runs.group_run(f"{stage.name} of {counted(len(configs), 'setting')}", configs):
        for number, config in enumerate(configs):
            try:
                stage.run(config, registers=False)
            except (AuraError, OSError, KeyboardInterrupt) as error:
                error.add_note(
                    f"{number} of {counted(len(configs), 'job')} had ended well, and their runs are kept; the best is "
                    "registered once all have"
                )
                raise
        by_name: dict[str, list[Config]] = {}
        for config in configs:
            if config.tracking.register == "auto" and not is_personal(config):
                by_name.setdefault(config.tracking.model_name, []).append(config)
        for jobs in by_name.values():
            _register_best(jobs)


def _register_best(jobs: Sequence[Config]) -> None:
    """Register the best of several finished runs: the highest event F1 of training subjects within the limit of alarms.

    The scores of test subjects do not choose, since the best of many would overfit them.
    """
    found = [(config, same) for config in jobs if (same := find_finished(config)) is not None]
    if len(found) < len(jobs):
        raise AuraError(
            "the recordings or a model of these runs have changed meanwhile, so none is registered; run the stage again"
        )
    keeping = [pair for pair in found if _keeps_limit(*pair)]
    config, best = max(keeping or found, key=lambda pair: pair[1].metrics["train_event_f1"])
    print(
        f"train: of {counted(len(found), 'run')}, run {best.run_id} is the best on training subjects"
        f"{'' if keeping else ', although it does not keep to the limit of false alarms, like all others'}: "
        f"F1 {best.metrics['train_event_f1']:.3f} with {best.metrics[f'train_event_{FALSE_ALARM_RATE}']:.1f} false "
        f"alarms per 24 h of assessed time\n{register_finished(config, best)}"
    )


def _keeps_limit(config: Config, run: FinishedRun) -> bool:
    return run.metrics[f"train_event_{FALSE_ALARM_RATE}"] <= config.scoring.max_false_alarms_per_24h


def list_annotated(recordings: pd.DataFrame) -> pd.DataFrame:
    """List the annotated recordings of a table."""
    return recordings[recordings["annotated"]].astype({"n_seizures": "int64"}).reset_index(drop=True)


def build_origin(config: Config) -> Origin:
    """Describe what a detector is trained on."""
    return Origin(config.dataset.name, is_synthetic(config), runs.software(), runs.today())


def _score_again(config: Config, recordings: pd.DataFrame, other: Registered) -> Evaluation:
    """Score another detector on the recordings that this one was tested on."""
    corpus = open_prepared(config)
    return evaluate.score_corpus(config, other.detector, (corpus[name] for name in recordings["recording"]))
