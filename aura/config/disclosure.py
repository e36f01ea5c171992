"""Configurations and errors without places, secrets and names, for MLflow, a sweep's database or a caller."""

import traceback
from dataclasses import asdict
from pathlib import Path, PurePath
from typing import Any

from aura.config.schema import Config
from aura.config.scope import Scope, dotted, select
from aura.core.errors import RecordingError, without_credentials
from aura.core.paths import PROJECT


def public(config: Config) -> dict[str, Any]:
    """Return the values that may be logged: no place, no secret, and with pseudonyms no id of a subject."""
    values = select(type(config), asdict(config), Scope.LOGGED)
    if config.dataset.pseudonyms:
        values["dataset"].pop("subject_channels")
    return values


def public_text(text: str, config: Config) -> str:
    """Return a text without passwords, folders of this machine, and private values of the configuration.

    Parameters
    ----------
    text
        Text to clean, such as the message of an error.
    config
        Configuration whose private values are replaced by their keys.
    """
    names = {str(Path.home()): "~", str(Path.cwd()): ".", str(PROJECT): "<project>"}
    logged = dict(dotted(public(config)))
    for key, value in dotted(asdict(config)):
        if key not in logged and isinstance(value, str) and _is_place(value):
            names[value] = f"<{key}>"
            names[str(Path(value).resolve())] = f"<{key}>"
    # Longest first, so that a folder is replaced before its parent.
    for place in sorted((place for place in names if len(place) > 1), key=len, reverse=True):
        text = text.replace(place, names[place])
    return without_credentials(text)


def public_error(error: BaseException, config: Config) -> str:
    """Return the part of an error that may leave this machine.

    With pseudonyms, this is its type and the line that raised it, since the message can hold ids of subjects.
    """
    if not config.dataset.pseudonyms:
        return public_text(str(error), config)
    kind = error.reason if isinstance(error, RecordingError) else type(error).__name__
    frames = traceback.extract_tb(error.__traceback__)
    # With its folder: the modules of all stages are called run.py.
    file = "/".join(PurePath(frames[-1].filename).parts[-2:]) if frames else ""
    line = f" in {file}, line {frames[-1].lineno}" if frames else ""
    return f"{kind}{line}; the message stays on the machine, since it may name people (dataset.pseudonyms=true)"


def _is_place(value: str) -> bool:
    """Return whether a value is a path or an address, unlike a word such as the name of a format."""
    return "/" in value or "\\" in value or bool(PurePath(value).suffix)
