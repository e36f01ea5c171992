"""Errors whose message is one sentence for the user: what is wrong, where, and what is allowed."""

import re
from numbers import Real
from typing import Any

# Characters of a value that a message quotes.
LONGEST = 63


class AuraError(Exception):
    """An error that the caller can correct; its message is one sentence."""


class InvalidInput(AuraError, ValueError):  # noqa: N818 - the public name, as short as ValueError
    """An argument is not allowed.

    The message starts with the name of the parameter: ``step_s=0 is out of range; allowed is 0.001 to 3600``. The
    configuration adds the name of the section.
    """


def quote(value: Any) -> str:
    """Return a value as a message quotes it: on one line, and cut if it is long.

    Examples
    --------
    >>> quote("uV"), quote(list(range(100)))
    ("'uV'", '[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, ...')
    """
    text = " ".join(repr(value).split())
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."


def check_range(name: str, value: Any, low: float, high: float) -> None:
    """Raise InvalidInput unless ``low <= value <= high``.

    Examples
    --------
    >>> check_range("min_coverage", 2, 0, 1)
    Traceback (most recent call last):
    aura.core.errors.InvalidInput: min_coverage=2 is out of range; allowed is 0 to 1
    """
    if isinstance(value, bool) or not isinstance(value, Real):
        raise InvalidInput(f"{name}={quote(value)} is not a number; allowed is {low:g} to {high:g}")
    if not low <= float(value) <= high:
        raise InvalidInput(f"{name}={float(value):g} is out of range; allowed is {low:g} to {high:g}")


def check_number(name: str, value: Any, allowed: str) -> None:
    """Raise InvalidInput unless a value is a number. Infinity is allowed, True and False are not.

    Examples
    --------
    >>> check_number("onset_s", "a", "seconds")
    Traceback (most recent call last):
    aura.core.errors.InvalidInput: onset_s='a' is not a number; allowed are seconds
    """
    # Nearly all numbers are floats, and the abstract class takes longer to ask.
    if type(value) is not float and (isinstance(value, bool) or not isinstance(value, Real)):
        raise InvalidInput(f"{name}={quote(value)} is not a number; allowed are {allowed}")


def check_type(name: str, value: Any, kinds: type | tuple[type, ...], allowed: str) -> None:
    """Raise InvalidInput unless a value is of one of some types.

    Examples
    --------
    >>> check_type("folder", 3, str, "the path of a folder")
    Traceback (most recent call last):
    aura.core.errors.InvalidInput: folder is of type int; allowed is the path of a folder
    """
    if not isinstance(value, kinds):
        raise InvalidInput(f"{name} is of type {type(value).__name__}; allowed is {allowed}")


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
