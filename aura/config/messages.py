"""Errors of Hydra and OmegaConf as one sentence."""

from hydra.errors import HydraException
from omegaconf import ValidationError
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, MissingMandatoryValue


def explain_error(error: Exception) -> str:
    """Return one line that says what is wrong with a configuration, and what is allowed."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ConfigKeyError | ConfigAttributeError) and cause.full_key:
            allowed = ", ".join(str(key) for key in cause.parent_node or ()) or "none"
            return f"there is no key {cause.full_key}; allowed beside it are: {allowed}"
        if isinstance(cause, MissingMandatoryValue):
            variable = ", or set AURA_DATA" if cause.full_key == "dataset.root" else ""
            return f"{cause.full_key} has no value; give one, such as {cause.full_key}=...{variable}"
        if isinstance(cause, ValidationError):
            if "ListConfig" in str(cause.msg):
                return f"{cause.full_key} is a list; write {cause.full_key}=[...], in quotes for the shell"
            return f"{cause.full_key}: {str(cause.msg).splitlines()[0]}"
        cause = cause.__cause__
    text = str(error).split("Config search path")[0] if isinstance(error, HydraException) else str(error)
    return " ".join(text.split())
