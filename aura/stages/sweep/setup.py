"""What a sweep searches and with what: the space, Optuna's sampler and pruner, and the name of the study."""

import importlib.util
import inspect
from collections.abc import Mapping
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from hydra.utils import get_object, instantiate
from optuna.samplers import BaseSampler, CmaEsSampler, GPSampler

from aura.config.checks import check_target
from aura.config.schema import Config, config_class
from aura.config.scope import Scope, scope_of
from aura.core.errors import AuraError, InvalidInput, check_range
from aura.core.files import digest
from aura.core.paths import CONF
from aura.evaluation.scoring import OBJECTIVES
from aura.search.dimension import Keys
from aura.search.grid import Grid
from aura.search.opening import Search
from aura.search.space import Space
from aura.stages.sweep import SweepConfig

# Types of the parameters that conf/sampler and conf/pruner set, as Optuna annotates them, and their names.
PLAIN = {"int": (int,), "float": (int, float), "bool": (bool,), "str": (str,), "None": (type(None),)}
NAMES = {"int": "a whole number", "float": "a number", "bool": "true or false", "str": "a word", "None": "null"}


def search_space(values: Mapping[str, Any] | None) -> Space:
    """Build the space that ``sweep.space`` declares; raise unless trials may differ in each of its keys."""
    sections = [field.name for field in fields(Config) if scope_of(Config, field.name) >= Scope.SEARCHED]
    # Trials may differ in the detector, but not in the test subjects, their recordings or the scoring.
    keys = Keys(
        sections=sections,
        exists=lambda key: key.partition(".")[0] in {field.name for field in fields(config_class())},
        is_searchable=lambda key: scope_of(Config, key) >= Scope.SEARCHED,
        options=lambda key: sorted(path.stem for path in (CONF / key).glob("*.yaml")),
        holds_list=lambda key: key.startswith("windows.lengths_s."),
    )
    try:
        return Space.from_mapping(values, keys)
    except InvalidInput as error:
        raise InvalidInput(f"sweep.{error}") from error


def plan_search(config: Config, space: Space, settings: Mapping[str, str]) -> Search:
    """Return what this process needs to join the study of a configuration.

    Raises
    ------
    AuraError
        If the sampler or the pruner cannot be made, or cannot search this space.
    """
    options = config.section(SweepConfig)
    experiment = find_experiment(config.overrides)
    base = f"{config.dataset.name}-{experiment or 'sweep'}"
    return Search(
        names=[options.study] if options.study else [base, f"{base}-{digest(settings)[:6]}"],
        objectives={objective: OBJECTIVES[objective] for objective in options.objectives},
        settings=settings,
        about=_describe(config, space, experiment),
        make_sampler=partial(_make_sampler, config, space),
        pruner=_instantiate("pruner", config.pruner),
    )


def check_search(config: Config, space: Space) -> None:
    """Raise AuraError if an objective does not exist, or if the sampler or the pruner cannot do this search."""
    options = config.section(SweepConfig)
    unknown = [objective for objective in options.objectives if objective not in OBJECTIVES]
    if unknown or not options.objectives:
        raise AuraError(f"sweep.objectives={options.objectives}; allowed are {', '.join(OBJECTIVES)}")
    sampler = _make_sampler(config, space, 0)
    _instantiate("pruner", config.pruner)
    if isinstance(sampler, GPSampler) and importlib.util.find_spec("torch") is None:
        raise AuraError("sampler=gp needs PyTorch: pip install 'aura-ecg[gp]'")
    if isinstance(sampler, CmaEsSampler) and len(options.objectives) > 1:
        raise AuraError("sampler=cmaes has one objective; write sampler=nsgaii, or name one of sweep.objectives")


def locate_storage(config: Config) -> str:
    """Return the address of the database of studies."""
    return config.section(SweepConfig).storage or f"sqlite:///{Path(config.workspace).resolve() / 'sweeps.db'}"


def find_experiment(overrides: list[str]) -> str:
    """Return the names of the experiments that were asked for; nothing if there are none.

    Examples
    --------
    >>> find_experiment(["experiments=[step,cleaning]", "seed=3"])
    'step-cleaning'
    """
    for override in OverridesParser.create().parse_overrides(overrides):
        if override.key_or_group == "experiments" and (value := override.value()):
            return "-".join(map(str, value)) if isinstance(value, list) else str(value)
    return ""


def _describe(config: Config, space: Space, experiment: str) -> dict[str, str]:
    """Return attributes that tell a reader of the database what a study is."""
    options = config.section(SweepConfig)
    aims = [f"{'highest' if OBJECTIVES[name] == 'maximize' else 'lowest'} {name}" for name in options.objectives]
    keys = ", ".join(dimension.key for dimension in space.dimensions)
    about = (
        f"Searches {keys} on the corpus {config.dataset.name} for the {' and the '.join(aims)} of training subjects, "
        f"with at most {config.scoring.max_false_alarms_per_24h:g} false alarms per 24 h of assessed time."
    )
    texts = {"corpus": config.dataset.name, "experiment": experiment, "question": config.question, "about": about}
    return {key: text for key, text in texts.items() if text}


def _make_sampler(config: Config, space: Space, number: int) -> BaseSampler:
    """Make the sampler of the process with a number."""
    values = dict(config.sampler)
    if values.get("_target_") == f"{Grid.__module__}.{Grid.__name__}":
        try:
            search_space = space.grid()
        except InvalidInput as error:
            raise InvalidInput(f"sweep.{error}") from error
        grid: BaseSampler = _instantiate("sampler", values, search_space=search_space)
        return grid
    if (seed := values.get("seed")) is not None:
        check_range("sampler.seed", seed, 0, 2**32 - 1)
        # With the same seed, all processes would try the same parameters.
        values["seed"] = int(np.random.SeedSequence([seed, number]).generate_state(1)[0])
    sampler: BaseSampler = _instantiate("sampler", values)
    return sampler


def _instantiate(group: str, values: dict[str, Any], **more: Any) -> Any:
    """Make an object of Optuna; raise if a parameter does not exist, or is of the wrong type."""
    check_target(group, values, free=tuple(more))
    parameters = inspect.signature(get_object(values["_target_"])).parameters
    for key in values.keys() & parameters.keys():
        kinds = inspect.formatannotation(parameters[key].annotation).strip("'").split(" | ")
        if set(kinds) <= PLAIN.keys() and not any(type(values[key]) in PLAIN[kind] for kind in kinds):
            raise AuraError(f"{group}.{key}={values[key]}; allowed is {' or '.join(NAMES[kind] for kind in kinds)}")
    try:
        return instantiate(values, **more)
    except HydraException as error:
        cause = error.__cause__ or error
        raise AuraError(f"{group}: {' '.join(str(cause).split())}") from error
