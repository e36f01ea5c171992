"""A search over configurations: each is tried on training subjects, the best one is tested once on the others."""

from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

import pandas as pd
from filelock import FileLock
from hydra.utils import instantiate
from optuna.exceptions import TrialPruned
from optuna.trial import FixedTrial, FrozenTrial, Trial, TrialState

from aura.config.compose import compose
from aura.config.disclosure import public_error
from aura.config.schema import Config
from aura.config.scope import Scope, dotted, select
from aura.core.arrays import Floats
from aura.core.errors import AuraError
from aura.core.files import digest
from aura.core.parquet import read_table
from aura.evaluation.operating_point import event_curve, operating_point
from aura.evaluation.results import ScoredRecording
from aura.evaluation.scoring import FALSE_ALARM_RATE, RATIOS
from aura.learning.feature_table import FeatureTable
from aura.reports.sweep import best_trial, experiment, figures, table
from aura.search.space import Space
from aura.search.study import DIRECTIONS, PARENT, RUN, SharedStudy, shared_study
from aura.stages import prepare
from aura.stages.sweep import SweepConfig
from aura.stages.train import STAGE as TRAIN
from aura.stages.train import run as train
from aura.tracking import runs
from aura.workspace.folders import channels_digest, features_folder, is_prepared, prepared_folder

REPORTED = "reported_trials"


def run(config: Config) -> None:
    """Do trials until the study has as many as asked for, then train the best configuration and test it once.

    Processes that are started alike share the study; what one leaves when it is killed is tried again by another.
    """
    space = Space.of(config.section(SweepConfig).space)
    _check(config, space)
    with runs.stage_run("sweep", config) as active:
        with FileLock(_lock(config, prepared_folder(config))):
            if not is_prepared(config):
                prepare.STAGE.run(config)
        made_of = _made_of(config)
        name = config.section(SweepConfig).study or f"sweep-{digest(made_of)}"
        folder = Path(config.workspace) / config.dataset.name
        url = config.section(SweepConfig).storage or f"sqlite:///{folder.resolve() / 'sweeps.db'}"
        with shared_study(
            name, url, config.section(SweepConfig).objectives, made_of, _bury, partial(public_error, config=config)
        ) as shared:
            parent = _parent(shared, active.info.run_id)
            print(
                f"sweep: study {name}, {len(shared.finished())} of {config.section(SweepConfig).n_trials} trials done"
            )
            shared.work(
                space.suggest,
                partial(_attempt, config, parent, made_of["data.digest"]),
                config.section(SweepConfig).n_trials,
            )
            # One process at a time: whoever comes second finds it done.
            with shared.lock:
                if shared.study.user_attrs.get(REPORTED) != len(shared.finished()):
                    _report(config, shared, parent)
                    shared.study.set_user_attr(REPORTED, len(shared.finished()))


def _check(config: Config, space: Space) -> None:
    """Refuse a space that no configuration has, and objectives that there are not, before any trial."""
    unknown = [objective for objective in config.section(SweepConfig).objectives if objective not in DIRECTIONS]
    if unknown or not config.section(SweepConfig).objectives:
        raise AuraError(
            f"sweep.objectives={config.section(SweepConfig).objectives}; allowed are {', '.join(DIRECTIONS)}"
        )
    compose([*config.overrides, *space.suggest(FixedTrial(space.first()))])


def _bury(trial: FrozenTrial) -> None:
    """Say of the run of a trial that it was killed."""
    runs.kill(trial.user_attrs.get(RUN))


def _made_of(config: Config) -> dict[str, str]:
    """All that decides what a trial scores, by key, with the recordings and the subjects that no trial sees."""
    found, _ = read_table(prepared_folder(config) / "recordings.parquet")
    recordings = train.annotated(found)
    folds = train.folds_of(config, recordings)
    if len(folds) > 1 or instantiate(config.split).personal:
        raise AuraError("a sweep needs subjects that no trial has seen; write split=by_subject or split=official")
    tested = sorted(set(recordings["subject"][folds[0].test]))
    compared = dotted(select(Config, asdict(config), Scope.COMPARED))
    return {
        **{key: str(value) for key, value in compared},
        "sweep.objectives": str(config.section(SweepConfig).objectives),
        "sweep.space": str(config.section(SweepConfig).space),
        # By a digest, as they name subjects by their own ids.
        "subject_channels.digest": channels_digest(config),
        "data.digest": train.data_digest(recordings, config.labels),
        "test.subjects": str(tested),
    }


def _parent(shared: SharedStudy, run_id: str) -> str:
    """Run that has all the trials: that of the process that came first, where this tracking server knows it."""
    with shared.lock:
        parent = str(shared.study.user_attrs.get(PARENT, run_id))
        if parent != run_id and not runs.is_beside(parent):
            print(f"sweep: run {parent}, which has the trials so far, is not here; this one has those that follow")
            parent = run_id
        shared.study.set_user_attr(PARENT, parent)
    if parent != run_id:
        runs.set_parent(parent)
    return parent


def _attempt(config: Config, parent: str, corpus: str, trial: Trial, words: list[str]) -> Sequence[float]:
    """Try one configuration, as a child run of the sweep's."""
    one = compose([*config.overrides, *words])
    with runs.stage_run("trial", one, parent=parent, name=f"trial {trial.number}") as active:
        trial.set_user_attr(RUN, active.info.run_id)
        found = _out_of_fold(one, trial, corpus, prunable=len(config.section(SweepConfig).objectives) == 1)
        if found is not None:
            runs.log_metrics({f"train_event_{name}": value for name, value in found.items()})
            for name, value in found.items():
                trial.set_user_attr(name, value)
    if found is None:
        print(f"sweep: trial {trial.number} was stopped early; {' '.join(words)}")
        raise TrialPruned
    print(
        f"sweep: trial {trial.number}: F1 {found['f1']:.3f} with {found[FALSE_ALARM_RATE]:.1f} false alarms "
        f"per 24 h of assessed time; {' '.join(words)}"
    )
    return [found[objective] for objective in config.section(SweepConfig).objectives]


def _out_of_fold(config: Config, trial: Trial, corpus: str, *, prunable: bool) -> dict[str, float] | None:
    """Event scores at the operating point, of training subjects by models that had not seen them; None if pruned."""
    how = train.trial_of(config)
    with FileLock(_lock(config, prepared_folder(config))):
        if not is_prepared(config):
            prepare.STAGE.run(config)
    with FileLock(_lock(config, features_folder(config))):
        found = train.table_of(config)
    # Another detector of beats may fail on other recordings; then the sides would not be the same.
    if train.data_digest(found.recordings, config.labels) != corpus:
        raise AuraError(
            "with these settings other recordings can be used than without; the trials could not be compared"
        )
    (fold,) = train.folds_of(config, found.recordings)
    side = found.of(fold.train)
    tried: list[ScoredRecording] = []

    def report(fold: int, part: FeatureTable, probabilities: list[Floats]) -> None:
        tried.extend(how.scored(part, probabilities))
        scores = _at_operating_point(event_curve(tried, how.alarms, how.rules), how.max_false_alarms_per_24h)
        runs.log_metrics({"fold_event_f1": scores["f1"]}, step=fold)
        # After the last one there is nothing to save.
        if prunable and fold < config.train.folds - 1:
            trial.report(scores[config.section(SweepConfig).objectives[0]], fold)
            if trial.should_prune():
                raise TrialPruned

    with instantiate(config.compute).forest():
        try:
            _, curve = how.out_of_fold(side, train.groups_of(config), report)
        except TrialPruned:
            return None
    return _at_operating_point(curve, how.max_false_alarms_per_24h)


def _at_operating_point(curve: pd.DataFrame, limit: float) -> dict[str, float]:
    """Event scores at the threshold that would be chosen; of a detector that never alarms, where there is none."""
    threshold = operating_point(curve, limit)
    rows = curve[curve["threshold"] == threshold]
    if not len(rows):
        return dict.fromkeys(RATIOS, 0.0)
    return {name: float(rows[name].fillna(0.0).iloc[0]) for name in RATIOS}


def _lock(config: Config, folder: Path) -> Path:
    """File by which processes take turns to fill a folder of the workspace."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    return folder.with_name(f".{folder.name}.lock")


def _report(config: Config, shared: SharedStudy, parent: str) -> None:
    """Say what was found: pictures, a table, the best configuration; train and test that one."""
    complete = [t for t in shared.finished() if t.state == TrialState.COMPLETE]
    if not complete:
        errors = {str(t.user_attrs.get("error")) for t in shared.finished()}
        raise AuraError(f"no trial came to an end with a score: {'; '.join(sorted(errors))}")
    best: FrozenTrial = best_trial(complete, config.section(SweepConfig).objectives)
    words = Space.of(config.section(SweepConfig).space).suggest(FixedTrial(best.params))
    with runs.resumed(parent):
        runs.log_table(table(shared.finished()), "trials.json")
        runs.log_figures(figures(shared.study, config.section(SweepConfig).objectives))
        runs.log_text(experiment(config.overrides, words, best), "best.yaml")
        runs.log_metrics(
            {f"best_train_event_{name}": best.user_attrs[name] for name in RATIOS if name in best.user_attrs}
        )
        print(f"sweep: the best is trial {best.number}: {' '.join(words)}")
        TRAIN.run(compose([*config.overrides, *words]))
