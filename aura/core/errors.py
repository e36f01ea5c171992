"""Errors whose message is one sentence for the user: what is wrong, where, and what is allowed."""

import re
from numbers import Real
from typing import Any


class AuraError(Exception):
    """An error that the caller can correct; its message is one sentence."""


class InvalidInput(AuraError, ValueError):  # noqa: N818 - the public name, as short as ValueError
    """An argument is not allowed.

    The message starts with the name of the parameter: ``step_s=0 is out of range; allowed is 0.001 to 3600``. The
    configuration adds the name of the section.
    """


def check_range(name: str, value: Any, low: float, high: float) -> None:
    """Raise InvalidInput unless ``low <= value <= high``.

    Examples
    --------
    >>> check_range("min_coverage", 2, 0, 1)
    Traceback (most recent call last):
    aura.core.errors.InvalidInput: min_coverage=2 is out of range; allowed is 0 to 1
    """
    if isinstance(value, bool) or not isinstance(value, Real):
        raise InvalidInput(f"{name}={value!r} is not a number; allowed is {low:g} to {high:g}")
    if not low <= float(value) <= high:
        raise InvalidInput(f"{name}={float(value):g} is out of range; allowed is {low:g} to {high:g}")


class RecordingError(AuraError):
    """A recording cannot be used; the run continues with the others.

    The message does not contain the file name, which can identify a person. The caller adds the name used in outputs.

    Parameters
    ----------
    reason
        A short code, by which failures are counted, such as ``no_ecg_channel``.
    message
        One sentence for the user.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message

    def __reduce__(self) -> tuple[type["RecordingError"], tuple[str, str]]:
        """Keep the reason and the message when a worker process returns the error."""
        return (type(self), (self.reason, self.message))


class OutageError(AuraError):
    """A tracking server or a cluster is unavailable; the work that it interrupted is not at fault."""


def without_credentials(text: str) -> str:
    """Remove user names and passwords from all addresses in a text.

    Examples
    --------
    >>> without_credentials("cannot reach postgresql://me:secret@host/aura")
    'cannot reach postgresql://host/aura'
    """
    return re.sub(r"(://)[^/\s]*@", r"\1", text)
