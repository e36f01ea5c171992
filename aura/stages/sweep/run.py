"""Search configurations: score each on the training subjects, and test the best once on the other subjects."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

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
from aura.config.scope import Scope, dotted, scope_of, select
from aura.core.arrays import Floats
from aura.core.errors import AuraError, InvalidInput
from aura.core.files import digest
from aura.core.paths import CONF
from aura.core.wording import counted
from aura.evaluation.operating_point import choose_threshold, compute_event_curve, read_operating_point
from aura.evaluation.recipe import Recipe
from aura.evaluation.results import ScoredRecording
from aura.evaluation.scoring import FALSE_ALARM_RATE, OBJECTIVES, RATIOS
from aura.execution.executors import kept_workers
from aura.learning.feature_table import FeatureTable
from aura.reports.sweep import best_trial, draw_study, tabulate_trials, write_experiment
from aura.search.space import Keys, Space
from aura.search.study import PARENT, RUN, SharedStudy, StudyError, shared_study
from aura.stages.prepare.run import ensure_prepared
from aura.stages.sweep import SweepConfig
from aura.stages.train import STAGE as TRAIN
from aura.stages.train import run as train
from aura.tracking import runs
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


def search_space(values: Mapping[str, Mapping[str, Any]] | None) -> Space:
    """Build the space that ``sweep.space`` declares; raise unless trials may differ in each of its keys."""
    # Trials may differ in the detector, but not in the test subjects, their recordings or the scoring.
    keys = Keys(
        is_searchable=lambda key: scope_of(Config, key) >= Scope.SEARCHED,
        options=lambda key: sorted(path.stem for path in (CONF / key).glob("*.yaml")),
        holds_list=lambda key: key.startswith("windows.lengths_s."),
    )
    try:
        return Space.from_mapping(values, keys)
    except InvalidInput as error:
        raise InvalidInput(f"sweep.{error}") from error


def _sweep(config: Config) -> None:
    """Run trials, then let one process report."""
    options = config.section(SweepConfig)
    space = search_space(options.space)
    _check(config, space)
    with runs.stage_run("sweep", config) as active:
        with FileLock(_lock(config, prepared_folder(config))):
            corpus = ensure_prepared(config)
        settings = _settings(config, corpus)
        name = options.study or f"sweep-{digest(settings)}"
        folder = Path(config.workspace) / config.dataset.name
        url = options.storage or f"sqlite:///{folder.resolve() / 'sweeps.db'}"
        directions = [OBJECTIVES[objective] for objective in options.objectives]
        with shared_study(
            name, url, directions, settings, _mark_killed, partial(public_error, config=config)
        ) as shared:
            parent = _parent(shared, active.info.run_id)
            print(f"sweep: study {name}, {len(shared.finished())} of {counted(options.n_trials, 'trial')} done")
            with kept_workers():
                shared.work(
                    space.suggest,
                    partial(_attempt, config, parent, settings["data.digest"]),
                    options.n_trials,
                )
            # One process reports; the others skip the report.
            with shared.lock:
                if shared.study.user_attrs.get(REPORTED) != len(shared.finished()):
                    _report(config, shared, parent)
                    shared.study.set_user_attr(REPORTED, len(shared.finished()))


def _check(config: Config, space: Space) -> None:
    """Raise before any trial if an objective or a key of the space does not exist."""
    options = config.section(SweepConfig)
    unknown = [objective for objective in options.objectives if objective not in OBJECTIVES]
    if unknown or not options.objectives:
        raise AuraError(f"sweep.objectives={options.objectives}; allowed are {', '.join(OBJECTIVES)}")
    compose([*config.overrides, *space.suggest(FixedTrial(space.example()))])


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
            runs.log_metrics({f"train_event_{name}": value for name, value in scores.items()})
            for name, value in scores.items():
                trial.set_user_attr(name, value)
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
        runs.log_metrics({"fold_event_f1": scores["f1"]}, step=fold)
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
    complete = [t for t in shared.finished() if t.state == TrialState.COMPLETE]
    if not complete:
        errors = {str(t.user_attrs.get("error")) for t in shared.finished()}
        raise AuraError(f"no trial ended with a score: {'; '.join(sorted(errors))}")
    best: FrozenTrial = best_trial(complete, options.objectives)
    words = search_space(options.space).suggest(FixedTrial(best.params))
    with runs.resumed(parent):
        runs.log_table(tabulate_trials(shared.finished()), "trials.json")
        runs.log_figures(draw_study(shared.study, options.objectives))
        runs.log_text(write_experiment(config.overrides, words, best), "best.yaml")
        runs.log_metrics(
            {f"best_train_event_{name}": best.user_attrs[name] for name in RATIOS if name in best.user_attrs}
        )
        print(f"sweep: the best trial is {best.number}: {' '.join(words)}")
        TRAIN.run(compose([*config.overrides, *words]))
