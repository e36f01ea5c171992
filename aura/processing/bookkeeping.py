"""The outcome of every recording: prepared, or failed with a reason."""

import traceback
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from aura.core.errors import RecordingError
from aura.core.files import digest
from aura.core.recordings import RecordingRef
from aura.corpora.discovery import Corpus, Reject
from aura.corpora.names import Names
from aura.execution.executors import Compute
from aura.execution.run_all import run_all
from aura.processing.preparation import Preparation, Prepared
from aura.workspace.prepared import PreparedWriter

# Errors that a damaged file may raise in unforeseen places. Not OSError: a full disk must stop the run.
UNEXPECTED = (ValueError, TypeError, ArithmeticError, LookupError, AttributeError, RuntimeError, MemoryError)


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of a recording: a row of the table of recordings or of failures."""

    row: dict[str, Any]
    failed: bool
    new: bool


@dataclass(frozen=True)
class PrepareRecording:
    """Prepares one recording, unless it is unchanged; picklable, so that other processes can do it."""

    preparation: Preparation
    names: Names
    writer: PreparedWriter

    def find(self, ref: RecordingRef) -> Outcome | None:
        """Return the outcome of a recording that is unchanged since it was prepared; None if there is work to do."""
        try:
            row = self.writer.find(self.names.ref(ref).recording, self._digest_source(ref))
        except (RecordingError, *UNEXPECTED):
            # Its work will say what is wrong.
            return None
        return None if row is None else Outcome(row, failed=False, new=False)

    def __call__(self, ref: RecordingRef) -> Outcome:
        """Prepare a recording and write its file; one that cannot be used becomes a failure with its reason."""
        # Another process may have prepared it meanwhile.
        if (unchanged := self.find(ref)) is not None:
            return unchanged
        named = self.names.ref(ref)
        try:
            source = self._digest_source(ref)
            prepared = self.preparation.prepare(ref)
        except RecordingError as error:
            return self._fail(ref, error)
        except UNEXPECTED as error:
            # The message of the error is left out, since it may quote the file.
            message = f"{type(error).__name__} in {_locate(error)}, which is a fault of Aura's: please report it"
            return self._fail(ref, RecordingError("unexpected_error", message))
        row = self._build_row(named, prepared)
        self.writer.write(
            row,
            prepared.rr,
            seizures=prepared.seizures,
            rises_bpm=prepared.rises_bpm,
            unusable=prepared.unusable,
            source=source,
        )
        return Outcome(row, failed=False, new=True)

    def _build_row(self, named: RecordingRef, prepared: Prepared) -> dict[str, Any]:
        used = prepared.ref
        row = {
            "recording": named.recording,
            "subject": named.subject,
            "session": named.session,
            "edf": self.names.path(used.edf),
            "annotations": self.names.path(used.annotations) if used.annotations else None,
            "others": _join(used.others, self.names),
            **prepared.facts,
        }
        if self.names.key is not None:
            # Texts of annotations can name people.
            row["unknown"] = None
        return row

    def _fail(self, ref: RecordingRef, error: RecordingError) -> Outcome:
        # A result of an earlier run no longer holds.
        self.writer.remove(self.names.ref(ref).recording)
        return _build_failure(ref, self.names, error)

    def _digest_source(self, ref: RecordingRef) -> str:
        """Compute a digest that changes with the path, size and time of each file, and with the subject's channel."""
        files = [path for path in (ref.edf, ref.annotations, *ref.others, *ref.siblings) if path is not None]
        channel = self.preparation.subject_channels.get(ref.subject)
        return digest(
            [(self.names.path(path), *_read_stamp(path)) for path in files],
            self.names.ref(ref).subject,
            ref.split,
            asdict(channel) if channel else None,
        )


def find_unchanged(corpus: Corpus, work: PrepareRecording) -> dict[str, Outcome]:
    """Return the outcomes of the recordings that are unchanged since they were prepared, by their names."""
    found = ((ref.recording, work.find(ref)) for ref in corpus.refs)
    return {name: outcome for name, outcome in found if outcome is not None}


def prepare_all(
    corpus: Corpus, work: PrepareRecording, unchanged: Mapping[str, Outcome], compute: Compute
) -> list[Outcome]:
    """Prepare all recordings of a corpus that have changed.

    Returns
    -------
    list of Outcome
        Of each recording, and of each file that belongs to none.
    """
    on_death = partial(_build_death, names=work.names)
    changed = [ref for ref in corpus.refs if ref.recording not in unchanged]
    outcomes = run_all(changed, work, compute=compute, title="prepare", on_death=on_death) if changed else []
    return [*unchanged.values(), *outcomes, *(_build_reject(reject, work.names) for reject in corpus.rejects)]


def _build_failure(ref: RecordingRef, names: Names, error: RecordingError) -> Outcome:
    others = (*([ref.annotations] if ref.annotations else []), *ref.others)
    row = _build_failure_row(names.ref(ref).recording, ref.edf, others, names, error.reason, error.message)
    return Outcome({**row, "stage": "prepare"}, failed=True, new=False)


def _build_death(ref: RecordingRef, names: Names) -> Outcome:
    message = "killed the process that worked on it, twice, perhaps for want of memory"
    return _build_failure(ref, names, RecordingError("worker_died", message))


def _build_reject(reject: Reject, names: Names) -> Outcome:
    message = reject.message + (f" ({names.path(reject.like)})" if reject.like else "")
    row = _build_failure_row(None, reject.path, reject.others, names, reject.reason, message)
    return Outcome({**row, "stage": "index"}, failed=True, new=False)


def _build_failure_row(
    recording: str | None, path: Path, others: Sequence[Path], names: Names, reason: str, message: str
) -> dict[str, Any]:
    name = names.path(path)
    return {
        "recording": recording,
        "path": name,
        "others": _join(others, names),
        "reason": reason,
        "message": f"{name}: {message}",
    }


def _read_stamp(path: Path) -> tuple[int, int]:
    """Return size in bytes and time of change in ns; (0, 0) if the file is missing, which its reader reports."""
    try:
        status = path.stat()
    except OSError:
        return 0, 0
    return status.st_size, status.st_mtime_ns


def _join(paths: Sequence[Path], names: Names) -> str | None:
    """Join the names of files for one cell, a line each; None without any."""
    return "\n".join(names.path(path) for path in paths) or None


def _locate(error: BaseException) -> str:
    """Return the module and line where an error was raised."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{Path(frame.filename).name}, line {frame.lineno}"
