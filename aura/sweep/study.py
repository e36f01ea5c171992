"""A study that outlives its processes: they take turns, and what a killed one leaves is done again."""

import os
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import optuna
from optuna.exceptions import ExperimentalWarning, OptunaError, TrialPruned
from optuna.storages import RDBStorage, RetryHeartbeatStaleTrialCallback
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, Trial, TrialState
from sqlalchemy.exc import SQLAlchemyError

from aura.errors import AuraError, TrackingError
from aura.sweep.turns import Turn, turn

# How often a trial says that it is alive, and after what silence it is taken for dead.
HEARTBEAT_S = int(os.environ.get("AURA_SWEEP_HEARTBEAT_S", "60"))
MAX_RETRIES = 2
# Trials before the first one is stopped early.
N_STARTUP = 5
POLL_S = 2.0
DIRECTIONS: dict[str, StudyDirection] = {
    "f1": StudyDirection.MAXIMIZE,
    "sensitivity": StudyDirection.MAXIMIZE,
    "false_alarms_per_24h": StudyDirection.MINIMIZE,
}
# Attributes of a study and of a trial.
PARENT, MADE_OF, RUN, ERROR, REPEATS = "mlflow_parent_run_id", "made_of", "mlflow_run_id", "error", "repeats"


class RefusedError(Exception):
    """A trial cannot be; the others go on."""


@contextmanager
def shared_study(
    name: str,
    url: str,
    objectives: Sequence[str],
    made_of: Mapping[str, str],
    on_death: Callable[[FrozenTrial], None],
) -> Iterator["SharedStudy"]:
    """Open a study that several processes work on, wherever they are.

    Parameters
    ----------
    name
        Of the study; processes that give the same one share it.
    url
        Of the database that keeps it.
    objectives
        Of `DIRECTIONS`.
    made_of
        All that decides what a trial scores, by key.
    on_death
        Told of a trial that was killed, before it is tried again.

    Raises
    ------
    AuraError
        Where the database cannot be used, or has a study of that name that was made of something else.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            retry = RetryHeartbeatStaleTrialCallback(max_retry=MAX_RETRIES)

            def buried(study: Study, trial: FrozenTrial) -> None:
                on_death(trial)
                retry(study, trial)

            # A schema that two processes make at once kills both.
            with turn(url, "schema"):
                storage = RDBStorage(
                    url,
                    heartbeat_interval=HEARTBEAT_S,
                    grace_period=2 * HEARTBEAT_S,
                    heartbeat_stale_trial_callback=buried,
                )
        try:
            yield SharedStudy(_study(storage, name, objectives), turn(url, name), made_of)
        finally:
            storage.remove_session()
            storage.engine.dispose()
    except (SQLAlchemyError, OptunaError, ModuleNotFoundError) as error:
        raise AuraError(f"sweep.storage: {' '.join(str(error).split())[:300]}") from error


def _study(storage: RDBStorage, name: str, objectives: Sequence[str]) -> Study:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        return optuna.create_study(
            storage=storage,
            study_name=name,
            directions=[DIRECTIONS[objective] for objective in objectives],
            # Without a seed: with one, each process would try what the others try.
            sampler=optuna.samplers.TPESampler(constant_liar=True),
            pruner=optuna.pruners.MedianPruner(n_startup_trials=N_STARTUP),
            load_if_exists=True,
        )


class SharedStudy:
    """A study, and the lock by which its processes take turns.

    Parameters
    ----------
    study
        As its database has it.
    lock
        Of all its processes.
    made_of
        As in `shared_study`; refused where the study was begun with something else.
    """

    def __init__(self, study: Study, lock: Turn, made_of: Mapping[str, str]) -> None:
        self.study, self.lock = study, lock
        with lock:
            known = study.user_attrs.get(MADE_OF)
            if known is None:
                study.set_user_attr(MADE_OF, dict(made_of))
        if known is not None and known != made_of:
            keys = sorted(key for key in known.keys() | made_of.keys() if known.get(key) != made_of.get(key))
            shown = "; ".join(f"{key} was {known.get(key)}, is {made_of.get(key)}"[:200] for key in keys[:3])
            raise AuraError(
                f"study {study.study_name} was begun with other settings, and its trials cannot be compared with "
                f"these: {shown}; give sweep.study another name"
            )

    def finished(self) -> list[FrozenTrial]:
        """Trials that came to an end: with a value, stopped early, or refused with an error."""
        done = self.study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL))
        return [trial for trial in done if trial.state != TrialState.FAIL or ERROR in trial.user_attrs]

    def work(
        self,
        suggest: Callable[[Trial], list[str]],
        attempt: Callable[[Trial, list[str]], Sequence[float]],
        n_trials: int,
    ) -> None:
        """Do trials until the study has as many as that, then wait for those of other processes.

        Parameters
        ----------
        suggest
            Has a trial choose its parameters, and says what they come to. One process at a time does, so that each
            knows what the others are trying.
        attempt
            Gives the values of a trial; raises AuraError where it cannot be.
        n_trials
            That the study is to have in the end.
        """

        def objective(trial: Trial) -> Sequence[float]:
            words = suggest(trial)
            before = self._before(trial)
            self.lock.release()
            if before is not None:
                return _repeated(trial, before)
            try:
                return attempt(trial, words)
            except (TrackingError, OSError, MemoryError, KeyboardInterrupt):
                # Not of its making: it is tried again, by this process when it goes on, or by another.
                self.study.enqueue_trial(trial.params)
                raise
            except AuraError as error:
                trial.set_user_attr(ERROR, str(error))
                print(f"sweep: trial {trial.number} was refused: {error}")
                raise RefusedError from error

        while True:
            running = 0
            self.lock.acquire()
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", ExperimentalWarning)
                    optuna.storages.fail_stale_trials(self.study)
                n_finished = len(self.finished())
                running = len(self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)))
                if n_finished + running < n_trials:
                    self.study.optimize(objective, n_trials=1, catch=(RefusedError,))
                    continue
            finally:
                if self.lock.is_locked:
                    self.lock.release()
            if not running:
                return
            time.sleep(POLL_S)

    def _before(self, trial: Trial) -> FrozenTrial | None:
        """Trial with the same parameters that came to an end."""
        done = self.study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))
        return next((other for other in done if other.params == trial.params), None)


def _repeated(trial: Trial, before: FrozenTrial) -> Sequence[float]:
    """Values of a trial that need not be tried again."""
    for key, value in before.user_attrs.items():
        trial.set_user_attr(key, value)
    trial.set_user_attr(REPEATS, before.number)
    print(f"sweep: trial {trial.number} would repeat trial {before.number}, whose scores it gets")
    if before.state == TrialState.PRUNED:
        raise TrialPruned
    values: Sequence[float] = before.values
    return values
