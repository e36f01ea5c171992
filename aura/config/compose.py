"""Compose a configuration from ``conf/`` and overrides, and refuse what is wrong before any work begins."""

import re
from collections.abc import Mapping, Sequence

import hydra
from hydra.errors import HydraException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from aura.config.build import build, prefixed
from aura.config.messages import explain_error
from aura.config.schema import REGISTER, Config, config_class
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
    try:
        with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
            composed = hydra.compose("config", list(overrides), return_hydra_config=True)
    except (HydraException, OmegaConfBaseException) as error:
        raise AuraError(explain_error(error)) from error
    own = OmegaConf.masked_copy(composed, [str(key) for key in composed if key != "hydra"])
    return check_config(own, overrides, composed.hydra.runtime.choices)


def check_config(composed: DictConfig, overrides: Sequence[str], choices: Mapping[str, str | None]) -> Config:
    """Turn what Hydra composed from some overrides into a checked configuration.

    Parameters
    ----------
    composed
        The values.
    overrides
        What they were composed from.
    choices
        Option of each group, as Hydra's ``hydra.runtime.choices`` has them.

    Raises
    ------
    AuraError
        One sentence that names the key and what is allowed.
    """
    try:
        config = build(config_class(), composed)
    except OmegaConfBaseException as error:
        raise AuraError(explain_error(error)) from error
    # Imported once the keys are right, so that a wrong one is refused at once.
    from aura.config.checks import check_components, check_dataset, check_families, check_name, check_target

    config.overrides = list(overrides)
    config.choices = {group: option for group, option in choices.items() if option and not group.startswith("hydra/")}
    # The name of the corpus is a folder; the name of the model contains it, and is part of an address.
    check_name("dataset.name", config.dataset.name, 100)
    check_name("tracking.model_name", config.tracking.model_name, 200)
    # Raises if the partition is malformed.
    select_share((), config.partition)
    if config.serving.runtime not in (None, "sklearn", "onnx"):
        raise AuraError(f"serving.runtime={config.serving.runtime}; allowed are sklearn, onnx")
    if config.tracking.register not in REGISTER:
        raise AuraError(f"tracking.register={config.tracking.register}; allowed are {', '.join(REGISTER)}")
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
    # Its library takes a second to import. What conf/ holds is in order, or the first fit says so.
    if any(re.match(r"\+*(model|experiments)\b", word) for word in overrides):
        check_target("model", config.model, free=("random_state",))
    return config
