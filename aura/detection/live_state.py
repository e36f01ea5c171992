"""The state file of a live recording: a snapshot, and the lines that were taken since."""

import hashlib
import json
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from aura.core.errors import AuraError
from aura.core.files import write_whole

# Raise when the file, or what the detector remembers, changes.
FORMAT = 5
# Lines after which the snapshot is written anew; to take them again takes some seconds.
N_SINCE = 1000
# A snapshot and so many lines have a few megabytes.
LARGEST_BYTES = 64_000_000


class StateFile:
    """What a killed run leaves to the next one.

    Parameters
    ----------
    path
        The file; None keeps nothing.
    made_of
        Digest of the detector and of what it computes with.
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
            For anything but an undamaged file of the same detector and installation; the file stays as it is.
        """
        if self.path is None or not self.path.exists():
            return None
        damaged = AuraError(f"state={self.path} is damaged or no state of live; {self._advice}")
        # The last line may have been cut off by a crash; then it was not answered either.
        header, *lines = self._read().split(b"\n")[:-1] or [b""]
        try:
            about = json.loads(header)
            format_, made_of = about["format"], about["made_of"]
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise damaged from error
        if isinstance(format_, int) and format_ > FORMAT:
            raise AuraError(f"state={self.path} was written by a later release of Aura; {self._advice}")
        if (format_, made_of) != (FORMAT, self._made_of):
            raise AuraError(f"state={self.path} is of another model or installation; {self._advice}")
        if not lines or hashlib.sha256(lines[0]).hexdigest() != about.get("sha256"):
            raise damaged
        snapshot: dict[str, Any] = json.loads(lines[0])
        taken = []
        for line in lines[1:]:
            checksum, _, text = line.partition(b" ")
            if checksum != _checksum(text):
                raise damaged
            taken.append(text.decode())
        return snapshot, taken

    def save(self, snapshot: Callable[[], dict[str, Any]], taken: str | None = None) -> None:
        """Append a line that was taken; without one, or after many, write a new snapshot, whole or not at all."""
        if self.path is None:
            return
        if self._file is not None and taken is not None and self._n_since < N_SINCE:
            # JSON does not care how its words are parted.
            text = " ".join(taken.split()).encode()
            self._file.write(_checksum(text) + b" " + text + b"\n")
            self._n_since += 1
            return
        self.close()
        content = json.dumps(snapshot()).encode()
        about = {"format": FORMAT, "made_of": self._made_of, "sha256": hashlib.sha256(content).hexdigest()}
        whole = json.dumps(about).encode() + b"\n" + content + b"\n"
        write_whole(self.path, lambda part: part.write_bytes(whole))
        self._file, self._n_since = self.path.open("ab", buffering=0), 0

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()

    @property
    def _advice(self) -> str:
        return "remove it to begin anew, or name another file"

    def _read(self) -> bytes:
        """Content of the file, if it can be one."""
        assert self.path is not None
        try:
            if not self.path.is_file():
                raise AuraError(f"state={self.path} is no file; name a file, or one that is not there yet")
            size = self.path.stat().st_size
            if size > LARGEST_BYTES:
                raise AuraError(
                    f"state={self.path} has {size / 1e6:.0f} MB and is no state of live, which has at most "
                    f"{LARGEST_BYTES / 1e6:.0f}; {self._advice}"
                )
            return self.path.read_bytes()
        except OSError as error:
            raise AuraError(f"state={self.path} cannot be read: {error.strerror}") from error


def _checksum(text: bytes) -> bytes:
    return f"{zlib.crc32(text):08x}".encode()
