"""One recording from its files to RR intervals, seizures and signal quality."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib import import_module
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

import pandas as pd

from aura import quality, responders
from aura.beats import detect
from aura.datasets import Layout
from aura.datasets.edf import read_ecgs
from aura.datasets.vocabulary import Words
from aura.errors import AuraError, RecordingError
from aura.rr import rr_from_beats
from aura.seizures import Annotated, find_seizures
from aura.table import digest, frame_digest
from aura.types import Ecg, Event, Floats, Ints, RecordingRef

Detector = Callable[[Floats, float], Ints]
Result = TypeVar("Result")
# Files that can stand in for each other.
EDF, ANNOTATIONS = (".edf",), (".tse_bi", ".tse", ".csv_bi", ".csv", "_events.tsv")
# Texts that were not understood are named up to this number and length.
MAX_TEXTS, MAX_TEXT_LENGTH = 5, 40


@dataclass(frozen=True)
class Preparation:
    """How recordings are prepared.

    Parameters
    ----------
    channels
        Patterns of ECG channel labels in order of preference.
    subject_channels
        The same for single subjects, by the corpus's own id.
    detector
        Detector of beats.
    second_detector
        Another, to compare it with; None saves its time.
    flat_mv, max_mv, min_agreement
        See `aura.quality`.
    min_seizure_s, words
        See `aura.seizures.find_seizures`.
    timezone
        Zone of the clock of the EDF files; None where it is not known.
    """

    channels: tuple[str, ...]
    subject_channels: dict[str, list[str]]
    detector: Detector
    second_detector: Detector | None
    flat_mv: float
    max_mv: float
    min_agreement: float
    min_seizure_s: float
    words: Words
    timezone: ZoneInfo | None

    def prepare(self, ref: RecordingRef) -> tuple[RecordingRef, pd.DataFrame, dict[str, Any]]:
        """Read a recording and find its beats.

        Where the ECG cannot be read from the file it should be in, the recording's other EDF files are tried; where
        the annotations cannot be, its annotations in another form. A recording whose annotations cannot be used is
        prepared as one that nobody annotated.

        Parameters
        ----------
        ref
            The recording, by the corpus's own names.

        Returns
        -------
        ref : RecordingRef
            The recording with the files that were read.
        intervals : DataFrame
            (n_intervals,) ``t_s`` and ``rr_ms``, as in `aura.types.RRSeries`.
        meta : dict
            Of plain values: ``recording``, what is known of it; ``seizures``, onset and duration in seconds, and
            ``rises_bpm``, how far the heart rate rose in each, None where it is not known; ``unusable``, onset,
            duration and fault of each stretch without a usable ECG.

        Raises
        ------
        RecordingError
            With the reason why it cannot be used.
        """
        if not ref.subject:
            message = (
                "whose it is cannot be told; allowed is SUBJECT/NAME.edf or SUBJECT/SESSION/NAME.edf below the root"
            )
            raise RecordingError("no_subject", message)
        first = ref
        ref, (ecg, faults, remarks) = _first_that_works(ref, "edf", EDF, self._best_channel)
        ref, annotated = self._annotated(ref, ecg)
        seizures = annotated.seizures
        beats_s, undetectable = detect(ecg, self.detector)
        faults += undetectable
        if self.second_detector is not None:
            others_s, undetectable = detect(ecg, self.second_detector)
            faults += undetectable
            faults += quality.disagreement(
                beats_s, others_s, duration_s=ecg.duration_s, min_agreement=self.min_agreement
            )
        faults = tuple(sorted(faults, key=lambda fault: fault.onset_s))
        try:
            rr = rr_from_beats(beats_s, ecg.duration_s, faults)
        except AuraError as error:
            message = f"what was found in channel {ecg.channel!r} are no heartbeats: {error}"
            raise RecordingError("no_beats", message) from error
        if not len(rr.rr_ms):
            raise RecordingError("no_beats", f"no two heartbeats in a row in channel {ecg.channel!r}{_faults(faults)}")
        frame = pd.DataFrame({"t_s": rr.t_s, "rr_ms": rr.rr_ms})
        rr_digest = digest(frame_digest(frame), ecg.duration_s)
        events = None if seizures is None else [[s.onset_s, s.duration_s] for s in seizures]
        remarks += tuple(
            code
            for code, holds in (
                ("other_edf", ref.edf != first.edf),
                ("other_annotations", ref.annotations != first.annotations),
            )
            if holds
        )
        remarks += tuple(code for code in annotated.remarks if code not in remarks)
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
            "n_clipped": annotated.n_clipped,
            "n_united": annotated.n_united,
            "n_extended": annotated.n_extended,
            "n_outside": annotated.n_outside,
            "n_uncertain": annotated.n_uncertain,
            "n_unknown": sum(n for _, n in annotated.unknown),
            "unknown": _named(annotated.unknown),
            "problem": annotated.problem,
            "remarks": ";".join(remarks),
            "rr_digest": rr_digest,
            "digest": digest(rr_digest, events),
        }
        unusable = [[fault.onset_s, fault.duration_s, fault.kind] for fault in faults]
        rises_bpm = None if seizures is None else responders.rises_bpm(rr, seizures).tolist()
        return ref, frame, {"recording": row, "seizures": events, "rises_bpm": rises_bpm, "unusable": unusable}

    def _annotated(self, ref: RecordingRef, ecg: Ecg) -> tuple[RecordingRef, Annotated]:
        """Read the seizures; annotations that cannot be used cost the seizures, not the recording."""
        if ref.annotations is None:
            return ref, Annotated(None, remarks=("no_annotations",))
        start = ecg.start.replace(tzinfo=self.timezone) if ecg.start else None

        def read(one: RecordingRef) -> Annotated:
            layout: Layout = import_module(one.layout)
            events = layout.read_events(one, start, ecg.duration_s)
            return find_seizures(events, duration_s=ecg.duration_s, min_seizure_s=self.min_seizure_s, words=self.words)

        try:
            return _first_that_works(ref, "annotations", ANNOTATIONS, read)
        except RecordingError as error:
            return ref, Annotated(None, remarks=(error.reason,), problem=error.message)

    def _best_channel(self, ref: RecordingRef) -> tuple[Ecg, tuple[Event, ...], tuple[str, ...]]:
        """The ECG of which most is usable, to the percent; of equals, the one that is preferred."""
        best, n_channels = None, 0
        for ecg in read_ecgs(ref.edf, self.subject_channels.get(ref.subject, self.channels)):
            faults = quality.unusable(ecg, flat_mv=self.flat_mv, max_mv=self.max_mv)
            share = quality.usable_share(faults, ecg.duration_s)
            n_channels += 1
            if best is None or round(share, 2) > round(best[0], 2):
                best = share, ecg, faults
        assert best is not None
        share, ecg, faults = best
        # To within the rounding of a sum.
        if share < 1e-9:
            raise RecordingError("unusable_ecg", f"nothing of channel {ecg.channel!r} can be used{_faults(faults)}")
        return ecg, faults, (*ecg.remarks, *(("several_channels",) if n_channels > 1 else ()))


def _first_that_works(
    ref: RecordingRef, field: str, suffixes: tuple[str, ...], read: Callable[[RecordingRef], Result]
) -> tuple[RecordingRef, Result]:
    """Read from the file that a field names, or else from the first of the others of its kind that can be read."""
    try:
        return ref, read(ref)
    except RecordingError as error:
        for other in ref.others:
            if other.name.lower().endswith(suffixes):
                left = (getattr(ref, field), *(path for path in ref.others if path is not other))
                swapped = replace(ref, others=left, **{field: other})  # type: ignore[arg-type]
                with suppress(RecordingError):
                    return swapped, read(swapped)
        raise error


def _named(unknown: Sequence[tuple[str, int]]) -> str | None:
    """Name texts with their counts, the most frequent first."""
    said = [f"{text[:MAX_TEXT_LENGTH]!r} {n}" for text, n in unknown[:MAX_TEXTS]]
    if len(unknown) > MAX_TEXTS:
        said.append(f"and {len(unknown) - MAX_TEXTS} other texts")
    return ", ".join(said) or None


def _faults(faults: Sequence[Event]) -> str:
    """What is wrong with an ECG, in words."""
    seconds: dict[str, float] = {}
    for fault in faults:
        seconds[fault.kind] = seconds.get(fault.kind, 0.0) + fault.duration_s
    most_first = sorted(seconds.items(), key=lambda item: -item[1])
    said = ", ".join(f"{kind.replace('_', ' ')} for {s:.0f} s" for kind, s in most_first)
    return f": {said}" if said else ""
