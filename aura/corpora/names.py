"""Names of recordings and files in outputs: ids and paths of the corpus, or keyed hashes of them."""

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
    """The names of recordings and files in all outputs.

    Parameters
    ----------
    root
        Folder of the corpus. No output contains the path above it.
    key
        Key of the hash that replaces ids and paths. None keeps them.
    """

    root: Path
    key: bytes | None = field(repr=False)

    def path(self, path: Path) -> str:
        """Return the name of a file or folder of the corpus."""
        below = escape_name(path.relative_to(self.root).as_posix())
        return below if self.key is None else self._pseudonym(f"path {below}")

    def ref(self, ref: RecordingRef) -> RecordingRef:
        """Return a recording with the names that outputs have."""
        if self.key is None:
            return ref
        # A subject has the same pseudonym in all its recordings.
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
    """Return the pseudonym of a name: 16 hexadecimal digits that reveal nothing without the key."""
    return hmac.new(key, name.encode(), hashlib.sha256).hexdigest()[:16]


def key_from_environment() -> bytes:
    """Return the key of the pseudonyms. It is no key of the configuration, because configurations are logged.

    Raises
    ------
    AuraError
        If the variable is not set, or so short that the key could be guessed.
    """
    key = os.environ.get(KEY_VARIABLE, "")
    if len(key) < MIN_KEY:
        raise AuraError(
            f"dataset.pseudonyms=true needs a secret of at least {MIN_KEY} characters in the environment variable "
            f"{KEY_VARIABLE}; keep it, as another one gives other pseudonyms"
        )
    return key.encode()
