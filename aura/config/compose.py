"""The configuration: its shape, its types, and what is refused before any work begins."""

from collections.abc import Sequence

import hydra
from hydra.errors import HydraException
from hydra.utils import instantiate
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from aura.config.build import build, prefixed
from aura.config.checks import check_components, check_dataset, check_families, check_name, check_target
from aura.config.messages import sentence
from aura.config.schema import Config, config_class
from aura.core.errors import AuraError
from aura.core.paths import CONF
from aura.execution.shares import share


def checked(composed: DictConfig, overrides: Sequence[str]) -> Config:
    """Turn what Hydra composed with some overrides into a checked configuration.

    Raises
    ------
    AuraError
        One sentence that names the key and what is allowed.
    """
    try:
        config = build(config_class(), composed)
    except OmegaConfBaseException as error:
        raise AuraError(sentence(error)) from error
    config.overrides = list(overrides)
    # The one names a folder, the other a part of an address; the second holds the first.
    check_name("dataset.name", config.dataset.name, 100)
    check_name("tracking.model_name", config.tracking.model_name, 200)
    # Refuses what is no share.
    share((), config.partition)
    if config.serving.runtime not in (None, "sklearn", "onnx"):
        raise AuraError(f"serving.runtime={config.serving.runtime}; allowed are sklearn, onnx")
    check_families(config)
    check_dataset(config.dataset)
    check_components(config)
    for group, values in (
        ("compute", config.compute),
        ("split", config.split),
        ("alarms", config.alarms),
    ):
        check_target(group, values, free=())
        try:
            instantiate(values)
        except HydraException as error:
            cause = error.__cause__
            with prefixed(f"{group}."):
                raise (cause if isinstance(cause, AuraError) else AuraError(str(cause or error))) from error
    check_target("model", config.model, free=("random_state",))
    return config


def compose(overrides: Sequence[str] = ()) -> Config:
    """Compose a checked configuration outside of the command line, as in a notebook or a test.

    Raises
    ------
    AuraError
        One sentence that names the key and what is allowed.
    """
    try:
        with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
            composed = hydra.compose("config", list(overrides))
    except (HydraException, OmegaConfBaseException) as error:
        raise AuraError(sentence(error)) from error
    return checked(composed, overrides)
