"""The configuration: its shape, its types, and what is refused before any work begins."""

import re
from collections.abc import Sequence

import hydra
from hydra.errors import HydraException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from aura.config.checks import check_components, check_dataset, check_families, check_ranges, check_target, lookup
from aura.config.messages import sentence
from aura.config.schema import Config
from aura.core.errors import AuraError, InvalidInput
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
        config = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(Config), composed))
    except OmegaConfBaseException as error:
        raise AuraError(sentence(error)) from error
    assert isinstance(config, Config)
    config.overrides = list(overrides)
    check_ranges(config)
    # The one names a folder, the other a part of an address; the second holds the first.
    for key, longest in (("dataset.name", 100), ("tracking.model_name", 200)):
        if not re.fullmatch(r"\w[\w.-]*", lookup(config, key)):
            raise AuraError(f"{key}={lookup(config, key)!r}; allowed are letters and digits, then also . _ and -")
        if len(lookup(config, key)) > longest:
            raise AuraError(f"{key} has {len(lookup(config, key))} characters; allowed are {longest}")
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
            # Objects name their parameters in the caller's words; the configuration adds its own key.
            prefix = f"{group}." if isinstance(error.__cause__, InvalidInput) else ""
            raise AuraError(f"{prefix}{error.__cause__ or error}") from error
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
