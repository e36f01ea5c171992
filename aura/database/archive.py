"""Open a dump only if what it unpacks to is what a dump can hold."""

import io
import json
import zipfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

MANIFEST = "manifest.json"
# A manifest has some kilobytes, and the list of ten files less than one.
MOST_MANIFEST_BYTES = 1_000_000
MOST_LIST_BYTES = 1_000_000
# The most regular tables that could be measured are packed to a fourteenth, and DEFLATE packs one byte to a thousandth.
MOST_RATIO = 300
# Small tables, such as empty ones, may have any ratio.
SMALL_BYTES = 1_000_000
CHUNK = 1 << 20
# Both unpack a chunk into a bounded number of bytes; bzip2 and LZMA do not.
PACKED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


@contextmanager
def opened(path: Path, tables: Collection[str]) -> Iterator[zipfile.ZipFile]:
    """Open a dump whose files are the manifest and these tables, each once and of a plausible size.

    The size that is declared is also the most that is unpacked, if it is read by `chunks`: `zipfile` stops there, and
    reports a wrong checksum.

    Raises
    ------
    ValueError
        With what is wrong; nothing has been unpacked.
    zipfile.BadZipFile
        For what is no zip file.
    """
    with _BoundedFile(path) as file, zipfile.ZipFile(file) as archive:
        members = archive.infolist()
        names = sorted(member.filename for member in members)
        if names != sorted((MANIFEST, *tables)):
            raise ValueError("its files are not those of a dump")
        if sum(member.compress_size for member in members) > path.stat().st_size:
            raise ValueError("its files overlap")
        for member in members:
            if member.compress_type not in PACKED:
                raise ValueError(f"{member.filename} is packed in another way than dump does")
            most = MOST_MANIFEST_BYTES
            if member.filename != MANIFEST:
                most = max(SMALL_BYTES, MOST_RATIO * member.compress_size)
            if member.file_size > most:
                raise ValueError(f"{member.filename} would unpack to {member.file_size} bytes; allowed are {most}")
        yield archive


def read_manifest(archive: zipfile.ZipFile) -> dict[str, Any]:
    """Read the manifest of an archive that was opened here."""
    with archive.open(MANIFEST) as file:
        manifest: dict[str, Any] = json.loads(b"".join(chunks(file)))
    for key in ("format", "schema_version"):
        if type(manifest[key]) is not int:
            raise ValueError(f"{key} is no number")
    return manifest


def chunks(file: IO[bytes]) -> Iterator[bytes]:
    """Content of a file of an archive, a part at a time; all at once would be unpacked whatever size is declared."""
    while part := file.read(CHUNK):
        yield part


class _BoundedFile(io.FileIO):
    """A file of which no more is read at once than a list of some files has."""

    def read(self, size: int | None = -1, /) -> bytes:
        """Read so many bytes, or the rest."""
        wanted = self._rest() if size is None or size < 0 else min(size, self._rest())
        if wanted > max(MOST_LIST_BYTES, CHUNK):
            raise zipfile.BadZipFile("its list of files is too long")
        return super().read(wanted)

    def _rest(self) -> int:
        here = self.tell()
        end = self.seek(0, io.SEEK_END)
        self.seek(here)
        return end - here
