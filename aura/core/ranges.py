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
    """Raise InvalidInput for a field of a dataclass that is outside of its `Range`; None is inside of every range.

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
    for name, allowed in ranges_of(type(instance)).items():
        value = getattr(instance, name)
        if value is not None:
            check_range(name, value, allowed.low, allowed.high)


def ranges_of(kind: type) -> dict[str, Range]:
    """Return the range of each field of a dataclass that declares one."""
    hints = get_type_hints(kind, include_extras=True)
    return {
        field.name: mark
        for field in fields(kind)
        for mark in getattr(hints[field.name], "__metadata__", ())
        if isinstance(mark, Range)
    }
