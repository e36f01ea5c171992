"""One recording from its files to RR intervals, seizures and signal quality."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import pandas as pd

from aura import quality
from aura.beats.whole import detect_beats
from aura.datasets import Layout
from aura.datasets.edf import read_ecgs
from aura.errors import RecordingError
from aura.events import unite
from aura.rr import rr_from_beats
from aura.table import digest, frame_digest
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


def _faults(faults: Sequence[Event]) -> str:
    """What is wrong with an ECG, in words."""
    seconds: Counter[str] = Counter()
    for fault in faults:
        seconds[fault.kind] += fault.duration_s  # type: ignore[assignment]
    said = ", ".join(f"{kind.replace('_', ' ')} for {s:.0f} s" for kind, s in seconds.most_common())
    return f": {said}" if said else ""
