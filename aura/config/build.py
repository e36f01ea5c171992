"""Turn the values that Hydra composed into the section classes, which check themselves."""

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import Field, field, fields, make_dataclass
from functools import cache
from typing import Any, TypeVar, get_origin, get_type_hints

from omegaconf import MISSING, DictConfig, OmegaConf

from aura.config.scope import section_class
from aura.core.errors import InvalidInput
from aura.core.ranges import check_fields

Section = TypeVar("Section")


def build(kind: type[Section], composed: DictConfig) -> Section:
    """Check keys and types of a composed configuration, and make its sections.

    Parameters
    ----------
    kind
        Class of the configuration; its fields are values or sections, which are dataclasses themselves.
    composed
        What Hydra composed.

    Raises
    ------
    OmegaConfBaseException
        For a key that does not exist, a value of the wrong type, and a value that is missing.
    InvalidInput
        For a value that its section refuses, with the dotted key.
    """
    schema = _schema(kind)  # type: ignore[arg-type]  # mypy does not know that classes are hashable
    merged = OmegaConf.merge(OmegaConf.structured(schema), composed)
    return _make(kind, OmegaConf.to_object(merged), "")


@contextmanager
def prefixed(prefix: str) -> Iterator[None]:
    """Put the name of a section before a parameter that is refused: ``folds=1 ...`` becomes ``train.folds=1 ...``."""
    try:
        yield
    except InvalidInput as error:
        message = str(error)
        raise InvalidInput(message if message.startswith(prefix) else f"{prefix}{message}") from error


def _make(kind: type[Section], values: Any, prefix: str) -> Section:
    """Make a section from an instance of its schema."""
    parts = {
        name: _value(hint, getattr(values, name), f"{prefix}{name}") for name, hint in get_type_hints(kind).items()
    }
    with prefixed(prefix):
        section = kind(**parts)
        check_fields(section)
    return section


def _value(annotation: Any, value: Any, key: str) -> Any:
    section = section_class(annotation)
    if section is None:
        return value
    if isinstance(value, list):
        return [_make(section, item, f"{key}[{number}].") for number, item in enumerate(value)]
    return None if value is None else _make(section, value, f"{key}.")


@cache
def _schema(kind: type) -> type:
    """Return a copy of a section class without defaults and checks, which OmegaConf can merge values into.

    OmegaConf refuses to merge into a frozen dataclass, and a section that checks itself needs all its values at once.
    """
    hints = get_type_hints(kind)
    return make_dataclass(
        kind.__name__, [(part.name, _mutable(hints[part.name]), _default(part)) for part in fields(kind)]
    )


def _default(part: Field[Any]) -> Any:
    """Return the default of a field for its schema; a field without one has to be in the configuration."""
    if part.default_factory is not dataclasses.MISSING:
        return field(default_factory=part.default_factory)
    return field(default=MISSING if part.default is dataclasses.MISSING else part.default)


def _mutable(annotation: Any) -> Any:
    """Replace the section classes in an annotation by their schemas."""
    section = section_class(annotation)
    if section is None:
        return annotation
    if annotation is section:
        return _schema(section)
    return list[_schema(section)] if get_origin(annotation) is list else _schema(section) | None  # type: ignore[misc]
