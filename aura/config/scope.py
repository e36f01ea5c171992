"""How far each value of the configuration reaches, declared beside the value; what is not declared stays private."""

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from enum import IntEnum
from typing import Any, get_args, get_type_hints

KEY = "scope"


class Scope(IntEnum):
    """What a value is used for; each scope includes those before it."""

    # Places, secrets, names of people, and settings of stages that make no model. Never logged, never in best.yaml.
    PRIVATE = 0
    # How a run was done: parameters and config.yaml of the run.
    LOGGED = 1
    # What the same run needs on another machine: best.yaml of a sweep.
    REPEATED = 2
    # What decides who is tested on what, and how it is counted: the same in all trials of a sweep.
    COMPARED = 3
    # What decides the detector: a sweep may search it.
    SEARCHED = 4


# Metadata of dataclass fields. That of a section is for all its keys, unless the section declares its own; then those
# that it does not declare are private.
PRIVATE, LOGGED, REPEATED, COMPARED, SEARCHED = ({KEY: scope} for scope in Scope)


def scope_of(kind: type, key: str) -> Scope:
    """Scope of a dotted key below a configuration class; private where there is no such key.

    Examples
    --------
    >>> from aura.config.schema import Config
    >>> scope_of(Config, "model.n_estimators").name, scope_of(Config, "sweep.storage").name
    ('SEARCHED', 'PRIVATE')
    """
    found, section, scope = kind, True, Scope.PRIVATE
    for name in key.split("."):
        if not section:
            # Below a key whose value is free.
            return scope
        parts = _parts(found, scope)
        if name not in parts:
            return Scope.PRIVATE
        scope, below = parts[name]
        found, section = below or found, below is not None
    return scope


def select(kind: type, values: Mapping[str, Any], least: Scope) -> dict[str, Any]:
    """Those of the nested values of a configuration that reach at least as far."""
    return _select(kind, values, least, Scope.PRIVATE)


def dotted(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Nested values under dotted keys, as they are written on the command line."""
    for key, value in values.items():
        if isinstance(value, dict):
            yield from dotted(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def undeclared(kind: type, prefix: str = "") -> list[str]:
    """Keys without a scope of their own or of their section; they are private."""
    found = []
    declares = _declares(kind)
    for name, (_, section) in _parts(kind, Scope.PRIVATE).items():
        own = any(one.name == name and KEY in one.metadata for one in fields(kind))
        if not own:
            found.append(f"{prefix}{name}")
        elif section is not None and _declares(section):
            found += undeclared(section, f"{prefix}{name}.")
    return found if declares else []


def _select(kind: type, values: Mapping[str, Any], least: Scope, inherited: Scope) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, (scope, section) in _parts(kind, inherited).items():
        value = values[name]
        if section is not None and isinstance(value, Mapping):
            if below := _select(section, value, least, scope):
                found[name] = below
        elif scope >= least:
            found[name] = value
    return found


def _parts(kind: type, inherited: Scope) -> dict[str, tuple[Scope, type | None]]:
    """Scope of each field, and its class where it is a section."""
    types = get_type_hints(kind)
    otherwise = Scope.PRIVATE if _declares(kind) else inherited
    return {one.name: (one.metadata.get(KEY, otherwise), section_class(types[one.name])) for one in fields(kind)}


def _declares(kind: type) -> bool:
    return any(KEY in one.metadata for one in fields(kind))


def section_class(annotation: Any) -> type | None:
    """The dataclass of an annotation, or of one that may be None."""
    for one in (annotation, *get_args(annotation)):
        if isinstance(one, type) and is_dataclass(one):
            return one
    return None
