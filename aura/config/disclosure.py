"""What of a configuration and of an error may leave this machine: to MLflow, a sweep's database, a caller."""

import traceback
from dataclasses import asdict
from pathlib import Path, PurePath
from typing import Any

from aura.config.schema import Config
from aura.config.scope import Scope, dotted, select
from aura.core.errors import RecordingError, without_credentials
from aura.core.paths import PROJECT


def public(config: Config) -> dict[str, Any]:
    """Values that are logged: no place, no secret, and, with pseudonyms, no subject by the corpus's own id."""
    values = select(Config, asdict(config), Scope.LOGGED)
    if config.dataset.pseudonyms:
        values["dataset"].pop("subject_channels")
    return values


def public_text(text: str, config: Config) -> str:
    """A text without the places and secrets of the configuration, without the folders of this machine, and passwords.

    Parameters
    ----------
    text
        Such as the message of an error.
    config
        Private values of it are replaced by their keys.
    """
    names = {str(Path.home()): "~", str(Path.cwd()): ".", str(PROJECT): "<project>"}
    logged = dict(dotted(public(config)))
    for key, value in dotted(asdict(config)):
        if key not in logged and isinstance(value, str) and _is_place(value):
            names[value] = f"<{key}>"
            names[str(Path(value).resolve())] = f"<{key}>"
    # Longest first: a folder before the folder above it.
    for place in sorted((place for place in names if len(place) > 1), key=len, reverse=True):
        text = text.replace(place, names[place])
    return without_credentials(text)


def public_error(error: BaseException, config: Config) -> str:
    """What may be known of an error elsewhere.

    With pseudonyms that is its kind and where it was raised: the message can hold the corpus's own ids.
    """
    if not config.dataset.pseudonyms:
        return public_text(str(error), config)
    kind = error.reason if isinstance(error, RecordingError) else type(error).__name__
    raised = traceback.extract_tb(error.__traceback__)
    where = f" in {PurePath(raised[-1].filename).name}, line {raised[-1].lineno}" if raised else ""
    return f"{kind}{where}; the message stays on the machine, since it may name people (dataset.pseudonyms=true)"


def _is_place(value: str) -> bool:
    """Whether a value is a path or an address, rather than a word such as the name of a format."""
    return "/" in value or "\\" in value or bool(PurePath(value).suffix)
