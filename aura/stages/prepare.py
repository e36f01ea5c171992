"""Recordings to RR intervals: one Parquet per recording, a table of the recordings, and one of the failures."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from hydra.utils import get_object, instantiate

from aura import tracking
from aura.compute import over
from aura.config import Config
from aura.datasets import Layout
from aura.datasets.edf import read_ecg
from aura.errors import AuraError, RecordingError
from aura.rr import rr_from_peaks
from aura.stages.folders import prepared_folder
from aura.table import digest, frame_digest, read_meta, write_table
from aura.types import Ecg, Floats, Ints, RecordingRef

RECORDINGS = {
    "recording": "str",
    "subject": "str",
    "session": "str",
    "split": "str",
    "edf": "str",
    "channel": "str",
    "start": "str",
    "fs_hz": "float64",
    "duration_s": "float64",
    "n_beats": "int64",
    "n_seizures": "int64",
    "seizure_s": "float64",
    "digest": "str",
}
# Failures that are printed; all are in the table.
N_SHOWN = 5
# What the detectors' libraries raise on signals that are too short or sampled too slowly for their filters.
DETECTOR_ERRORS = (ValueError, TypeError, IndexError, ArithmeticError)
FAILURES = {"recording": "str", "edf": "str", "stage": "str", "reason": "str", "message": "str"}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a recording: a row of the one table or of the other."""

    row: dict[str, Any]
    failed: bool
    new: bool


def run(config: Config) -> None:
    """Prepare all recordings of the corpus that are not, or have changed since."""
    folder = prepared_folder(config)
    root = Path(config.dataset.root)
    if not root.is_dir():
        hint = "; run `python -m aura synthesize` to make it" if config.dataset.synthesis else ""
        raise AuraError(f"dataset.root={root} is no folder{hint}")
    layout: Layout = get_object(config.dataset.layout)
    refs, doubles = _unique(list(layout.index(root, config.dataset.name)), root)
    if not refs:
        raise AuraError(f"dataset.root={root} holds no .edf file")

    work = PrepareRecording(
        read_seizures=layout.read_seizures,
        channels=tuple(config.dataset.channels),
        detect=instantiate({**config.detector, "_partial_": True}),
        root=root,
        folder=folder,
    )
    with tracking.stage_run("prepare", config) as active:
        outcomes = [*over(refs, work, workers=config.compute.workers, title="prepare"), *doubles]
        recordings = _table([o.row for o in outcomes if not o.failed], RECORDINGS)
        failures = _table([o.row for o in outcomes if o.failed], FAILURES)
        write_table(folder / "recordings.parquet", recordings, {"run_id": active.info.run_id})
        write_table(folder / "failures.parquet", failures, {})
        tracking.log_table(recordings.drop(columns=["digest"]), "recordings.json")
        tracking.log_table(failures, "failures.json")
        n_new = sum(o.new for o in outcomes)
        tracking.log_metrics(
            {
                "recordings": len(recordings),
                "failures": len(failures),
                "hours": float(recordings["duration_s"].sum() / 3600),
                "seizures": int(recordings["n_seizures"].sum()),
                "beats": int(recordings["n_beats"].sum()),
            }
        )
        reasons = ", ".join(f"{n} {reason}" for reason, n in Counter(failures["reason"]).most_common())
        print(
            f"prepare: {len(recordings)} of {len(outcomes)} recordings of {config.dataset.name} in {folder} "
            f"({n_new} now, {len(recordings) - n_new} unchanged); "
            + (f"failed, see failures.parquet there: {reasons}" if reasons else "none failed")
        )
        for message in failures["message"].head(N_SHOWN):
            print(f"  {message}")
        if len(failures) > N_SHOWN:
            print(f"  and {len(failures) - N_SHOWN} more")
        if not len(recordings):
            raise AuraError(f"no recording could be prepared; the first: {failures['message'].iloc[0]}")


@dataclass(frozen=True)
class PrepareRecording:
    """Prepare one recording; picklable, so that other processes can do it."""

    read_seizures: Callable[..., Sequence[Any]]
    channels: tuple[str, ...]
    detect: Callable[[Floats, float], Ints]
    root: Path
    folder: Path

    def __call__(self, ref: RecordingRef) -> Outcome:
        """Read, detect, write; a recording that cannot be used becomes a failure with its reason."""
        target = self.folder / "rr" / f"{ref.recording}.parquet"
        try:
            source = self._source(ref)
            meta = read_meta(target)
            if meta is not None and meta.get("source") == source:
                return Outcome(meta["recording"], failed=False, new=False)
            frame, meta = self._prepare(ref)
        except RecordingError as error:
            return _failure(ref, self.root, error)
        write_table(target, frame, {**meta, "source": source})
        return Outcome(meta["recording"], failed=False, new=True)

    def _source(self, ref: RecordingRef) -> str:
        """What changes when a file of the recording does: its place, size and time of modification."""
        files = [ref.edf] if ref.annotations is None else [ref.edf, ref.annotations]
        try:
            stats = [path.stat() for path in files]
        except OSError as error:
            raise RecordingError("unreadable_edf", f"{ref.edf.name}: cannot be looked at ({error.strerror})") from error
        return digest(str(ref.edf.relative_to(self.root)), [(stat.st_size, stat.st_mtime_ns) for stat in stats])

    def _prepare(self, ref: RecordingRef) -> tuple[pd.DataFrame, dict[str, Any]]:
        """RR intervals as a table, and what is known of the recording."""
        if not ref.subject:
            message = f"{ref.edf.name}: whose it is cannot be told; allowed is SUBJECT/SESSION/NAME.edf below the root"
            raise RecordingError("no_subject", message)
        ecg = read_ecg(ref.edf, self.channels)
        seizures = self.read_seizures(ref, ecg.duration_s)
        r_peaks = self._r_peaks(ref, ecg)
        if len(r_peaks) < 2:
            raise RecordingError("no_beats", f"{ref.edf.name}: no heartbeat found in channel {ecg.channel!r}")
        rr = rr_from_peaks(r_peaks, ecg.fs_hz, ecg.duration_s)
        frame = pd.DataFrame({"t_s": rr.t_s, "rr_ms": rr.rr_ms})
        events = [[s.onset_s, s.duration_s] for s in seizures]
        row = {
            "recording": ref.recording,
            "subject": ref.subject,
            "session": ref.session,
            "split": ref.split,
            "edf": ref.edf.relative_to(self.root).as_posix(),
            "channel": ecg.channel,
            "start": ecg.start.isoformat() if ecg.start else None,
            "fs_hz": ecg.fs_hz,
            "duration_s": ecg.duration_s,
            "n_beats": len(r_peaks),
            "n_seizures": len(seizures),
            "seizure_s": sum(s.duration_s for s in seizures),
            "digest": digest(frame_digest(frame), events, ecg.duration_s, ref.subject, ref.split),
        }
        return frame, {"recording": row, "seizures": events}

    def _r_peaks(self, ref: RecordingRef, ecg: Ecg) -> Ints:
        """Beats of an ECG that has any; what a detector cannot work on is a failure of the recording."""
        if np.ptp(ecg.ecg_mv) == 0:
            raise RecordingError("flat_ecg", f"{ref.edf.name}: channel {ecg.channel!r} is flat from beginning to end")
        try:
            return self.detect(ecg.ecg_mv, ecg.fs_hz)
        except DETECTOR_ERRORS as error:
            message = f"{ref.edf.name}: no beats can be detected in {ecg.duration_s:g} s at {ecg.fs_hz:g} Hz ({error})"
            raise RecordingError("undetectable", " ".join(message.split())) from error


def _failure(ref: RecordingRef, root: Path, error: RecordingError) -> Outcome:
    row = {
        "recording": ref.recording,
        "edf": ref.edf.relative_to(root).as_posix(),
        "stage": "prepare",
        "reason": error.reason,
        "message": error.message,
    }
    return Outcome(row, failed=True, new=False)


def _unique(refs: Sequence[RecordingRef], root: Path) -> tuple[list[RecordingRef], list[Outcome]]:
    """Recordings with a name of their own, and failures for those whose name is taken."""
    first: dict[str, RecordingRef] = {}
    doubles = []
    for ref in refs:
        taken = first.setdefault(ref.recording, ref)
        if taken is not ref:
            other = taken.edf.relative_to(root).as_posix()
            message = f"{ref.edf.name}: the recording id is taken by {other}; give the file another name"
            doubles.append(_failure(ref, root, RecordingError("duplicate_id", message)))
    return list(first.values()), doubles


def _table(rows: list[dict[str, Any]], columns: dict[str, str]) -> pd.DataFrame:
    """Rows as a table sorted by recording, its columns typed even when there are none."""
    frame = pd.DataFrame(rows, columns=list(columns)).astype(columns)
    return frame.sort_values(["recording", "edf"], ignore_index=True)
