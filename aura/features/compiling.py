"""Compile the loops over windows with numba, at their first call.

Importing numba takes 0.13 s and 54 MB, which processes that compute no feature should not pay.
"""

from collections.abc import Callable
from functools import cached_property, update_wrapper
from typing import Any, TypeVar

Function = TypeVar("Function", bound=Callable[..., Any])

# A fastmath option of numba: sums may be reassociated, so several terms are added at a time. Numba does so only in
# loops over indices, not in loops over values.
ANY_ORDER = {"reassoc", "contract"}


class Kernel:
    """A function that numba compiles when it is first called.

    Parameters
    ----------
    function
        Plain Python that numba can compile. It may call other kernels by name.
    options
        Options of `numba.njit`, in addition to ``cache`` and ``nogil``.
    """

    def __init__(self, function: Callable[..., Any], options: dict[str, Any]) -> None:
        update_wrapper(self, function)
        self._function = function
        self._options = options

    def __call__(self, *args: Any) -> Any:
        """Call the compiled function."""
        return self.compiled(*args)

    @cached_property
    def compiled(self) -> Callable[..., Any]:
        """The dispatcher of numba."""
        from numba import njit

        # Numba looks up the functions that a kernel calls among its globals, and knows only its own dispatchers.
        namespace = self._function.__globals__
        for name in self._function.__code__.co_names:
            if isinstance(namespace.get(name), Kernel):
                namespace[name] = namespace[name].compiled
        dispatcher: Callable[..., Any] = njit(cache=True, nogil=True, **self._options)(self._function)
        return dispatcher


def kernel(**options: Any) -> Callable[[Function], Function]:
    """Mark a function as a `Kernel`; ``options`` are those of `numba.njit`."""

    def decorate(function: Function) -> Function:
        return Kernel(function, options)  # type: ignore[return-value]

    return decorate
