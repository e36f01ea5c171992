"""The state file of a live recording: a snapshot, and a journal of the lines accepted since."""

import hashlib
import json
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from aura.core.errors import AuraError
from aura.core.files import write_whole

# Increase when the format of the file or the state of the detector changes.
FORMAT = 5
# Lines after which a new snapshot is written. Replaying as many takes some seconds.
N_SINCE = 1000
# A snapshot and a full journal take a few megabytes.
LARGEST_BYTES = 64_000_000


class StateFile:
    """The file from which a run continues after an earlier one was killed.

    Parameters
    ----------
    path
        The file; None saves nothing.
    made_of
        Digest of the detector and of the software it runs on.
    """

    def __init__(self, path: Path | None, made_of: str) -> None:
        self.path, self._made_of = path, made_of
        self._file: BinaryIO | None = None
        self._n_since = 0

    def load(self) -> tuple[dict[str, Any], list[str]] | None:
        """Read the snapshot and the lines since; None if there is no file.

        Raises
        ------
        AuraError
            If the file is damaged, or of another detector or installation. The file stays as it is.
        """
        if self.path is None or not self.path.exists():
            return None
        damaged = AuraError(f"state={self.path} is damaged or not a state file of live; {self._advice}")
        # A crash may have cut off the last line; then it was not answered either.
        header, *lines = self._read_bytes().split(b"\n")[:-1] or [b""]
        try:
            facts = json.loads(header)
            format_, made_of = facts["format"], facts["made_of"]
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise damaged from error
        if isinstance(format_, int) and format_ > FORMAT:
            raise AuraError(f"state={self.path} was written by a later release of Aura; {self._advice}")
        if (format_, made_of) != (FORMAT, self._made_of):
            raise AuraError(f"state={self.path} is of another model or installation; {self._advice}")
        if not lines or hashlib.sha256(lines[0]).hexdigest() != facts.get("sha256"):
            raise damaged
        snapshot: dict[str, Any] = json.loads(lines[0])
        journal = []
        for line in lines[1:]:
            checksum, _, text = line.partition(b" ")
            if checksum != _checksum(text):
                raise damaged
            journal.append(text.decode())
        return snapshot, journal

    def save(self, snapshot: Callable[[], dict[str, Any]], line: str | None = None) -> None:
        """Append an accepted line to the journal; with none, or after 1000, rewrite the snapshot atomically."""
        if self.path is None:
            return
        if self._file is not None and line is not None and self._n_since < N_SINCE:
            # White space between JSON tokens has no meaning; the journal needs one line each.
            text = " ".join(line.split()).encode()
            self._file.write(_checksum(text) + b" " + text + b"\n")
            self._n_since += 1
            return
        self.close()
        content = json.dumps(snapshot()).encode()
        header = {"format": FORMAT, "made_of": self._made_of, "sha256": hashlib.sha256(content).hexdigest()}
        data = json.dumps(header).encode() + b"\n" + content + b"\n"
        write_whole(self.path, lambda part: part.write_bytes(data))
        self._file, self._n_since = self.path.open("ab", buffering=0), 0

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()

    @property
    def _advice(self) -> str:
        return "remove it to start a new recording, or name another file"

    def _read_bytes(self) -> bytes:
        """Read the file; raise AuraError if it cannot be a state file."""
        assert self.path is not None
        try:
            if not self.path.is_file():
                raise AuraError(f"state={self.path} is not a file; name a file, which need not exist yet")
            size = self.path.stat().st_size
            if size > LARGEST_BYTES:
                raise AuraError(
                    f"state={self.path} has {size / 1e6:.0f} MB and is not a state file of live, which has at most "
                    f"{LARGEST_BYTES / 1e6:.0f} MB; {self._advice}"
                )
            return self.path.read_bytes()
        except OSError as error:
            raise AuraError(f"state={self.path} cannot be read: {error.strerror}") from error


def _checksum(text: bytes) -> bytes:
    return f"{zlib.crc32(text):08x}".encode()
