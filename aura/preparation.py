"""One recording from its files to RR intervals, seizures and signal quality."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib import import_module
from typing import Any, TypeVar

import pandas as pd

from aura import quality, responders
from aura.beats import detect
from aura.datasets import Layout
from aura.datasets.annotations import is_background, is_seizure
from aura.datasets.edf import read_ecgs
from aura.datasets.units import quote_unit, read_unit
from aura.errors import AuraError, RecordingError
from aura.events import unite
from aura.rr import rr_from_beats
from aura.table import digest, frame_digest
from aura.types import Ecg, Event, Floats, Ints, RecordingRef

Detector = Callable[[Floats, float], Ints]
Result = TypeVar("Result")
# Files that can stand in for each other.
EDF, ANNOTATIONS = (".edf",), (".tse_bi", ".tse", ".csv_bi", ".csv", "_events.tsv")
# An annotation that ends so little after the recording was rounded.
ROUNDING_S = 0.01


@dataclass(frozen=True)
class EcgChannel:
    """Which channel is the ECG, and in which unit.

    Parameters
    ----------
    patterns
        Patterns of channel labels in order of preference.
    unit
        See `aura.datasets.edf.read_ecgs`.
    """

    patterns: tuple[str, ...]
    unit: str | None = None


@dataclass(frozen=True)
class Preparation:
    """How recordings are prepared.

    Parameters
    ----------
    channel
        Which channel is the ECG.
    subject_channels
        The same for single subjects, by the corpus's own id.
    detector
        Detector of beats.
    second_detector
        Another, to compare it with; None saves its time.
    flat_mv, max_mv, min_agreement
        See `aura.quality`.
    """

    channel: EcgChannel
    subject_channels: dict[str, EcgChannel]
    detector: Detector
    second_detector: Detector | None
    flat_mv: float
    max_mv: float
    min_agreement: float

    def prepare(self, ref: RecordingRef) -> tuple[RecordingRef, pd.DataFrame, dict[str, Any]]:
        """Read a recording and find its beats.

        Where the ECG cannot be read from the file it should be in, the recording's other EDF files are tried; where
        the annotations cannot be, its annotations in another form.

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
            ``rises_bpm``, how far the heart rate rose in each, None where nobody annotated it; ``unusable``, onset,
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
        ref, (seizures, n_clipped, n_united, n_unknown) = _first_that_works(
            ref, "annotations", ANNOTATIONS, lambda one: _seizures(one, ecg)
        )
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
                ("unit_set", read_unit(ecg.written_unit) not in (None, ecg.unit) and ecg.written_unit),
                ("no_annotations", seizures is None),
                ("clipped_events", n_clipped),
                ("united_events", n_united),
                ("unknown_labels", n_unknown),
            )
            if holds
        )
        row = {
            "layout": ref.layout.rpartition(".")[2],
            "split": ref.split,
            "channel": ecg.channel,
            "unit": ecg.unit,
            "start": ecg.start.isoformat() if ecg.start else None,
            "fs_hz": ecg.fs_hz,
            "duration_s": ecg.duration_s,
            "usable_share": quality.usable_share(faults, ecg.duration_s),
            "n_beats": len(beats_s),
            "n_gaps": len(ecg.segments) - 1,
            "n_excluded": ecg.n_excluded,
            "annotated": seizures is not None,
            "n_seizures": None if seizures is None else len(seizures),
            "seizure_s": None if seizures is None else sum(s.duration_s for s in seizures),
            "n_clipped": n_clipped,
            "n_united": n_united,
            "n_unknown": n_unknown,
            "remarks": ";".join(remarks),
            "rr_digest": rr_digest,
            "digest": digest(rr_digest, events),
        }
        unusable = [[fault.onset_s, fault.duration_s, fault.kind] for fault in faults]
        rises_bpm = None if seizures is None else responders.rises_bpm(rr, seizures).tolist()
        return ref, frame, {"recording": row, "seizures": events, "rises_bpm": rises_bpm, "unusable": unusable}

    def _best_channel(self, ref: RecordingRef) -> tuple[Ecg, tuple[Event, ...], tuple[str, ...]]:
        """The ECG of which most is usable, to the percent; of equals, the one that is preferred."""
        best, n_channels = None, 0
        wanted = self.subject_channels.get(ref.subject, self.channel)
        for ecg in read_ecgs(ref.edf, wanted.patterns, wanted.unit):
            faults = quality.unusable(ecg, flat_mv=self.flat_mv, max_mv=self.max_mv)
            share = quality.usable_share(faults, ecg.duration_s)
            n_channels += 1
            if best is None or round(share, 2) > round(best[0], 2):
                best = share, ecg, faults
        assert best is not None
        share, ecg, faults = best
        # To within the rounding of a sum.
        if share < 1e-9:
            message = f"nothing of channel {ecg.channel!r} can be used{_faults(faults)}{_scale(ecg)}"
            raise RecordingError("unusable_ecg", message)
        return ecg, faults, (*ecg.remarks, *(("several_channels",) if n_channels > 1 else ()))


def _seizures(ref: RecordingRef, ecg: Ecg) -> tuple[tuple[Event, ...] | None, int, int, int]:
    """Seizures on the recording's clock; how many reached beyond it, overlapped, or are of no type that is known."""
    if ref.annotations is None:
        return None, 0, 0, 0
    layout: Layout = import_module(ref.layout)
    annotated = list(layout.read_events(ref, ecg.start, ecg.duration_s))
    n_unknown = sum(not is_seizure(event.kind) and not is_background(event.kind) for event in annotated)
    events = sorted((event for event in annotated if is_seizure(event.kind)), key=lambda event: event.onset_s)
    n_clipped = sum(e.onset_s < -ROUNDING_S or e.end_s > ecg.duration_s + ROUNDING_S for e in events)
    n_overlapping, until_s = 0, float("-inf")
    for event in events:
        n_overlapping += event.onset_s < until_s - ROUNDING_S
        until_s = max(until_s, event.end_s)
    return unite(events, duration_s=ecg.duration_s), n_clipped, n_overlapping, n_unknown


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


def _scale(ecg: Ecg) -> str:
    """Say what the samples of an ECG are in millivolts, and how that is known."""
    low_mv, high_mv = sorted(
        ecg.zero_mv + float(end) * ecg.mv_per_step for end in (ecg.digital.min(), ecg.digital.max())
    )
    if low_mv == high_mv:
        return ""
    written = f"the file says {quote_unit(ecg.written_unit)}" if ecg.written_unit else "the file has no unit"
    return (
        f"; read as {ecg.unit} ({written}) it is {low_mv:.4g} to {high_mv:.4g} mV: is the unit right? "
        "dataset.unit sets another"
    )


def _faults(faults: Sequence[Event]) -> str:
    """What is wrong with an ECG, in words."""
    seconds: dict[str, float] = {}
    for fault in faults:
        seconds[fault.kind] = seconds.get(fault.kind, 0.0) + fault.duration_s
    most_first = sorted(seconds.items(), key=lambda item: -item[1])
    said = ", ".join(f"{kind.replace('_', ' ')} for {s:.0f} s" for kind, s in most_first)
    return f": {said}" if said else ""
