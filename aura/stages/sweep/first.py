"""Configurations that a sweep tries before the sampler chooses: known ones, and those of another study."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from optuna.trial import FrozenTrial

from aura.config.schema import Config
from aura.config.scope import dotted
from aura.core.errors import AuraError, InvalidInput
from aura.core.wording import counted
from aura.search.grid import Grid
from aura.search.space import Space
from aura.search.study import SharedStudy
from aura.stages.sweep import SweepConfig

# The configuration of the command line, as an entry of sweep.enqueue.
DEFAULT = "default"


def read_known(config: Config, space: Space) -> list[dict[str, Any]]:
    """Return the parameters of each entry of ``sweep.enqueue``.

    The configuration itself is left out, with a sentence, if the space does not hold it.

    Raises
    ------
    AuraError
        If an entry names a key or a value that the space does not have.
    """
    found = []
    for number, entry in enumerate(config.section(SweepConfig).enqueue):
        if entry == DEFAULT:
            try:
                found.append(space.find_all(_current_values(config)))
            except InvalidInput as error:
                print(f"sweep: the configuration without a search is not tried first: {error}")
            continue
        name = f"sweep.enqueue[{number}]"
        if not isinstance(entry, Mapping) or not entry:
            raise AuraError(f"{name}={entry}; allowed are {DEFAULT} and values such as {{model.max_depth: 8}}")
        try:
            found.append(space.find(entry))
        except InvalidInput as error:
            raise InvalidInput(f"{name}: {error}") from error
    return found


def queue_first(config: Config, space: Space, known: list[dict[str, Any]], shared: SharedStudy) -> None:
    """Queue known configurations, then the best ones of the study that ``sweep.warm_start`` names.

    Raises
    ------
    AuraError
        If there is no such study.
    """
    options = config.section(SweepConfig)
    if isinstance(shared.study.sampler, Grid):
        # A grid holds all configurations, in an order of its own.
        print(f"sweep: the grid has {counted(shared.study.sampler.n_combinations, 'combination')}")
        if options.warm_start is not None:
            raise AuraError("sweep.warm_start: a grid tries each combination anyway; allowed are other samplers")
        return
    # Read before anything is queued, since the study may not exist.
    others = shared.rank_other(options.warm_start) if options.warm_start is not None else []
    if n_queued := shared.enqueue(known):
        print(f"sweep: {counted(n_queued, 'known configuration')} queued first")
    if options.warm_start is not None:
        _queue_others(space, options, others, shared)


def _queue_others(space: Space, options: SweepConfig, others: Sequence[FrozenTrial], shared: SharedStudy) -> None:
    """Queue the best configurations of another study, and say which ones are left out."""
    taken: list[dict[str, Any]] = []
    refused: list[str] = []
    for trial in others:
        if options.warm_start_trials is not None and len(taken) == options.warm_start_trials:
            break
        try:
            space.find(trial.params)
            params = space.find_all(trial.params)
        except InvalidInput as error:
            refused.append(str(error))
            continue
        if params not in taken:
            taken.append(params)
    n_new = shared.enqueue(taken)
    known = f"; {len(taken) - n_new} known here already" if len(taken) > n_new else ""
    print(f"sweep: {n_new} of the best configurations of the study {options.warm_start} queued first{known}")
    if refused:
        print(
            f"sweep: {counted(len(refused), 'configuration')} of {options.warm_start} left out, since the space "
            f"differs: {'; '.join(dict.fromkeys(refused))[:300]}"
        )


def _current_values(config: Config) -> dict[str, Any]:
    """Return the value of each key of the configuration, and the option of each group."""
    return {**dict(dotted(asdict(config))), **config.choices}
