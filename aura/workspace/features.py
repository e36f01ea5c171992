"""Features on disk: a row per window of each recording, and a table of the recordings.

This module alone knows the names of its files, columns and metadata.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq

from aura.core.errors import AuraError
from aura.core.files import remove_partials
from aura.core.parquet import read_meta, write_table
from aura.workspace.files import FAILURES_TABLE, RECORDINGS_TABLE, SOURCE, RecordingFiles, read_recordings
from aura.workspace.prepared import PreparedCorpus

# Columns that featurize adds to the table of recordings; digest replaces that of the RR intervals and seizures.
SUMMARY = ("recording", "n_windows", "missing_share", "coverage", "corrected", "digest")
ANNOTATED = ("seizures", "rises_bpm")
# Folder of the files of the recordings, and the key of their summary.
WINDOWS = "windows"


@dataclass(frozen=True, eq=False)
class FeatureStore:
    """Features that `featurize` finished.

    Parameters
    ----------
    folder
        Folder that featurize filled.
    recordings
        A row per recording: the columns of the prepared corpus, `SUMMARY`, and ``seizures`` (onset and duration in
        seconds) with ``rises_bpm``, or None if it is not annotated.
    run_id
        MLflow run that wrote the table.
    prepare_run_id
        MLflow run that wrote the table of the prepared corpus.
    """

    folder: Path
    recordings: pd.DataFrame
    run_id: str
    prepare_run_id: str

    @classmethod
    def open(cls, folder: Path | str) -> "FeatureStore":
        """Open the features in a folder.

        Raises
        ------
        AuraError
            If featurize has not finished there.
        """
        recordings, meta = read_recordings(Path(folder), "featurize")
        return cls(Path(folder), recordings, meta["run_id"], meta["upstream"]["run_id"])

    @classmethod
    def find(cls, folder: Path, corpus: PreparedCorpus) -> "FeatureStore | None":
        """Open the features in a folder; None unless they are current.

        They are current if they were made from what prepare left last, and the file of each recording is whole and made
        from its RR intervals.
        """
        meta = read_meta(folder / RECORDINGS_TABLE)
        if meta is None or meta["upstream"] != _upstream(corpus):
            return None
        store = cls.open(folder)
        return store if store._sources and all(map(store._is_whole, store._sources)) else None

    def windows(self, recording: str) -> pd.DataFrame:
        """Read the windows of a recording: ``t_s``, ``coverage``, ``corrected`` and the features.

        Raises
        ------
        AuraError
            If they were made from other RR intervals than the table says.
        """
        frame, meta = self._files.read(recording)
        if meta.get(SOURCE) != self._sources[recording]:
            raise AuraError(
                f"the file of recording {recording!r} in {self.folder.name} has changed since its table was written; "
                "run featurize again"
            )
        return frame

    def columns(self, recording: str) -> list[str]:
        """Read the names of the columns of `windows`, without their values."""
        return list(pq.read_schema(self._files.path(recording)).names)

    def _is_whole(self, recording: str) -> bool:
        meta = self._files.read_meta(recording)
        return meta is not None and meta.get(SOURCE) == self._sources[recording]

    @cached_property
    def _sources(self) -> dict[str, str]:
        """Digest of the RR intervals of each recording."""
        return dict(zip(self.recordings["recording"], self.recordings["rr_digest"], strict=True))

    @property
    def _files(self) -> RecordingFiles:
        return RecordingFiles(self.folder / WINDOWS)


@dataclass(frozen=True, slots=True)
class FeatureWriter:
    """Writes features: first a file per recording, from any process, then the table.

    Parameters
    ----------
    folder
        Folder of the features with these settings.
    earlier
        Folders of the same features of the corpus under other roots. Files made from the same RR intervals are taken
        over.
    """

    folder: Path
    earlier: tuple[Path, ...] = ()

    def find(self, recording: str, rr_digest: str) -> dict[str, Any] | None:
        """Return the summary of windows that were made from these RR intervals already; None if there are none."""
        meta = self._files.find(recording, rr_digest)
        return None if meta is None else meta[WINDOWS]

    def write(self, summary: dict[str, Any], windows: pd.DataFrame, rr_digest: str) -> None:
        """Write the windows of a recording; the summary has the columns `SUMMARY`."""
        self._files.write(summary["recording"], windows, {WINDOWS: summary}, rr_digest)

    def remove_partials(self) -> None:
        """Remove what killed runs left half-written."""
        remove_partials(self.folder)

    def write_failures(self, failures: pd.DataFrame) -> None:
        """Write the table of failures."""
        write_table(self.folder / FAILURES_TABLE, failures, {})

    def write_table(self, table: pd.DataFrame, corpus: PreparedCorpus, *, run_id: str) -> None:
        """Write the table of recordings, as `recordings_table` builds it, after all recordings."""
        meta = {"run_id": run_id, "upstream": _upstream(corpus)}
        write_table(self.folder / RECORDINGS_TABLE, table, meta)

    @property
    def _files(self) -> RecordingFiles:
        return RecordingFiles(self.folder / WINDOWS, tuple(folder / WINDOWS for folder in self.earlier))


def summary_table(rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Build a table with the summary and the seizures of recordings; it has its columns even without rows."""
    return pd.DataFrame([*rows], columns=[*SUMMARY, *ANNOTATED])


def recordings_table(corpus: PreparedCorpus, summaries: pd.DataFrame) -> pd.DataFrame:
    """Join the table of a prepared corpus with the summaries of its windows, for the recordings that have one."""
    prepared = corpus.recordings.drop(columns=["digest"])
    return prepared.merge(summaries, on="recording", validate="one_to_one")


def _upstream(corpus: PreparedCorpus) -> dict[str, str]:
    return {"run_id": corpus.run_id, "channels": corpus.channels}
