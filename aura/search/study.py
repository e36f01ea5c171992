"""A study that several processes share, and that continues after any of them is killed.

The loop uses Optuna's ask-and-tell interface, `fail_stale_trials` and `RetryHeartbeatStaleTrialCallback`. It does not
use ``study.optimize`` of Optuna 5.0, for these guarantees:

- Exactly ``n_trials`` finish, and none is tried twice: `MaxTrialsCallback` counts after a trial, so three processes
  asked for 20 trials do 22, and processes that choose at the same time can choose the same parameters.
- A process that slept continues after another took over its trial: ``optimize`` raises an AssertionError.
- A trial survives a restart of the database: the heartbeat thread of ``optimize`` ends at the first failed query.
- A process that is killed between ``ask`` and its first heartbeat blocks nobody: Optuna leaves such a trial running.
- A trial that meets an outage is queued again; ``optimize`` fails it.
"""

import os
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Literal

import optuna
from optuna.exceptions import ExperimentalWarning, OptunaError, TrialPruned, UpdateFinishedTrialError
from optuna.storages import RDBStorage, RetryHeartbeatStaleTrialCallback
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, Trial, TrialState
from sqlalchemy.exc import SQLAlchemyError

from aura.core.errors import AuraError, InvalidInput, OutageError
from aura.search.grid import Grid
from aura.search.lock import Lock

# Seconds between the heartbeats of a trial; after two missed ones its process counts as killed.
HEARTBEAT_S = int(os.environ.get("AURA_SWEEP_HEARTBEAT_S", "60"))
MAX_RETRIES = 2
POLL_S = 2.0
# Attributes of a study.
PARENT, SETTINGS = "mlflow_parent_run_id", "made_of"
# Attributes of a trial. BEGUN holds the trial's own number, since a retried trial inherits its attributes.
RUN, ERROR, REPEATS, BEGUN = "mlflow_run_id", "error", "repeats", "begun"

Direction = Literal["maximize", "minimize"]
Suggest = Callable[[Trial], list[str]]
Attempt = Callable[[Trial, list[str]], Sequence[float]]
DescribeError = Callable[[BaseException], str]


class StudyError(InvalidInput):
    """The database of a study cannot be used, or its study was begun with other settings."""


class SharedStudy:
    """A study, and the lock with which its processes take turns at choosing.

    Parameters
    ----------
    storage, study
        The study and its database.
    lock
        Lock of all processes of the study.
    describe_error
        Describes an error for the database, without private values.
    """

    def __init__(self, storage: RDBStorage, study: Study, lock: Lock, describe_error: DescribeError) -> None:
        self._storage, self.study, self.lock, self._describe_error = storage, study, lock, describe_error
        self._retry = make_retry()

    def enqueue(self, configurations: Sequence[Mapping[str, Any]]) -> int:
        """Queue trials with some parameters, unless the study has them already; return how many were queued.

        The sampler chooses parameters that are not given.
        """
        with self.lock:
            before = len(self.study.get_trials(deepcopy=False))
            for params in configurations:
                self.study.enqueue_trial(dict(params), skip_if_exists=True)
            return len(self.study.get_trials(deepcopy=False)) - before

    def rank_other(self, name: str) -> list[FrozenTrial]:
        """Return the feasible completed trials of another study in the same database, the best first.

        With several objectives these are the trials of its Pareto front.

        Raises
        ------
        StudyError
            If there is no such study.
        """
        others = sorted(other.study_name for other in self._storage.get_all_studies())
        if name not in others or name == self.study.study_name:
            others.remove(self.study.study_name)
            raise StudyError(
                f"warm_start={name}: no other study has this name; there are {', '.join(others) or 'none'}"
            )
        other = optuna.load_study(study_name=name, storage=self._storage)
        if len(other.directions) > 1:
            return other.best_trials
        trials = [trial for trial in other.get_trials(states=(TrialState.COMPLETE,)) if is_feasible(trial)]
        sign = -1 if other.direction == StudyDirection.MAXIMIZE else 1
        return sorted(trials, key=lambda trial: (sign * trial.values[0], trial.number))

    def finished(self) -> list[FrozenTrial]:
        """Return the trials that completed, were stopped early, or failed by their own parameters."""
        done = self.study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL))
        return [trial for trial in done if trial.state != TrialState.FAIL or ERROR in trial.user_attrs]

    def work(self, suggest: Suggest, attempt: Attempt, n_trials: int, *, only_one: bool = False) -> None:
        """Do trials until ``n_trials`` of the study have finished, including those of other processes.

        Parameters
        ----------
        suggest
            Lets a trial choose its parameters, and returns the overrides. One process at a time does this, so that
            each knows what the others are trying.
        attempt
            Returns the values of a trial. It raises TrialPruned to stop early, and AuraError if the parameters are
            not allowed.
        n_trials
            Number of finished trials of the whole study; a grid ends before, after its last combination.
        only_one
            Whether to return after the first trial of this process.
        """
        while True:
            choice = None
            with self.lock:
                running = self._running()
                if len(self.finished()) + len(running) < n_trials and not self._is_grid_begun():
                    choice = self._choose(suggest)
            if choice is not None:
                with self._heartbeat(choice[0]):
                    self._try(*choice, attempt)
                if only_one:
                    return
            elif running:
                time.sleep(POLL_S)
            else:
                return

    def _is_grid_begun(self) -> bool:
        """Return whether a grid has nothing left to begin."""
        return isinstance(self.study.sampler, Grid) and self.study.sampler.is_begun(self.study)

    def _running(self) -> list[FrozenTrial]:
        """Return the running trials, after queueing those again whose process was killed."""
        with without_warnings():
            optuna.storages.fail_stale_trials(self.study)
        running = self.study.get_trials(states=(TrialState.RUNNING,))
        # This process holds the lock, so a trial that has not begun was left by one that was killed while choosing.
        for trial in running:
            if trial.user_attrs.get(BEGUN) != trial.number:
                self.study.tell(trial.number, state=TrialState.FAIL)
                self._retry(self.study, trial)
        return [trial for trial in running if trial.user_attrs.get(BEGUN) == trial.number]

    def _choose(self, suggest: Suggest) -> tuple[Trial, list[str], FrozenTrial | None]:
        """Return the next trial, its overrides, and an earlier trial with the same parameters."""
        with without_warnings():
            trial = self.study.ask()
        self._storage.record_heartbeat(trial._trial_id)
        trial.set_user_attr(BEGUN, trial.number)
        with self._queue_again_if_interrupted(trial):
            words = suggest(trial)
        others = self.study.get_trials(deepcopy=False)
        twins = (other for other in others if other.number < trial.number and other.params == trial.params)
        return trial, words, next((twin for twin in twins if _is_valid(twin)), None)

    def _try(self, trial: Trial, words: list[str], twin: FrozenTrial | None, attempt: Attempt) -> None:
        """Do a trial, or copy the result of its twin, and store the result."""
        values, state = None, TrialState.COMPLETE
        try:
            with self._queue_again_if_interrupted(trial):
                result = self._wait_for(twin) if twin else None
                values = attempt(trial, words) if result is None else _copy_result(trial, result)
        except TrialPruned:
            state = TrialState.PRUNED
        except UpdateFinishedTrialError:
            print(f"sweep: trial {trial.number} belongs to another process now, since this one was silent too long")
            return
        except OutageError:
            raise
        except AuraError as error:
            trial.set_user_attr(ERROR, self._describe_error(error))
            print(f"sweep: trial {trial.number} failed: {error}")
            state = TrialState.FAIL
        with without_warnings():
            self.study.tell(trial, values, state, skip_if_finished=True)

    def _wait_for(self, twin: FrozenTrial) -> FrozenTrial | None:
        """Wait for the end of a trial; return None if it was killed, so that there is no result to copy."""
        while twin.state == TrialState.RUNNING:
            time.sleep(POLL_S)
            with self.lock:
                self._running()
            twin = self.study.get_trials(deepcopy=False)[twin.number]
        return twin if _is_valid(twin) else None

    @contextmanager
    def _queue_again_if_interrupted(self, trial: Trial) -> Iterator[None]:
        """Queue a trial again that ends by Ctrl-C, or by an error that other parameters would have met as well."""
        try:
            yield
        except (OutageError, OSError, MemoryError, KeyboardInterrupt) as error:
            state = self.study.get_trials()[trial.number]
            n_tries = len(state.system_attrs.get("retry_history", ())) + 1
            if isinstance(error, KeyboardInterrupt):
                # Not counted as a try: Ctrl-C says nothing about the parameters.
                self.study.enqueue_trial({**state.system_attrs.get("fixed_params", {}), **state.params})
            elif n_tries <= MAX_RETRIES:
                self._retry(self.study, state)
            else:
                reason = f"{type(error).__name__} in each of {n_tries} tries: {self._describe_error(error)}"
                trial.set_user_attr(ERROR, reason)
            self.study.tell(trial, state=TrialState.FAIL, skip_if_finished=True)
            raise

    @contextmanager
    def _heartbeat(self, trial: Trial) -> Iterator[None]:
        """Record heartbeats of a trial until it ends; a failed query is followed by the next heartbeat."""
        ended = threading.Event()

        def record() -> None:
            while not ended.wait(HEARTBEAT_S):
                with suppress(SQLAlchemyError, OptunaError):
                    self._storage.record_heartbeat(trial._trial_id)

        thread = threading.Thread(target=record, daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()


def set_constraint(trial: Trial, name: str, excess: float) -> None:
    """Set how far a trial is above a limit; at most 0 means that it is feasible.

    A trial that is tried again has the constraints of its first try, which Optuna does not replace.
    """
    if name not in trial.constraints:
        trial.set_constraint(name, excess)


def is_feasible(trial: FrozenTrial) -> bool:
    """Return whether a trial keeps all limits."""
    return all(excess <= 0 for excess in trial.constraints.values())


def _is_valid(trial: FrozenTrial) -> bool:
    """Whether a trial has, or will have, a result of its own."""
    return trial.state in (TrialState.RUNNING, TrialState.COMPLETE, TrialState.PRUNED) or ERROR in trial.user_attrs


def _copy_result(trial: Trial, twin: FrozenTrial) -> Sequence[float]:
    """Return the values of a trial with the same parameters, or raise what it raised."""
    print(f"sweep: trial {trial.number} repeats trial {twin.number}; its result is copied")
    for key, value in twin.user_attrs.items():
        if key != BEGUN:
            trial.set_user_attr(key, value)
    for name, excess in twin.constraints.items():
        set_constraint(trial, name, excess)
    trial.set_user_attr(REPEATS, twin.number)
    if twin.state == TrialState.PRUNED:
        raise TrialPruned
    if ERROR in twin.user_attrs:
        raise AuraError(twin.user_attrs[ERROR])
    values: Sequence[float] = twin.values
    return values


def make_retry() -> RetryHeartbeatStaleTrialCallback:
    """Make the function that queues a trial again, with its parameters, at most `MAX_RETRIES` times."""
    with without_warnings():
        return RetryHeartbeatStaleTrialCallback(max_retry=MAX_RETRIES)


@contextmanager
def without_warnings() -> Iterator[None]:
    """Hide that parts of Optuna are experimental, and what is documented beside the samplers of ``conf/``."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        # Only ``optimize`` would send heartbeats.
        warnings.filterwarnings("ignore", message="Heartbeat of storage is supposed to be used with")
        warnings.filterwarnings("ignore", message="Constraints have been set, but CmaEsSampler will not use them")
        yield
