"""Compose a configuration from ``conf/`` and overrides, and refuse what is wrong before any work begins."""

from collections.abc import Sequence

import hydra
from hydra.errors import HydraException
from hydra.utils import instantiate
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from aura.config.build import build, prefixed
from aura.config.checks import check_components, check_dataset, check_families, check_name, check_target
from aura.config.messages import explain_error
from aura.config.schema import Config, config_class
from aura.core.errors import AuraError, InvalidInput, check_type, quote
from aura.core.paths import CONF
from aura.execution.shares import select_share


def compose(overrides: Sequence[str] = ()) -> Config:
    """Compose a checked configuration outside of the command line, as in a notebook or a test.

    Raises
    ------
    InvalidInput
        If the overrides are not a list of texts.
    AuraError
        One sentence that names the key and what is allowed.
    """
    if isinstance(overrides, str):
        raise InvalidInput(f"overrides is a list; write [{overrides!r}]")
    check_type("overrides", overrides, Sequence, "a list of texts such as ['seed=1']")
    for override in overrides:
        if not isinstance(override, str):
            raise InvalidInput(f"overrides holds {quote(override)}; allowed are texts such as 'seed=1'")
    return check_config(_compose(overrides), overrides)


def find_choices(overrides: Sequence[str]) -> dict[str, str]:
    """Return the option that some overrides choose for each group.

    Examples
    --------
    >>> find_choices(["model=lightgbm"])["model"]
    'lightgbm'
    """
    choices = _compose(overrides, return_hydra_config=True).hydra.runtime.choices
    return {group: option for group, option in choices.items() if option is not None and "/" not in group}


def _compose(overrides: Sequence[str], *, return_hydra_config: bool = False) -> DictConfig:
    try:
        with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
            return hydra.compose("config", list(overrides), return_hydra_config=return_hydra_config)
    except (HydraException, OmegaConfBaseException) as error:
        raise AuraError(explain_error(error)) from error


def check_config(composed: DictConfig, overrides: Sequence[str]) -> Config:
    """Turn what Hydra composed from some overrides into a checked configuration.

    Raises
    ------
    AuraError
        One sentence that names the key and what is allowed.
    """
    try:
        config = build(config_class(), composed)
    except OmegaConfBaseException as error:
        raise AuraError(explain_error(error)) from error
    config.overrides = list(overrides)
    # The name of the corpus is a folder; the name of the model contains it, and is part of an address.
    check_name("dataset.name", config.dataset.name, 100)
    check_name("tracking.model_name", config.tracking.model_name, 200)
    # Raises if the partition is malformed.
    select_share((), config.partition)
    if config.serving.runtime not in (None, "sklearn", "onnx"):
        raise AuraError(f"serving.runtime={config.serving.runtime}; allowed are sklearn, onnx")
    check_families(config)
    check_dataset(config.dataset)
    check_components(config)
    for group, values in (("compute", config.compute), ("split", config.split), ("alarms", config.alarms)):
        check_target(group, values, free=())
        try:
            instantiate(values)
        except HydraException as error:
            # A new error: the cause raised again would become its own cause.
            cause = error.__cause__ or error
            refusal = InvalidInput if isinstance(cause, InvalidInput) else AuraError
            with prefixed(f"{group}."):
                raise refusal(str(cause)) from error
    check_target("model", config.model, free=("random_state",))
    return config
