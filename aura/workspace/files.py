"""One Parquet file per recording, and the files of the same corpus under the roots it had before."""

import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from aura.core.errors import AuraError
from aura.core.files import write_whole
from aura.core.parquet import read_meta, read_table, write_table

# Tables of a folder that a stage filled. The first is written last: it says that the stage ended.
RECORDINGS_TABLE, FAILURES_TABLE = "recordings.parquet", "failures.parquet"
# Key of a recording's file: digest of what the file was made from.
SOURCE = "source"


@dataclass(frozen=True, slots=True)
class RecordingFiles:
    """One Parquet file per recording.

    Parameters
    ----------
    folder
        Folder of the files.
    earlier
        Folders with files of the same corpus and the same settings, made when the corpus had another root.
    """

    folder: Path
    earlier: tuple[Path, ...] = ()

    def path(self, recording: str) -> Path:
        """Return the path of a recording's file."""
        return self.folder / f"{recording}.parquet"

    def read(self, recording: str) -> tuple[pd.DataFrame, dict[str, Any]]:
        """Read the table of a recording and its metadata."""
        return read_table(self.path(recording))

    def read_meta(self, recording: str) -> dict[str, Any] | None:
        """Read the metadata of a recording; None if its file is missing or damaged."""
        return read_meta(self.path(recording))

    def find(self, recording: str, source: str) -> dict[str, Any] | None:
        """Return the metadata of the file that was made from ``source``; None if there is no such file.

        A file of an earlier root is taken over, by a hard link where the file system has them. Files are replaced,
        never changed, so a link is as good as a copy.
        """
        for folder in (self.folder, *self.earlier):
            path = folder / f"{recording}.parquet"
            meta = read_meta(path)
            if meta is None or meta.get(SOURCE) != source:
                continue
            if folder == self.folder:
                return meta
            # The earlier folder may be removed at any time.
            with suppress(FileNotFoundError):
                write_whole(self.path(recording), lambda target, path=path: _link(path, target))  # type: ignore[misc]
                return meta
        return None

    def write(self, recording: str, frame: pd.DataFrame, meta: Mapping[str, Any], source: str) -> None:
        """Write the table of a recording, whole or not at all."""
        write_table(self.path(recording), frame, {**meta, SOURCE: source})

    def remove(self, recording: str) -> None:
        """Remove the file of a recording, if there is one."""
        self.path(recording).unlink(missing_ok=True)


def read_recordings(folder: Path, stage: str) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Read the table of recordings of a folder, and its metadata.

    Raises
    ------
    AuraError
        If the stage has not finished in this folder.
    """
    try:
        return read_table(folder / RECORDINGS_TABLE)
    except FileNotFoundError as error:
        message = f"the folder {folder.name} has no {RECORDINGS_TABLE}; run {stage} with these settings first"
        raise AuraError(message) from error


def _link(source: Path, target: Path) -> None:
    try:
        target.hardlink_to(source)
    except FileNotFoundError:
        raise
    except OSError:
        # Not every file system has hard links.
        shutil.copyfile(source, target)
