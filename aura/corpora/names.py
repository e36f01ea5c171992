"""The names that outputs go by: the corpus's own ids and paths below its root, or keyed hashes of them."""

import hashlib
import hmac
import os
from dataclasses import dataclass, field, replace
from pathlib import Path

from aura.core.errors import AuraError
from aura.core.recordings import RecordingRef
from aura.corpora.discovery import escape_name

KEY_VARIABLE = "AURA_PSEUDONYM_KEY"
MIN_KEY = 16


@dataclass(frozen=True)
class Names:
    """What files and recordings are called in everything that is written.

    Parameters
    ----------
    root
        Of the corpus. What is above it is never told.
    key
        Of the hash that replaces all ids and paths; None leaves them.
    """

    root: Path
    key: bytes | None = field(repr=False)

    def path(self, path: Path) -> str:
        """Name of a file or folder of the corpus."""
        below = escape_name(path.relative_to(self.root).as_posix())
        return below if self.key is None else self._pseudonym(f"path {below}")

    def ref(self, ref: RecordingRef) -> RecordingRef:
        """Give a recording the names it is known by."""
        if self.key is None:
            return ref
        # Within a corpus the same subject is always the same; nothing tells what it was called.
        subject = self._pseudonym(f"subject {ref.subject}") if ref.subject else ""
        return replace(
            ref,
            subject=subject,
            session=self._pseudonym(f"session {ref.subject} {ref.session}"),
            recording=self._pseudonym(f"recording {ref.recording}"),
        )

    def _pseudonym(self, name: str) -> str:
        assert self.key is not None
        return pseudonym(self.key, name)


def pseudonym(key: bytes, name: str) -> str:
    """Give the name that stands for another one; without the key nobody can tell which."""
    return hmac.new(key, name.encode(), hashlib.sha256).hexdigest()[:16]


def key_from_environment() -> bytes:
    """Give the key of the pseudonyms, which has no place in a configuration that is logged.

    Raises
    ------
    AuraError
        Where there is none, or one that can be tried out.
    """
    key = os.environ.get(KEY_VARIABLE, "")
    if len(key) < MIN_KEY:
        raise AuraError(
            f"dataset.pseudonyms=true needs a secret of at least {MIN_KEY} characters in the environment variable "
            f"{KEY_VARIABLE}; keep it, as another one gives other pseudonyms"
        )
    return key.encode()
