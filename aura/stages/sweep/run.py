"""Search configurations: score each on the training subjects, and test the best once on the other subjects."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

from filelock import FileLock
from hydra.utils import instantiate
from optuna.exceptions import TrialPruned
from optuna.trial import FixedTrial, FrozenTrial, Trial, TrialState

from aura.assembly import (
    build_folds,
    build_recipe,
    channels_digest,
    choose_groups,
    compute_data_digest,
    features_folder,
    is_personal,
    prepared_folder,
)
from aura.config.compose import compose
from aura.config.disclosure import public_error
from aura.config.schema import Config
from aura.config.scope import Scope, dotted, select
from aura.core.arrays import Floats
from aura.core.errors import AuraError, InvalidInput
from aura.core.wording import counted
from aura.evaluation.operating_point import choose_threshold, compute_event_curve, read_operating_point
from aura.evaluation.recipe import Recipe
from aura.evaluation.results import ScoredRecording
from aura.evaluation.scoring import FALSE_ALARM_RATE, RATIOS
from aura.execution.dask import Dask
from aura.execution.executors import kept_workers
from aura.learning.feature_table import FeatureTable
from aura.reports.sweep import best_trial, draw_study, tabulate_trials, write_experiment
from aura.search.opening import shared_study
from aura.search.space import Space
from aura.search.study import PARENT, RUN, SharedStudy, StudyError, set_constraint
from aura.stages.prepare.run import ensure_prepared
from aura.stages.sweep import SweepConfig
from aura.stages.sweep.first import queue_first, read_known
from aura.stages.sweep.setup import check_search, locate_storage, plan_search, search_space
from aura.stages.sweep.spread import localize, spread_trials
from aura.stages.train import STAGE as TRAIN
from aura.stages.train import run as train
from aura.tracking import logs, runs
from aura.tracking.workers import find_server, logging_to
from aura.workspace.prepared import PreparedCorpus

REPORTED = "reported_trials"


def run(config: Config) -> None:
    """Run trials until the study has ``sweep.n_trials``, then train the best configuration and test it once.

    Processes with the same settings share the study. If a process is killed, another process repeats its trial.
    """
    try:
        _sweep(config)
    except StudyError as error:
        raise InvalidInput(f"sweep.{error}") from error


def _sweep(config: Config) -> None:
    """Run trials, then let one process report."""
    options = config.section(SweepConfig)
    space = search_space(options.space)
    check_search(config, space)
    _check_keys(config, space)
    known = read_known(config, space)
    with runs.stage_run("sweep", config) as active:
        with FileLock(_lock(config, prepared_folder(config))):
            corpus = ensure_prepared(config)
        settings = _settings(config, corpus)
        search = plan_search(config, space, settings)
        describe_error = partial(public_error, config=config)
        with shared_study(search, locate_storage(config), _mark_killed, describe_error) as shared:
            name = shared.study.study_name
            logs.log_params({"study": name, **dict(dotted({"sampler": config.sampler, "pruner": config.pruner}))})
            parent = _parent(shared, active.info.run_id)
            print(f"sweep: study {name}, {len(shared.finished())} of {counted(options.n_trials, 'trial')} done")
            queue_first(config, space, known, shared)
            compute = instantiate(config.compute)
            if isinstance(compute, Dask):
                task = _Task(localize(config), settings, locate_storage(config), parent, find_server())
                spread_trials(task.do_trial, shared, options.n_trials, compute)
            attempt = partial(_attempt, config, parent, settings["data.digest"])
            with kept_workers():
                shared.work(space.suggest, attempt, options.n_trials)
            # One process reports; the others skip the report.
            with shared.lock:
                if shared.study.user_attrs.get(REPORTED) != len(shared.finished()):
                    _report(config, shared, parent)
                    shared.study.set_user_attr(REPORTED, len(shared.finished()))


@dataclass(frozen=True)
class _Task:
    """A trial for a worker of a cluster: what it needs to join the study and to log a child run of the sweep."""

    overrides: list[str]
    settings: dict[str, str]
    url: str
    parent: str
    server: dict[str, str]

    def do_trial(self) -> None:
        """Do one trial, or none if the study has all."""
        config = compose(self.overrides)
        space = search_space(config.section(SweepConfig).space)
        search = plan_search(config, space, self.settings)
        describe_error = partial(public_error, config=config)
        attempt = partial(_attempt, config, self.parent, self.settings["data.digest"])
        with logging_to(self.server):
            runs.connect(config)
            with shared_study(search, self.url, _mark_killed, describe_error) as shared:
                shared.work(space.suggest, attempt, config.section(SweepConfig).n_trials, only_one=True)


def _check_keys(config: Config, space: Space) -> None:
    """Raise before any trial if the configuration does not have a key of the space."""
    for words in space.examples():
        try:
            compose([*config.overrides, *words])
        except AuraError as error:
            raise AuraError(f"sweep.space: with {' '.join(words)}: {error}") from error


def _mark_killed(trial: FrozenTrial) -> None:
    """Set the run of a trial whose process was killed to KILLED."""
    runs.kill(trial.user_attrs.get(RUN))


def _settings(config: Config, corpus: PreparedCorpus) -> dict[str, str]:
    """Return all values that determine the scores of a trial, by key: settings, recordings and test subjects."""
    options = config.section(SweepConfig)
    recordings = train.select_annotated(corpus.recordings)
    folds = build_folds(config, recordings)
    if len(folds) > 1 or is_personal(config):
        raise AuraError("a sweep needs test subjects that no trial uses; write split=by_subject or split=official")
    test_subjects = sorted(set(recordings["subject"][folds[0].test]))
    compared = dotted(select(Config, asdict(config), Scope.COMPARED))
    # Without a limit, studies of earlier versions go on.
    limit = {} if options.max_windows is None else {"sweep.max_windows": str(options.max_windows)}
    return {
        **{key: str(value) for key, value in compared},
        **limit,
        "sweep.objectives": str(options.objectives),
        "sweep.space": str(options.space),
        # As a digest, since they hold the corpus's own subject ids.
        "subject_channels.digest": channels_digest(config),
        "data.digest": compute_data_digest(recordings, config.labels),
        "test.subjects": str(test_subjects),
    }


def _parent(shared: SharedStudy, run_id: str) -> str:
    """Return the parent run of all trials: that of the first process, if this tracking server has it."""
    with shared.lock:
        parent = str(shared.study.user_attrs.get(PARENT, run_id))
        if parent != run_id and not runs.is_beside(parent):
            print(
                f"sweep: run {parent}, the parent of earlier trials, is not on this tracking server; "
                "new trials become children of this run"
            )
            parent = run_id
        shared.study.set_user_attr(PARENT, parent)
    if parent != run_id:
        runs.set_parent(parent)
    return parent


def _attempt(config: Config, parent: str, corpus: str, trial: Trial, words: list[str]) -> Sequence[float]:
    """Train and score one configuration, as a child run of the sweep."""
    options = config.section(SweepConfig)
    trial_config = compose([*config.overrides, *words])
    with runs.stage_run("trial", trial_config, parent=parent, name=f"trial {trial.number}") as active:
        trial.set_user_attr(RUN, active.info.run_id)
        scores = _out_of_fold(trial_config, trial, corpus, prunable=len(options.objectives) == 1)
        if scores is not None:
            logs.log_metrics({f"train_event_{name}": value for name, value in scores.items()})
            for name, value in scores.items():
                trial.set_user_attr(name, value)
            excess = scores[FALSE_ALARM_RATE] - config.scoring.max_false_alarms_per_24h
            set_constraint(trial, FALSE_ALARM_RATE, excess)
    if scores is None:
        print(f"sweep: trial {trial.number} was stopped early; {' '.join(words)}")
        raise TrialPruned
    print(
        f"sweep: trial {trial.number}: F1 {scores['f1']:.3f} with {scores[FALSE_ALARM_RATE]:.1f} false alarms "
        f"per 24 h of assessed time; {' '.join(words)}"
    )
    return [scores[objective] for objective in options.objectives]


def _out_of_fold(config: Config, trial: Trial, corpus: str, *, prunable: bool) -> dict[str, float] | None:
    """Return the out-of-fold event scores of the training subjects at the operating point; None if pruned."""
    recipe = build_trial_recipe(config)
    with FileLock(_lock(config, prepared_folder(config))):
        ensure_prepared(config)
    with FileLock(_lock(config, features_folder(config))):
        table = train.open_feature_table(config)
    # With another beat detector, other recordings may fail: training and test subjects would differ.
    if compute_data_digest(table.recordings, config.labels) != corpus:
        raise AuraError(
            "these settings change which recordings can be used, so their trials cannot be compared with the others"
        )
    (fold,) = build_folds(config, table.recordings)
    side = table.select(fold.train)
    scored: list[ScoredRecording] = []

    def report(fold: int, part: FeatureTable, probabilities: list[Floats]) -> None:
        scored.extend(recipe.score(part, probabilities))
        curve = compute_event_curve(scored, recipe.alarms, recipe.rules)
        scores = read_operating_point(curve, choose_threshold(curve, recipe.max_false_alarms_per_24h))
        logs.log_metrics({"fold_event_f1": scores["f1"]}, step=fold)
        # Pruning after the last fold would save nothing.
        if prunable and fold < config.train.folds - 1:
            trial.report(scores[config.section(SweepConfig).objectives[0]], fold)
            if trial.should_prune():
                raise TrialPruned

    with instantiate(config.compute).forest():
        try:
            _, curve = recipe.cross_validate(side, choose_groups(config), report)
        except TrialPruned:
            return None
    return read_operating_point(curve, choose_threshold(curve, recipe.max_false_alarms_per_24h))


def build_trial_recipe(config: Config) -> Recipe:
    """Build the recipe of a trial, which is fitted on fewer windows than the best configuration in the end."""
    recipe, most = build_recipe(config), config.section(SweepConfig).max_windows
    limits = [limit for limit in (recipe.training.max_windows, most) if limit is not None]
    return replace(recipe, training=replace(recipe.training, max_windows=min(limits, default=None)))


def _lock(config: Config, folder: Path) -> Path:
    """Return the lock file of a folder of the workspace; one process at a time writes the folder."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    return folder.with_name(f".{folder.name}.lock")


def _report(config: Config, shared: SharedStudy, parent: str) -> None:
    """Log figures, the table of trials and the best configuration; train and test a detector with it."""
    options = config.section(SweepConfig)
    trials = shared.finished()
    complete = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    if not complete:
        errors = {str(trial.user_attrs.get("error")) for trial in trials}
        raise AuraError(f"no trial ended with a score: {'; '.join(sorted(errors))}")
    with runs.resumed(parent):
        logs.log_table(tabulate_trials(trials), "trials.json")
        logs.log_figures(draw_study(shared.study, options.objectives))
    best = best_trial(complete, options.objectives)
    if best is None:
        limit = config.scoring.max_false_alarms_per_24h
        rates = [(trial.user_attrs[FALSE_ALARM_RATE], trial.number) for trial in complete]
        raise AuraError(
            f"none of {counted(len(complete), 'trial')} keeps to {limit:g} false alarms per 24 h of assessed time: the "
            f"fewest are {min(rates)[0]:.1f}, in trial {min(rates)[1]}; search other settings, or allow more by "
            "scoring.max_false_alarms_per_24h"
        )
    words = search_space(options.space).suggest(FixedTrial(best.params))
    with runs.resumed(parent):
        logs.log_text(write_experiment(config.overrides, words, best), "best.yaml")
        logs.log_metrics(
            {f"best_train_event_{name}": best.user_attrs[name] for name in RATIOS if name in best.user_attrs}
        )
        print(f"sweep: the best trial is {best.number}: {' '.join(words)}")
        TRAIN.run(compose([*config.overrides, *words]))
