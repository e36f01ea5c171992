"""A study that outlives its processes: they take turns, and what a killed one leaves is done again."""

import os
import time
import warnings
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import optuna
from filelock import FileLock
from optuna.exceptions import ExperimentalWarning, OptunaError
from optuna.storages import RDBStorage, RetryHeartbeatStaleTrialCallback
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, Trial, TrialState
from sqlalchemy.exc import SQLAlchemyError

from aura.errors import AuraError

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
PARENT, RUN, ERROR = "mlflow_parent_run_id", "mlflow_run_id", "error"


class SharedStudy:
    """A study that several processes work on, on machines that share the folder of the lock.

    Parameters
    ----------
    name
        Of the study; processes that give the same one share it.
    url
        Of the database that keeps it.
    lock
        File that processes take turns by.
    objectives
        Of `DIRECTIONS`.
    on_death
        Told of a trial that was killed, before it is tried again.
    """

    def __init__(
        self,
        name: str,
        url: str,
        lock: Path,
        objectives: Sequence[str],
        on_death: Callable[[FrozenTrial], None],
    ) -> None:
        lock.parent.mkdir(parents=True, exist_ok=True)
        self._lock = FileLock(lock)
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            retry = RetryHeartbeatStaleTrialCallback(max_retry=MAX_RETRIES)

            def buried(study: Study, trial: FrozenTrial) -> None:
                on_death(trial)
                retry(study, trial)

            try:
                # A schema that two processes make at once kills both.
                with self._lock:
                    self._storage = RDBStorage(
                        url,
                        heartbeat_interval=HEARTBEAT_S,
                        grace_period=2 * HEARTBEAT_S,
                        heartbeat_stale_trial_callback=buried,
                    )
                    self.study = optuna.create_study(
                        storage=self._storage,
                        study_name=name,
                        directions=[DIRECTIONS[objective] for objective in objectives],
                        # Without a seed: with one, each process would try what the others try.
                        sampler=optuna.samplers.TPESampler(constant_liar=True),
                        pruner=optuna.pruners.MedianPruner(n_startup_trials=N_STARTUP),
                        load_if_exists=True,
                    )
            except (SQLAlchemyError, OptunaError, ImportError) as error:
                raise AuraError(f"sweep.storage: {' '.join(str(error).split())[:300]}") from error

    def __enter__(self) -> "SharedStudy":
        """Use it."""
        return self

    def __exit__(self, *error: object) -> None:
        """Close the connections to the database."""
        self._storage.remove_session()
        self._storage.engine.dispose()

    def turn(self) -> AbstractContextManager[object]:
        """Give what one process at a time can hold."""
        return self._lock

    def finished(self) -> list[FrozenTrial]:
        """Trials that came to an end: with a value, stopped early, or refused with an error."""
        done = self.study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL))
        return [trial for trial in done if trial.state != TrialState.FAIL or ERROR in trial.user_attrs]

    def work(self, objective: Callable[[Trial], Sequence[float]], n_trials: int) -> None:
        """Do trials until the study has as many as that, then wait for those of other processes."""

        def attempt(trial: Trial) -> Sequence[float]:
            try:
                return objective(trial)
            except AuraError as error:
                trial.set_user_attr(ERROR, str(error))
                print(f"sweep: trial {trial.number} was refused: {error}")
                raise

        while True:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ExperimentalWarning)
                optuna.storages.fail_stale_trials(self.study)
            with self._lock:
                waiting = len(self.study.get_trials(deepcopy=False, states=(TrialState.WAITING,)))
                running = len(self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)))
                missing = n_trials - len(self.finished()) - waiting - running
                if missing > 0:
                    self.study.enqueue_trial({})
                    waiting += 1
            if waiting:
                self.study.optimize(attempt, n_trials=1, catch=(AuraError,))
            elif running:
                time.sleep(POLL_S)
            else:
                return
