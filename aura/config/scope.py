"""Where each value of the configuration may go: logs, ``best.yaml``, a sweep; an undeclared value stays private."""

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from enum import IntEnum
from typing import Any, get_args, get_type_hints

KEY = "scope"


class Scope(IntEnum):
    """Uses of a value; each scope includes those before it."""

    # Places, secrets, names of people, and settings of stages that make no model. Never logged, never in best.yaml.
    PRIVATE = 0
    # How a run was done: parameters and config.yaml of the run.
    LOGGED = 1
    # Needed for the same run on another machine: best.yaml of a sweep.
    REPEATED = 2
    # Decides which subjects are tested and how alarms are counted: equal in all trials of a sweep.
    COMPARED = 3
    # Decides the detector: a sweep may search it.
    SEARCHED = 4


# Metadata of dataclass fields. The scope of a section holds for all its keys, unless a field of the section declares a
# scope; then the other fields of the section are private.
PRIVATE, LOGGED, REPEATED, COMPARED, SEARCHED = ({KEY: scope} for scope in Scope)


def scope_of(kind: type, key: str) -> Scope:
    """Return the scope of a dotted key below a configuration class; a key that does not exist is private.

    Examples
    --------
    >>> from aura.config.schema import Config
    >>> scope_of(Config, "model.n_estimators").name, scope_of(Config, "tracking.uri").name
    ('SEARCHED', 'PRIVATE')
    """
    section: type | None = kind
    scope = Scope.PRIVATE
    for name in key.split("."):
        if section is None:
            # Below a key with a free value.
            return scope
        parts = _parts(section, scope)
        if name not in parts:
            return Scope.PRIVATE
        scope, section = parts[name]
    return scope


def select(kind: type, values: Mapping[str, Any], least: Scope) -> dict[str, Any]:
    """Return the nested values of a configuration whose scope is at least ``least``."""
    return _select(kind, values, least, Scope.PRIVATE)


def dotted(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield nested values with dotted keys, as written on the command line."""
    for key, value in values.items():
        if isinstance(value, dict):
            yield from dotted(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def undeclared(kind: type, prefix: str = "") -> list[str]:
    """Return the keys without a scope of their own or of their section; they are private."""
    if not _declares(kind):
        return []
    keys = []
    for part in fields(kind):
        section = section_class(get_type_hints(kind)[part.name])
        if KEY not in part.metadata:
            keys.append(f"{prefix}{part.name}")
        elif section is not None:
            keys += undeclared(section, f"{prefix}{part.name}.")
    return keys


def section_class(annotation: Any) -> type | None:
    """Return the dataclass in an annotation such as ``Section``, ``Section | None`` or ``list[Section]``."""
    for candidate in (annotation, *get_args(annotation)):
        if isinstance(candidate, type) and is_dataclass(candidate):
            return candidate
    return None


def _select(kind: type, values: Mapping[str, Any], least: Scope, inherited: Scope) -> dict[str, Any]:
    selected: dict[str, Any] = {}
    for name, (scope, section) in _parts(kind, inherited).items():
        value = values[name]
        if section is not None and isinstance(value, Mapping):
            if below := _select(section, value, least, scope):
                selected[name] = below
        elif scope >= least:
            selected[name] = value
    return selected


def _parts(kind: type, inherited: Scope) -> dict[str, tuple[Scope, type | None]]:
    """Return the scope of each field, and its class if it is a section."""
    hints = get_type_hints(kind)
    otherwise = Scope.PRIVATE if _declares(kind) else inherited
    return {part.name: (part.metadata.get(KEY, otherwise), section_class(hints[part.name])) for part in fields(kind)}


def _declares(kind: type) -> bool:
    return any(KEY in part.metadata for part in fields(kind))
