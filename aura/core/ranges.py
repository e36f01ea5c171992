"""Ranges of numbers, declared beside the field that holds the number."""

from dataclasses import dataclass, fields
from typing import Any, get_type_hints

from aura.core.errors import check_range


@dataclass(frozen=True, slots=True)
class Range:
    """Smallest and largest allowed value of a field: ``folds: Annotated[int, Range(2, 100)]``."""

    low: float
    high: float


def check_fields(instance: Any) -> None:
    """Raise InvalidInput if a field of a dataclass is outside its `Range`; None is always allowed.

    Examples
    --------
    >>> from typing import Annotated
    >>> @dataclass
    ... class Training:
    ...     folds: Annotated[int, Range(2, 100)]
    >>> check_fields(Training(folds=1))
    Traceback (most recent call last):
    aura.core.errors.InvalidInput: folds=1 is out of range; allowed is 2 to 100
    """
    for name, allowed in get_ranges(type(instance)).items():
        value = getattr(instance, name)
        if value is not None:
            check_range(name, value, allowed.low, allowed.high)


def get_ranges(kind: type) -> dict[str, Range]:
    """Return the declared ranges of a dataclass by field."""
    hints = get_type_hints(kind, include_extras=True)
    return {
        field.name: mark
        for field in fields(kind)
        for mark in getattr(hints[field.name], "__metadata__", ())
        if isinstance(mark, Range)
    }
