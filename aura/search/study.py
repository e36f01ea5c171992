"""A study that outlives its processes: they take turns, and what a killed one leaves is done again."""

import os
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress

import optuna
from optuna.exceptions import ExperimentalWarning, OptunaError, TrialPruned, UpdateFinishedTrialError
from optuna.storages import RDBStorage, RetryHeartbeatStaleTrialCallback
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, Trial, TrialState
from sqlalchemy.exc import SQLAlchemyError

from aura.config.disclosure import without_credentials
from aura.core.errors import AuraError, OutageError
from aura.evaluation.scoring import FALSE_ALARM_RATE
from aura.search.lock import Turn, turn

# How often a trial says that it is alive, and after what silence it is taken for dead.
HEARTBEAT_S = int(os.environ.get("AURA_SWEEP_HEARTBEAT_S", "60"))
MAX_RETRIES = 2
# Trials before the first one is stopped early.
N_STARTUP = 5
POLL_S = 2.0
DIRECTIONS: dict[str, StudyDirection] = {
    "f1": StudyDirection.MAXIMIZE,
    "sensitivity": StudyDirection.MAXIMIZE,
    # A search for few per day of recording would find settings under which little is assessed.
    FALSE_ALARM_RATE: StudyDirection.MINIMIZE,
}
# Attributes of a study and of a trial.
PARENT, MADE_OF = "mlflow_parent_run_id", "made_of"
RUN, ERROR, REPEATS, BEGUN, TRIES = "mlflow_run_id", "error", "repeats", "begun", "tries"


@contextmanager
def shared_study(
    name: str,
    url: str,
    objectives: Sequence[str],
    made_of: Mapping[str, str],
    on_death: Callable[[FrozenTrial], None],
    public_error: Callable[[BaseException], str],
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
        Told of a trial that was killed, after it was queued to be tried again.
    public_error
        Gives what the database, which others read too, may hold of an error.

    Raises
    ------
    AuraError
        Where the database cannot be used, or has a study of that name that was made of something else.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with _stable():
        retry = RetryHeartbeatStaleTrialCallback(max_retry=MAX_RETRIES)

    def buried(study: Study, trial: FrozenTrial) -> None:
        retry(study, trial)
        on_death(trial)

    try:
        try:
            # A schema that two processes make at once kills both.
            with turn(url, "schema"), _stable():
                storage = RDBStorage(
                    url,
                    heartbeat_interval=HEARTBEAT_S,
                    grace_period=2 * HEARTBEAT_S,
                    heartbeat_stale_trial_callback=buried,
                )
        except ModuleNotFoundError as error:
            raise AuraError(f"sweep.storage: {error}; pip install 'aura-ecg[postgresql]'") from error
        try:
            yield SharedStudy(storage, _study(storage, name, objectives), turn(url, name), made_of, public_error)
        finally:
            storage.remove_session()
            storage.engine.dispose()
    except (SQLAlchemyError, OptunaError) as error:
        raise AuraError(f"sweep.storage: {without_credentials(' '.join(str(error).split()))[:300]}") from error


def _study(storage: RDBStorage, name: str, objectives: Sequence[str]) -> Study:
    with _stable():
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
    storage, study
        As the database has it.
    lock
        Of all its processes.
    made_of
        As in `shared_study`; refused where the study was begun with something else.
    public_error
        As in `shared_study`.
    """

    def __init__(
        self,
        storage: RDBStorage,
        study: Study,
        lock: Turn,
        made_of: Mapping[str, str],
        public_error: Callable[[BaseException], str],
    ) -> None:
        self._storage, self.study, self.lock, self._public_error = storage, study, lock, public_error
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
            Gives the values of a trial; raises TrialPruned where it is not worth going on, and AuraError where it
            cannot be.
        n_trials
            That the study is to have in the end.
        """
        while True:
            chosen = None
            with self.lock:
                running = self._running()
                if len(self.finished()) + len(running) < n_trials:
                    chosen = self._choose(suggest)
            if chosen is not None:
                with self._alive(chosen[0]):
                    self._try(*chosen, attempt)
            elif running:
                time.sleep(POLL_S)
            else:
                return

    def _running(self) -> list[FrozenTrial]:
        """Trials that are being tried; those whose process is gone are queued again."""
        with _stable():
            optuna.storages.fail_stale_trials(self.study)
        running = self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        # Whoever has the turn has begun those it chose; these were left by one that was killed in the midst of it.
        for trial in running:
            if trial.user_attrs.get(BEGUN) != trial.number:
                self.study.tell(trial.number, state=TrialState.FAIL)
                self._queue(trial)
        return [trial for trial in running if trial.user_attrs.get(BEGUN) == trial.number]

    def _choose(self, suggest: Callable[[Trial], list[str]]) -> tuple[Trial, list[str], FrozenTrial | None]:
        """Choose what to try next: the trial, what it comes to, and an earlier one that tries or tried the same."""
        with _stable():
            trial = self.study.ask()
        self._storage.record_heartbeat(trial._trial_id)
        trial.set_user_attr(BEGUN, trial.number)
        with self._blameless(trial):
            words = suggest(trial)
        others = self.study.get_trials(deepcopy=False)
        alike = (other for other in others if other.number < trial.number and other.params == trial.params)
        return trial, words, next((other for other in alike if _counts(other)), None)

    def _try(
        self,
        trial: Trial,
        words: list[str],
        alike: FrozenTrial | None,
        attempt: Callable[[Trial, list[str]], Sequence[float]],
    ) -> None:
        """Try what was chosen, and tell the study what came of it."""
        values, state = None, TrialState.COMPLETE
        try:
            with self._blameless(trial):
                before = self._end_of(alike) if alike else None
                values = attempt(trial, words) if before is None else _repeated(trial, before)
        except TrialPruned:
            state = TrialState.PRUNED
        except UpdateFinishedTrialError:
            print(f"sweep: trial {trial.number} was taken for dead meanwhile, and is another's now")
            return
        except OutageError:
            raise
        except AuraError as error:
            trial.set_user_attr(ERROR, self._public_error(error))
            print(f"sweep: trial {trial.number} was refused: {error}")
            state = TrialState.FAIL
        self.study.tell(trial, values, state, skip_if_finished=True)

    def _end_of(self, alike: FrozenTrial) -> FrozenTrial | None:
        """A trial when it has come to an end; None where it was killed, so that there is nothing to repeat."""
        while alike.state == TrialState.RUNNING:
            time.sleep(POLL_S)
            with self.lock:
                self._running()
            alike = self.study.get_trials(deepcopy=False)[alike.number]
        return alike if _counts(alike) else None

    @contextmanager
    def _blameless(self, trial: Trial) -> Iterator[None]:
        """Queue a trial again that was interrupted, or met what no other parameters would have spared it."""
        try:
            yield
        except (OutageError, OSError, MemoryError, KeyboardInterrupt) as error:
            tries = trial.user_attrs.get(TRIES, 0) + (not isinstance(error, KeyboardInterrupt))
            if tries > MAX_RETRIES:
                # It may be to blame after all.
                trial.set_user_attr(
                    ERROR, f"{type(error).__name__} in each of {tries} tries: {self._public_error(error)}"
                )
            else:
                self._queue(self.study.get_trials(deepcopy=False)[trial.number], tries)
            self.study.tell(trial, state=TrialState.FAIL, skip_if_finished=True)
            raise

    def _queue(self, trial: FrozenTrial, tries: int = 0) -> None:
        """Have a trial tried again, with the parameters it has or was to have."""
        params = {**trial.system_attrs.get("fixed_params", {}), **trial.params}
        self.study.enqueue_trial(params, user_attrs={TRIES: tries})

    @contextmanager
    def _alive(self, trial: Trial) -> Iterator[None]:
        """Let a trial be known to be alive, until it has come to an end; through a restart of the database too."""
        over = threading.Event()

        def beat() -> None:
            while not over.wait(HEARTBEAT_S):
                with suppress(SQLAlchemyError, OptunaError):
                    self._storage.record_heartbeat(trial._trial_id)

        thread = threading.Thread(target=beat, daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()


def _counts(trial: FrozenTrial) -> bool:
    """Whether a trial has come to an end of its own, or will."""
    return trial.state in (TrialState.RUNNING, TrialState.COMPLETE, TrialState.PRUNED) or ERROR in trial.user_attrs


def _repeated(trial: Trial, before: FrozenTrial) -> Sequence[float]:
    """Values of a trial that need not be tried again."""
    print(f"sweep: trial {trial.number} would repeat trial {before.number}, of which it gets what came of it")
    for key, value in before.user_attrs.items():
        if key not in (BEGUN, TRIES):
            trial.set_user_attr(key, value)
    trial.set_user_attr(REPEATS, before.number)
    if before.state == TrialState.PRUNED:
        raise TrialPruned
    if ERROR in before.user_attrs:
        raise AuraError(before.user_attrs[ERROR])
    values: Sequence[float] = before.values
    return values


@contextmanager
def _stable() -> Iterator[None]:
    """Leave out that Optuna calls parts of itself experimental, and that ``optimize`` would send the heartbeats."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        warnings.filterwarnings("ignore", message="Heartbeat of storage is supposed to be used with")
        yield
