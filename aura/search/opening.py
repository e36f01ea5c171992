"""Opens a study that several processes share; of processes that create one at the same time, one waits."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import optuna
from optuna.exceptions import OptunaError
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler
from optuna.storages import RDBStorage
from optuna.study import Study
from optuna.trial import FrozenTrial
from sqlalchemy.exc import SQLAlchemyError

from aura.core.errors import without_credentials
from aura.search.lock import make_lock
from aura.search.study import (
    HEARTBEAT_S,
    SETTINGS,
    DescribeError,
    Direction,
    SharedStudy,
    StudyError,
    make_retry,
    without_warnings,
)

# Attribute of a study: the number of processes that have joined it.
N_PROCESSES = "processes"


@dataclass(frozen=True)
class Search:
    """What processes have to agree on to share a study, and how this one searches.

    Parameters
    ----------
    names
        Name of the study; processes with the same name share it. Of several names, the first one is taken that no study
        with other settings has.
    objectives
        Name of each value of a trial, and its direction.
    settings
        All settings that decide what a trial scores, by key.
    about
        Further attributes of the study, for a reader of the database.
    make_sampler
        Makes the sampler of the process with a number, from 0. Processes with the same seed would try the same
        parameters.
    pruner
        Optuna's pruner.
    """

    names: Sequence[str]
    objectives: Mapping[str, Direction]
    settings: Mapping[str, str]
    about: Mapping[str, str]
    make_sampler: Callable[[int], BaseSampler]
    pruner: BasePruner


@contextmanager
def shared_study(
    search: Search, url: str, on_killed: Callable[[FrozenTrial], None], describe_error: DescribeError
) -> Iterator["SharedStudy"]:
    """Open a study for this process and all others that work on it.

    Parameters
    ----------
    search
        The study, and how to search.
    url
        Address of the database, for SQLAlchemy.
    on_killed
        Called with each trial whose process was killed, after the trial was queued again.
    describe_error
        Describes an error for the database, without private values.

    Raises
    ------
    StudyError
        If the database cannot be used, or the study was begun with other settings.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    retry = make_retry()

    def retry_killed(study: Study, trial: FrozenTrial) -> None:
        retry(study, trial)
        on_killed(trial)

    try:
        # Two processes that create the schema, or the study, at the same time would both fail.
        creation = make_lock(url, "schema")
        try:
            with creation, without_warnings():
                storage = RDBStorage(
                    url,
                    heartbeat_interval=HEARTBEAT_S,
                    grace_period=2 * HEARTBEAT_S,
                    heartbeat_stale_trial_callback=retry_killed,
                )
        except ModuleNotFoundError as error:
            raise StudyError(f"storage: {error}; pip install 'aura-ecg[postgresql]'") from error
        try:
            with creation:
                study = _open(storage, search)
            yield SharedStudy(storage, study, make_lock(url, study.study_name), describe_error)
        finally:
            storage.remove_session()
            storage.engine.dispose()
    except (SQLAlchemyError, OptunaError) as error:
        raise StudyError(f"storage: {without_credentials(' '.join(str(error).split()))[:300]}") from error


def _open(storage: RDBStorage, search: Search) -> Study:
    """Create the study, or load it if it has the same settings; no other process does so at the same time."""
    existing = {study.study_name: study.user_attrs.get(SETTINGS) for study in storage.get_all_studies()}
    usable = (name for name in search.names if existing.get(name) in (None, search.settings))
    name = next(usable, search.names[-1])
    stored = existing.get(name) or search.settings
    if stored != search.settings:
        keys = sorted(key for key in stored.keys() | search.settings if stored.get(key) != search.settings.get(key))
        changes = "; ".join(f"{key} was {stored.get(key)}, is {search.settings.get(key)}"[:200] for key in keys[:3])
        raise StudyError(
            f"study={name} was begun with other settings, and its trials cannot be compared with these: {changes}; "
            "choose another name"
        )
    with without_warnings():
        study = optuna.create_study(
            storage=storage,
            study_name=name,
            directions=list(search.objectives.values()),
            pruner=search.pruner,
            load_if_exists=True,
        )
        if existing.get(name) is None:
            study.set_metric_names(list(search.objectives))
            for key, value in search.about.items():
                study.set_user_attr(key, value)
            # Last, so that a process that is killed here leaves a study that the next one completes.
            study.set_user_attr(SETTINGS, dict(search.settings))
    number = study.user_attrs.get(N_PROCESSES, 0)
    study.set_user_attr(N_PROCESSES, number + 1)
    study.sampler = search.make_sampler(number)
    return study
