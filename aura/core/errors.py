"""What Aura raises for a person to read: one sentence that says what, where, and what is allowed."""

import re


class AuraError(Exception):
    """Something the caller can put right; its message is one sentence."""


class InvalidInput(AuraError, ValueError):  # noqa: N818 - the public name, as short as ValueError
    """An argument is not allowed.

    The message starts with the name of the parameter, as the caller wrote it: ``step_s=0 is out of range; allowed is
    0.001 to 3600``. The configuration puts the name of the section before it.
    """


def check_range(name: str, value: float, low: float, high: float) -> None:
    """Raise InvalidInput unless ``low <= value <= high``.

    Examples
    --------
    >>> check_range("min_coverage", 2, 0, 1)
    Traceback (most recent call last):
    aura.core.errors.InvalidInput: min_coverage=2 is out of range; allowed is 0 to 1
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidInput(f"{name}={value!r} is not a number; allowed is {low:g} to {high:g}")
    if not low <= value <= high:
        raise InvalidInput(f"{name}={value:g} is out of range; allowed is {low:g} to {high:g}")


class RecordingError(AuraError):
    """One recording cannot be used; the others go on.

    The message does not name the file, which can tell who it is of; whoever catches it does, by the name it goes by.

    Parameters
    ----------
    reason
        A short code to count by, such as ``no_ecg_channel``.
    message
        The sentence for a person.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message

    def __reduce__(self) -> tuple[type["RecordingError"], tuple[str, str]]:
        """Keep both parts when a worker process hands the error back."""
        return (type(self), (self.reason, self.message))


class OutageError(AuraError):
    """A server could not be used: of tracking, of a cluster. Whatever was tried meanwhile is not to blame."""


def without_credentials(text: str) -> str:
    """Remove user and password from all addresses in a text.

    Examples
    --------
    >>> without_credentials("cannot reach postgresql://me:secret@host/aura")
    'cannot reach postgresql://host/aura'
    """
    return re.sub(r"(://)[^/\s]*@", r"\1", text)
