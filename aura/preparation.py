"""Recordings from their files to RR intervals, seizures and signal quality; and what became of each."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import pandas as pd

from aura import quality
from aura.beats.whole import detect_beats
from aura.compute import Compute, over
from aura.datasets import Layout
from aura.datasets.corpus import Corpus, Reject
from aura.datasets.edf import read_ecgs
from aura.errors import RecordingError
from aura.events import unite
from aura.privacy import Names
from aura.rr import rr_from_beats
from aura.table import digest, frame_digest, read_meta, write_table
from aura.types import Ecg, Event, Floats, Ints, RecordingRef

Detect = Callable[[Floats, float], Ints]
# An annotation that ends so little after the recording was rounded.
ROUNDING_S = 0.01


@dataclass(frozen=True)
class Preparation:
    """How recordings are prepared.

    Parameters
    ----------
    channels
        Patterns of ECG channel labels in order of preference.
    subject_channels
        The same for single subjects, by the corpus's own id.
    detect
        Detector of beats.
    second_detect
        Another, to compare it with; None saves its time.
    flat_mv, max_mv, min_agreement
        See `aura.quality`.
    """

    channels: tuple[str, ...]
    subject_channels: dict[str, list[str]]
    detect: Detect
    second_detect: Detect | None
    flat_mv: float
    max_mv: float
    min_agreement: float

    def prepare(self, ref: RecordingRef) -> tuple[pd.DataFrame, dict[str, Any]]:
        """Read a recording and find its beats.

        Parameters
        ----------
        ref
            The recording, by the corpus's own names.

        Returns
        -------
        intervals : DataFrame
            (n_intervals,) ``t_s`` and ``rr_ms``, as in `aura.types.RRSeries`.
        meta : dict
            Of plain values: ``recording``, what is known of it; ``seizures``, onset and duration in seconds, None where
            nobody annotated it; ``unusable``, onset, duration and fault of each stretch without a usable ECG.

        Raises
        ------
        RecordingError
            With the reason why it cannot be used.
        """
        if not ref.subject:
            message = "whose it is cannot be told; allowed is SUBJECT/SESSION/NAME.edf below the root"
            raise RecordingError("no_subject", message)
        ecg, faults, remarks = self._best_channel(ref)
        seizures, n_clipped, n_united = self._seizures(ref, ecg)
        beats_s = detect_beats(ecg, self.detect)
        if self.second_detect is not None:
            others_s = detect_beats(ecg, self.second_detect)
            faults += quality.disagreement(
                beats_s, others_s, duration_s=ecg.duration_s, min_agreement=self.min_agreement
            )
        rr = rr_from_beats(beats_s, ecg.duration_s, faults)
        if not len(rr.rr_ms):
            raise RecordingError("no_beats", f"no two heartbeats in a row in channel {ecg.channel!r}{_faults(faults)}")
        frame = pd.DataFrame({"t_s": rr.t_s, "rr_ms": rr.rr_ms})
        events = None if seizures is None else [[s.onset_s, s.duration_s] for s in seizures]
        remarks += tuple(
            code
            for code, holds in (
                ("no_annotations", seizures is None),
                ("clipped_events", n_clipped),
                ("united_events", n_united),
            )
            if holds
        )
        row = {
            "layout": ref.layout.rpartition(".")[2],
            "split": ref.split,
            "channel": ecg.channel,
            "start": ecg.start.isoformat() if ecg.start else None,
            "fs_hz": ecg.fs_hz,
            "duration_s": ecg.duration_s,
            "usable_share": quality.usable_share(faults, ecg.duration_s),
            "n_beats": len(beats_s),
            "annotated": seizures is not None,
            "n_seizures": None if seizures is None else len(seizures),
            "seizure_s": None if seizures is None else sum(s.duration_s for s in seizures),
            "n_clipped": n_clipped,
            "n_united": n_united,
            "remarks": ";".join(remarks),
            "digest": digest(frame_digest(frame), events, ecg.duration_s),
        }
        unusable = [[fault.onset_s, fault.duration_s, fault.kind] for fault in faults]
        return frame, {"recording": row, "seizures": events, "unusable": unusable}

    def _best_channel(self, ref: RecordingRef) -> tuple[Ecg, tuple[Event, ...], tuple[str, ...]]:
        """The ECG of which most is usable, to the percent; of equals, the one that is preferred."""
        best, n_channels = None, 0
        for ecg in read_ecgs(ref.edf, self.subject_channels.get(ref.subject, self.channels)):
            faults = quality.unusable(ecg, flat_mv=self.flat_mv, max_mv=self.max_mv)
            share = round(quality.usable_share(faults, ecg.duration_s), 2)
            n_channels += 1
            if best is None or share > best[0]:
                best = share, ecg, faults
        assert best is not None
        share, ecg, faults = best
        if share == 0:
            raise RecordingError("unusable_ecg", f"nothing of channel {ecg.channel!r} can be used{_faults(faults)}")
        return ecg, faults, (*ecg.remarks, *(("several_channels",) if n_channels > 1 else ()))

    def _seizures(self, ref: RecordingRef, ecg: Ecg) -> tuple[tuple[Event, ...] | None, int, int]:
        """Seizures on the recording's clock, how many reached beyond it, and how many overlapped."""
        if ref.annotations is None:
            return None, 0, 0
        layout: Layout = import_module(ref.layout)
        events = list(layout.read_seizures(ref, ecg.start, ecg.duration_s))
        n_clipped = sum(e.onset_s < -ROUNDING_S or e.end_s > ecg.duration_s + ROUNDING_S for e in events)
        seizures = unite(events, duration_s=ecg.duration_s)
        inside = sum(e.duration_s > 0 and e.onset_s < ecg.duration_s and e.end_s > 0 for e in events)
        return seizures, n_clipped, inside - len(seizures)


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
            frame, meta = self.preparation.prepare(ref)
        except RecordingError as error:
            # What it once was is no longer true.
            target.unlink(missing_ok=True)
            return _failure(ref, self.names, error)
        row = {
            "recording": named.recording,
            "subject": named.subject,
            "session": named.session,
            "edf": self.names.path(ref.edf),
            "annotations": self.names.path(ref.annotations) if ref.annotations else None,
            "others": _joined(ref.others, self.names),
            **meta["recording"],
        }
        write_table(target, frame, {**meta, "recording": row, "source": source})
        return Outcome(row, failed=False, new=True)

    def _source(self, ref: RecordingRef) -> str:
        """What changes when a file of the recording does: its place, size and time of modification."""
        files = [ref.edf] if ref.annotations is None else [ref.edf, ref.annotations]
        try:
            stats = [path.stat() for path in files]
        except OSError as error:
            raise RecordingError("unreadable_edf", f"cannot be looked at: {error.strerror}") from error
        return digest(
            [self.names.path(path) for path in (*files, *ref.others)],
            [(stat.st_size, stat.st_mtime_ns) for stat in stats],
            self.names.ref(ref).subject,
            ref.split,
        )


def prepare_all(corpus: Corpus, work: PrepareRecording, compute: Compute) -> list[Outcome]:
    """Prepare what can be; give what became of everything that was found."""
    outcomes = over(corpus.refs, work, compute=compute, title="prepare", lost=partial(_lost, names=work.names))
    return [*outcomes, *(_rejected(reject, work.names) for reject in corpus.rejects)]


def _failure(ref: RecordingRef, names: Names, error: RecordingError) -> Outcome:
    others = (*([ref.annotations] if ref.annotations else []), *ref.others)
    row = _failure_row(names.ref(ref).recording, ref.edf, others, names, error.reason, error.message)
    return Outcome({**row, "stage": "prepare"}, failed=True, new=False)


def _lost(ref: RecordingRef, names: Names) -> Outcome:
    message = "killed the process that worked on it, twice, perhaps for want of memory"
    return _failure(ref, names, RecordingError("worker_died", message))


def _rejected(reject: Reject, names: Names) -> Outcome:
    row = _failure_row(None, reject.path, reject.others, names, reject.reason, reject.message)
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


def _joined(paths: Sequence[Path], names: Names) -> str | None:
    """Names of files in one cell, a line each."""
    return "\n".join(names.path(path) for path in paths) or None


def _faults(faults: Sequence[Event]) -> str:
    """What is wrong with an ECG, in words."""
    seconds: Counter[str] = Counter()
    for fault in faults:
        seconds[fault.kind] += fault.duration_s  # type: ignore[assignment]
    said = ", ".join(f"{kind.replace('_', ' ')} for {s:.0f} s" for kind, s in seconds.most_common())
    return f": {said}" if said else ""
