"""Array types, named after their elements, and the arrays that callers pass."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from aura.core.errors import InvalidInput

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]
Ints = NDArray[np.int64]
Int16s = NDArray[np.int16]
Bools = NDArray[np.bool_]


def copy_numbers(name: str, values: Any) -> Floats:
    """Copy what a caller passed as numbers into an array; raise InvalidInput if it holds anything else.

    Examples
    --------
    >>> copy_numbers("rr_ms", ["a"])
    Traceback (most recent call last):
    aura.core.errors.InvalidInput: rr_ms must hold numbers; it holds texts
    """
    try:
        array = np.asarray(values)
        numbers = np.array(array, dtype=np.float64) if array.dtype.kind in "iufbO" else None
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"{name} must hold numbers ({error})") from error
    if numbers is None:
        kind = "texts" if array.dtype.kind in "US" else f"values of type {array.dtype}"
        raise InvalidInput(f"{name} must hold numbers; it holds {kind}")
    return numbers
