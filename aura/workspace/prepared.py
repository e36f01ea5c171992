"""A prepared corpus on disk: RR intervals, seizures and signal quality of each recording, and what failed.

This module alone knows the names of its files, columns and metadata.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from os import PathLike
from pathlib import Path
from types import NoneType
from typing import Any

import numpy as np
import pandas as pd

from aura.core.arrays import Floats
from aura.core.errors import AuraError, RecordingError, check_type
from aura.core.events import Event
from aura.core.files import digest, remove_partials
from aura.core.parquet import frame_digest, read_meta, read_table, write_table
from aura.core.recordings import Ecg
from aura.core.series import RRSeries
from aura.formats.edf import read_ecg
from aura.workspace.files import FAILURES_TABLE, RECORDINGS_TABLE, SOURCE, RecordingFiles, read_recordings

# Columns of the table of recordings, and their types.
RECORDINGS = {
    "recording": "str",
    "subject": "str",
    "session": "str",
    "split": "str",
    "layout": "str",
    "edf": "str",
    "annotations": "str",
    "others": "str",
    "channel": "str",
    "signal": "int64",
    "unit": "str",
    "start": "str",
    "fs_hz": "float64",
    "duration_s": "float64",
    "usable_share": "float64",
    "n_beats": "int64",
    "normal_share": "float64",
    "alike_share": "float64",
    "n_gaps": "int64",
    "n_excluded": "int64",
    "annotated": "bool",
    "n_seizures": "Int64",
    "seizure_s": "float64",
    "n_clipped": "int64",
    "n_united": "int64",
    "n_extended": "int64",
    "n_outside": "int64",
    "n_uncertain": "int64",
    "n_unknown": "int64",
    "unknown": "str",
    "problem": "str",
    "remarks": "str",
    "rr_digest": "str",
    "digest": "str",
}
FAILURES = {"recording": "str", "path": "str", "others": "str", "stage": "str", "reason": "str", "message": "str"}
# Folder of the files of the recordings.
RR = "rr"
Row = dict[str, Any]


def recordings_table(rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Build the table of recordings, sorted by name; its columns have types even without rows."""
    return _table(rows, RECORDINGS, ["recording"])


def failures_table(rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Build the table of failures, sorted by path; its columns have types even without rows."""
    return _table(rows, FAILURES, ["path", "reason"])


def digest_rr(rr: RRSeries) -> str:
    """Compute the column ``rr_digest``, which decides the features."""
    return digest(frame_digest(_frame(rr)), rr.duration_s)


def digest_rr_and_seizures(rr_digest: str, seizures: Sequence[Event] | None) -> str:
    """Compute the column ``digest``; seizures are None if the recording is not annotated."""
    return digest(rr_digest, _times(seizures))


@dataclass(frozen=True, slots=True, eq=False)
class PreparedRecording:
    """One recording of a prepared corpus.

    Parameters
    ----------
    row
        Its row of the table of recordings, with the columns `RECORDINGS`.
    rr
        RR intervals.
    seizures
        Annotated seizures; empty if the recording is not annotated.
    rises_bpm
        (n_seizures,) rise of the heart rate in each seizure, in beats per minute; NaN where it cannot be measured.
    unusable
        Stretches without a usable ECG; `kind` is the fault.
    source
        Digest of the files that the recording was prepared from.
    root
        Folder of the corpus; None if the names in the table are pseudonyms.
    """

    row: Mapping[str, Any]
    rr: RRSeries
    seizures: tuple[Event, ...]
    rises_bpm: Floats
    unusable: tuple[Event, ...]
    source: str
    root: Path | None

    @property
    def name(self) -> str:
        """Name of the recording, unique in the corpus."""
        return str(self.row["recording"])

    @property
    def subject(self) -> str:
        """Name of the subject."""
        return str(self.row["subject"])

    @property
    def duration_s(self) -> float:
        """Length of the recording in seconds."""
        return self.rr.duration_s

    @property
    def is_annotated(self) -> bool:
        """Whether annotations tell where the seizures are."""
        return bool(self.row["annotated"])

    @property
    def start(self) -> datetime | None:
        """Start of the recording on the wall clock; None if the file does not tell."""
        start = self.row["start"]
        return datetime.fromisoformat(start) if isinstance(start, str) else None

    def ecg(self) -> Ecg:
        """Read the ECG from its EDF file.

        Raises
        ------
        RecordingError
            If the file cannot be read any more, or the root of the corpus is not known.
        """
        if self.root is None:
            raise RecordingError("unknown_root", "the folder of the corpus is not known, so its ECG cannot be read")
        return read_ecg(self.root / self.row["edf"], [self.row["channel"]], self.row["unit"], self.row["signal"])


def read_recording(folder: Path, row: Mapping[str, Any], *, root: Path | None = None) -> PreparedRecording:
    """Read a recording of a prepared corpus without opening its tables.

    Parameters
    ----------
    folder
        Folder that prepare filled.
    row
        The row of the recording.
    root
        Folder of the corpus, to read the ECG; None if it is not known.

    Raises
    ------
    AuraError
        If the file is not the one that the row describes.
    """
    frame, meta = RecordingFiles(folder / RR).read(row["recording"])
    if meta["recording"]["digest"] != row["digest"]:
        raise AuraError(
            f"the file of recording {row['recording']!r} in {folder.name} has changed since its table was written; "
            "run prepare again"
        )
    return PreparedRecording(
        row,
        RRSeries(frame["t_s"].to_numpy(), frame["rr_ms"].to_numpy(), row["duration_s"]),
        tuple(Event(onset_s, duration_s) for onset_s, duration_s in meta["seizures"] or ()),
        np.array(meta["rises_bpm"] or (), dtype=np.float64),
        tuple(Event(onset_s, duration_s, kind) for onset_s, duration_s, kind in meta["unusable"]),
        meta[SOURCE],
        root,
    )


@dataclass(frozen=True, eq=False)
class PreparedCorpus(Mapping[str, PreparedRecording]):
    """A corpus that `prepare` finished: its tables, and its recordings by name, which are read when asked for.

    Parameters
    ----------
    folder
        Folder that prepare filled.
    recordings
        A row per prepared recording, with the columns `RECORDINGS`.
    run_id
        MLflow run that wrote the tables.
    channels
        Digest of the channels that were set for single subjects.
    root
        Folder of the corpus, to read the ECG; None if it is not known.
    """

    folder: Path
    recordings: pd.DataFrame
    run_id: str
    channels: str
    root: Path | None = None

    def __post_init__(self) -> None:
        """Validate the types."""
        check_type("folder", self.folder, Path, "a pathlib.Path; PreparedCorpus.open takes a text as well")
        check_type("recordings", self.recordings, pd.DataFrame, "a DataFrame; PreparedCorpus.open reads it")
        check_type("run_id", self.run_id, str, "a text")
        check_type("channels", self.channels, str, "a text")
        _check_root(self.root)

    @classmethod
    def open(cls, folder: Path | str, *, root: Path | None = None) -> "PreparedCorpus":
        """Open the corpus in a folder.

        Raises
        ------
        InvalidInput
            If ``folder`` is not a path.
        AuraError
            If prepare has not finished there.
        """
        check_type("folder", folder, (str, PathLike), "the path of a folder that prepare filled")
        _check_root(root)
        recordings, meta = read_recordings(Path(folder), "prepare")
        return cls(Path(folder), recordings, meta["run_id"], meta["channels"], root)

    @classmethod
    def find(cls, folder: Path, *, channels: str, root: Path | None = None) -> "PreparedCorpus | None":
        """Open the corpus in a folder; None unless it is current.

        It is current if it was prepared with these channels of single subjects, and the file of each recording is
        whole and the one that the table describes.
        """
        check_type("folder", folder, Path, "a pathlib.Path")
        check_type("channels", channels, str, "a text")
        _check_root(root)
        if read_meta(folder / RECORDINGS_TABLE) is None:
            return None
        corpus = cls.open(folder, root=root)
        if corpus.channels != channels or not corpus:
            return None
        return corpus if all(corpus._is_whole(recording) for recording in corpus) else None

    @cached_property
    def rows(self) -> dict[str, Row]:
        """Rows of `recordings`, by name."""
        return dict(zip(self.recordings["recording"], self.recordings.to_dict("records"), strict=True))

    @property
    def failures(self) -> pd.DataFrame:
        """A row per file or recording that could not be prepared, with the columns `FAILURES`."""
        return read_table(self.folder / FAILURES_TABLE)[0]

    def __getitem__(self, recording: str) -> PreparedRecording:
        """Read a recording.

        Raises
        ------
        KeyError
            For a name that is not in the table.
        AuraError
            If the file is not the one that the table describes.
        """
        return read_recording(self.folder, self.rows[recording], root=self.root)

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names of the recordings, in the order of the table."""
        return iter(self.rows)

    def __len__(self) -> int:
        """Return the number of recordings."""
        return len(self.rows)

    def holds(self, recordings: pd.DataFrame, failures: pd.DataFrame) -> bool:
        """Return whether these are its tables, as `recordings_table` and `failures_table` build them."""
        return recordings.equals(self.recordings.astype(RECORDINGS)) and failures.equals(self.failures.astype(FAILURES))

    def _is_whole(self, recording: str) -> bool:
        meta = RecordingFiles(self.folder / RR).read_meta(recording)
        return meta is not None and bool(meta["recording"]["digest"] == self.rows[recording]["digest"])


@dataclass(frozen=True, slots=True)
class PreparedWriter:
    """Writes a prepared corpus: first a file per recording, from any process, then the tables.

    Parameters
    ----------
    folder
        Folder of the corpus with these settings.
    earlier
        Folders of the same corpus and settings under other roots. Recordings that are unchanged are taken over.
    """

    folder: Path
    earlier: tuple[Path, ...] = ()

    def find(self, recording: str, source: str) -> Row | None:
        """Return the row of a recording that was prepared from ``source`` already; None if it was not."""
        meta = self._files.find(recording, source)
        return None if meta is None else meta["recording"]

    def write(
        self,
        row: Row,
        rr: RRSeries,
        *,
        seizures: Sequence[Event] | None,
        rises_bpm: Floats | None,
        unusable: Sequence[Event],
        source: str,
    ) -> None:
        """Write the file of a recording.

        Parameters
        ----------
        row
            Its row of the table of recordings.
        rr
            RR intervals.
        seizures, rises_bpm
            Annotated seizures and the rise of the heart rate in each; None if the recording is not annotated.
        unusable
            Stretches without a usable ECG.
        source
            Digest of the files that the recording was prepared from.
        """
        meta = {
            "recording": row,
            "seizures": _times(seizures),
            "rises_bpm": None if rises_bpm is None else rises_bpm.tolist(),
            "unusable": [[fault.onset_s, fault.duration_s, fault.kind] for fault in unusable],
            SOURCE: source,
        }
        self._files.write(row["recording"], _frame(rr), meta)

    def remove(self, recording: str) -> None:
        """Remove what an earlier run made of a recording."""
        self._files.remove(recording)

    def remove_partials(self) -> None:
        """Remove what killed runs left half-written."""
        remove_partials(self.folder)

    def write_tables(self, recordings: pd.DataFrame, failures: pd.DataFrame, *, run_id: str, channels: str) -> None:
        """Write the tables, as `recordings_table` and `failures_table` build them, after all recordings."""
        write_table(self.folder / FAILURES_TABLE, failures, {})
        write_table(self.folder / RECORDINGS_TABLE, recordings, {"run_id": run_id, "channels": channels})

    @property
    def _files(self) -> RecordingFiles:
        return RecordingFiles(self.folder / RR, tuple(folder / RR for folder in self.earlier))


def _check_root(root: object) -> None:
    check_type("root", root, (Path, NoneType), "a pathlib.Path, or None")


def _frame(rr: RRSeries) -> pd.DataFrame:
    return pd.DataFrame({"t_s": rr.t_s, "rr_ms": rr.rr_ms})


def _times(seizures: Sequence[Event] | None) -> list[list[float]] | None:
    return None if seizures is None else [[seizure.onset_s, seizure.duration_s] for seizure in seizures]


def _table(rows: Iterable[Mapping[str, Any]], columns: Mapping[str, str], by: list[str]) -> pd.DataFrame:
    table = pd.DataFrame([*rows], columns=list(columns)).astype(columns)
    return table.sort_values(by, ignore_index=True)
