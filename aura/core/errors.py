"""What Aura raises for a person to read: one sentence that says what, where, and what is allowed."""


class AuraError(Exception):
    """Something the caller can put right; its message is one sentence."""


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
