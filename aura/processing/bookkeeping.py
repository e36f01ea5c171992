"""What became of every recording: prepared, or failed with a reason."""

import traceback
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from aura.core.errors import RecordingError
from aura.core.files import digest
from aura.core.parquet import read_meta, write_table
from aura.core.recordings import RecordingRef
from aura.corpora.discovery import Corpus, Reject
from aura.corpora.names import Names
from aura.execution.executors import Compute
from aura.execution.run_all import run_all
from aura.processing.preparation import Preparation

# What damage may raise that nobody has thought of; a disk that is full is none of it.
UNEXPECTED = (ValueError, TypeError, ArithmeticError, LookupError, AttributeError, RuntimeError, MemoryError)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a recording: a row of the one table or of the other."""

    row: dict[str, Any]
    failed: bool
    new: bool


@dataclass(frozen=True)
class PrepareRecording:
    """Prepare one recording, unless it is; picklable, so that other processes can do it."""

    preparation: Preparation
    names: Names
    folder: Path

    def __call__(self, ref: RecordingRef) -> Outcome:
        """Read, detect, write; a recording that cannot be used becomes a failure with its reason."""
        named = self.names.ref(ref)
        target = self.folder / "rr" / f"{named.recording}.parquet"
        try:
            source = self._source(ref)
            meta = read_meta(target)
            if meta is not None and meta.get("source") == source:
                return Outcome(meta["recording"], failed=False, new=False)
            used, frame, meta = self.preparation.prepare(ref)
        except RecordingError as error:
            return self._fail(ref, target, error)
        except UNEXPECTED as error:
            # No file stops the others; what the error says may quote the file.
            message = f"{type(error).__name__} in {_place(error)}, which is a fault of Aura's: please report it"
            return self._fail(ref, target, RecordingError("unexpected_error", message))
        row = {
            "recording": named.recording,
            "subject": named.subject,
            "session": named.session,
            "edf": self.names.path(used.edf),
            "annotations": self.names.path(used.annotations) if used.annotations else None,
            "others": _joined(used.others, self.names),
            **meta["recording"],
        }
        if self.names.key is not None:
            # Texts of annotations can name people.
            row["unknown"] = None
        write_table(target, frame, {**meta, "recording": row, "source": source})
        return Outcome(row, failed=False, new=True)

    def _fail(self, ref: RecordingRef, target: Path, error: RecordingError) -> Outcome:
        # What it once was is no longer true.
        target.unlink(missing_ok=True)
        return _failure(ref, self.names, error)

    def _source(self, ref: RecordingRef) -> str:
        """What changes when a file of the recording does: its place, its size, the time it was changed."""
        files = [path for path in (ref.edf, ref.annotations, *ref.others, *ref.siblings) if path is not None]
        channel = self.preparation.subject_channels.get(ref.subject)
        return digest(
            [(self.names.path(path), *_stamp(path)) for path in files],
            self.names.ref(ref).subject,
            ref.split,
            asdict(channel) if channel else None,
        )


def prepare_all(corpus: Corpus, work: PrepareRecording, compute: Compute) -> list[Outcome]:
    """Prepare what can be; give what became of everything that was found."""
    outcomes = run_all(corpus.refs, work, compute=compute, title="prepare", on_death=partial(_lost, names=work.names))
    return [*outcomes, *(_rejected(reject, work.names) for reject in corpus.rejects)]


def _failure(ref: RecordingRef, names: Names, error: RecordingError) -> Outcome:
    others = (*([ref.annotations] if ref.annotations else []), *ref.others)
    row = _failure_row(names.ref(ref).recording, ref.edf, others, names, error.reason, error.message)
    return Outcome({**row, "stage": "prepare"}, failed=True, new=False)


def _lost(ref: RecordingRef, names: Names) -> Outcome:
    message = "killed the process that worked on it, twice, perhaps for want of memory"
    return _failure(ref, names, RecordingError("worker_died", message))


def _rejected(reject: Reject, names: Names) -> Outcome:
    message = reject.message + (f" ({names.path(reject.like)})" if reject.like else "")
    row = _failure_row(None, reject.path, reject.others, names, reject.reason, message)
    return Outcome({**row, "stage": "index"}, failed=True, new=False)


def _failure_row(
    recording: str | None, path: Path, others: Sequence[Path], names: Names, reason: str, message: str
) -> dict[str, Any]:
    name = names.path(path)
    return {
        "recording": recording,
        "path": name,
        "others": _joined(others, names),
        "reason": reason,
        "message": f"{name}: {message}",
    }


def _stamp(path: Path) -> tuple[int, int]:
    """Size of a file and the time it was changed; of one that is not there, which its reader will say, nothing."""
    try:
        status = path.stat()
    except OSError:
        return 0, 0
    return status.st_size, status.st_mtime_ns


def _joined(paths: Sequence[Path], names: Names) -> str | None:
    """Names of files in one cell, a line each."""
    return "\n".join(names.path(path) for path in paths) or None


def _place(error: BaseException) -> str:
    """Module and line where an error was raised."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{Path(frame.filename).name}, line {frame.lineno}"
