"""Open a dump only if its files and their unpacked sizes are those of a dump."""

import io
import json
import zipfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

MANIFEST = "manifest.json"
# A manifest has a few kilobytes, and the list of ten files less than one.
MOST_MANIFEST_BYTES = 1_000_000
MOST_LIST_BYTES = 1_000_000
# The most regular tables measured are packed 14-fold; DEFLATE can pack about 1000-fold.
MOST_RATIO = 300
# Smaller tables, such as empty ones, may have any ratio.
SMALL_BYTES = 1_000_000
CHUNK = 1 << 20
# Both unpack a chunk to a bounded number of bytes; bzip2 and LZMA do not.
PACKED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


@contextmanager
def open_archive(path: Path, tables: Collection[str]) -> Iterator[zipfile.ZipFile]:
    """Open a dump if its files are the manifest and these tables, each once and of a plausible size.

    Read by `read_chunks`, a file never unpacks to more than its declared size: `zipfile` stops there, with an error
    of the checksum.

    Raises
    ------
    ValueError
        If a name, size or kind of packing is not allowed; nothing has been unpacked.
    zipfile.BadZipFile
        If the file is not a zip file.
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
                raise ValueError(f"{member.filename} is not packed in the way dump does")
            most = MOST_MANIFEST_BYTES
            if member.filename != MANIFEST:
                most = max(SMALL_BYTES, MOST_RATIO * member.compress_size)
            if member.file_size > most:
                raise ValueError(f"{member.filename} would unpack to {member.file_size} bytes; allowed are {most}")
        yield archive


def read_manifest(archive: zipfile.ZipFile) -> dict[str, Any]:
    """Read the manifest of an archive from `open_archive`."""
    with archive.open(MANIFEST) as file:
        manifest: dict[str, Any] = json.loads(b"".join(read_chunks(file)))
    for key in ("format", "schema_version"):
        if type(manifest[key]) is not int:
            raise ValueError(f"{key} is not a number")
    return manifest


def read_chunks(file: IO[bytes]) -> Iterator[bytes]:
    """Yield the content of a file in parts; reading it at once would ignore the declared size."""
    while part := file.read(CHUNK):
        yield part


class _BoundedFile(io.FileIO):
    """A file that refuses to read more at once than the list of a dump's files needs."""

    def read(self, size: int | None = -1, /) -> bytes:
        """Read ``size`` bytes, or the rest."""
        wanted = self._rest() if size is None or size < 0 else min(size, self._rest())
        if wanted > max(MOST_LIST_BYTES, CHUNK):
            raise zipfile.BadZipFile("its list of files is too long")
        return super().read(wanted)

    def _rest(self) -> int:
        here = self.tell()
        end = self.seek(0, io.SEEK_END)
        self.seek(here)
        return end - here
