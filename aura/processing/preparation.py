"""One recording from its files to RR intervals, seizures and signal quality."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

import pandas as pd

from aura.core.arrays import Floats, Ints
from aura.core.errors import AuraError, RecordingError
from aura.core.events import Event
from aura.core.files import digest
from aura.core.parquet import frame_digest
from aura.core.recordings import Ecg, RecordingRef
from aura.corpora.layouts import get_layout
from aura.ecg import heart_rate, quality
from aura.ecg.beat_shape import judge_beats
from aura.ecg.beats import detect_beats, span_gaps
from aura.ecg.intervals import is_normal, rr_from_beats
from aura.formats.edf import read_ecgs
from aura.formats.units import quote_unit, read_unit
from aura.formats.vocabulary import Words
from aura.processing.seizures import Annotated, find_seizures

Detector = Callable[[Floats, float], Ints]
# A channel gives way to one that is less preferred where that shows the heart for so much more of the recording.
MIN_GAIN = 0.02
# Beats are doubtful where fewer intervals are normal and fewer beats are alike: ectopic beats cause the one, and
# pacing the other, but taking other waves for beats causes both.
DOUBTFUL_NORMAL, DOUBTFUL_ALIKE = 0.9, 0.85
# No beat is believed where fewer are alike: on 13 MIT-BIH records 71 % or more are; of heart rates, markers and slow
# waves that are taken for an ECG, 33 % at most.
MIN_ALIKE = 0.5
Result = TypeVar("Result")
# Files that can stand in for each other.
EDF, ANNOTATIONS = (".edf",), (".tse_bi", ".tse", ".csv_bi", ".csv", "_events.tsv")
# Texts that were not understood are named up to this number and length.
MAX_TEXTS, MAX_TEXT_LENGTH = 5, 40


@dataclass(frozen=True, slots=True, eq=False)
class Lead:
    """A channel and the beats that were found in it.

    Parameters
    ----------
    ecg
        The channel.
    faults
        Stretches of it that are unusable.
    beats_s
        (n_beats,) times of the beats in seconds, rising.
    coverage
        Share of the recording that normal intervals cover.
    normal_share
        Share of the intervals that are normal; 0 without an interval.
    alike_share
        See `aura.ecg.beat_shape.judge_beats`.
    """

    ecg: Ecg
    faults: tuple[Event, ...]
    beats_s: Floats
    coverage: float
    normal_share: float
    alike_share: float


@dataclass(frozen=True)
class EcgChannel:
    """Which channel is the ECG, and in which unit.

    Parameters
    ----------
    patterns
        Patterns of channel labels in order of preference.
    unit
        See `aura.formats.edf.read_ecgs`.
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
        See `aura.ecg.quality`.
    min_seizure_s, words
        See `aura.processing.seizures.find_seizures`.
    timezone
        Zone of the clock of the EDF files; None where it is not known.
    """

    channel: EcgChannel
    subject_channels: dict[str, EcgChannel]
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
            (n_intervals,) ``t_s`` and ``rr_ms``, as in `aura.core.series.RRSeries`.
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
        ref, (lead, remarks) = _first_that_works(ref, "edf", EDF, self._best_lead)
        ecg = lead.ecg
        ref, annotated = self._annotated(ref, ecg)
        seizures = annotated.seizures
        faults = lead.faults
        if self.second_detector is not None:
            others_s, undetectable = detect_beats(ecg, self.second_detector)
            faults += undetectable
            faults += quality.find_disagreement(
                lead.beats_s, others_s, duration_s=ecg.duration_s, min_agreement=self.min_agreement
            )
        faults = tuple(sorted(faults, key=lambda fault: fault.onset_s))
        rr = rr_from_beats(lead.beats_s, ecg.duration_s, faults)
        if not len(rr.rr_ms):
            raise RecordingError("no_beats", f"no two heartbeats in a row in channel {ecg.channel!r}{_faults(faults)}")
        # A second detector removes intervals; the beats that remain are no better for it.
        doubtful = lead.normal_share < DOUBTFUL_NORMAL and lead.alike_share < DOUBTFUL_ALIKE
        frame = pd.DataFrame({"t_s": rr.t_s, "rr_ms": rr.rr_ms})
        rr_digest = digest(frame_digest(frame), ecg.duration_s)
        events = None if seizures is None else [[s.onset_s, s.duration_s] for s in seizures]
        remarks += tuple(
            code
            for code, holds in (
                ("doubtful_beats", doubtful),
                ("other_edf", ref.edf != first.edf),
                ("other_annotations", ref.annotations != first.annotations),
                ("unit_set", read_unit(ecg.written_unit) not in (None, ecg.unit) and ecg.written_unit),
            )
            if holds
        )
        remarks += tuple(code for code in annotated.remarks if code not in remarks)
        row = {
            "layout": ref.layout.rpartition(".")[2],
            "split": ref.split,
            "channel": ecg.channel,
            "signal": ecg.signal,
            "unit": ecg.unit,
            "start": ecg.start.isoformat() if ecg.start else None,
            "fs_hz": ecg.fs_hz,
            "duration_s": ecg.duration_s,
            "usable_share": quality.usable_share(faults, ecg.duration_s),
            "n_beats": len(lead.beats_s),
            "normal_share": lead.normal_share,
            "alike_share": lead.alike_share,
            "n_gaps": len(ecg.segments) - 1,
            "n_excluded": ecg.n_excluded,
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
        rises_bpm = None if seizures is None else heart_rate.measure_rises_bpm(rr, seizures).tolist()
        return ref, frame, {"recording": row, "seizures": events, "rises_bpm": rises_bpm, "unusable": unusable}

    def _annotated(self, ref: RecordingRef, ecg: Ecg) -> tuple[RecordingRef, Annotated]:
        """Read the seizures; annotations that cannot be used cost the seizures, not the recording."""
        if ref.annotations is None:
            return ref, Annotated(None, remarks=("no_annotations",))
        start = ecg.start.replace(tzinfo=self.timezone) if ecg.start else None

        def read(one: RecordingRef) -> Annotated:
            events = get_layout(one.layout).read_events(one, start, ecg.duration_s, self.words)
            return find_seizures(events, duration_s=ecg.duration_s, min_seizure_s=self.min_seizure_s, words=self.words)

        try:
            return _first_that_works(ref, "annotations", ANNOTATIONS, read)
        except RecordingError as error:
            return ref, Annotated(None, remarks=(error.reason,), problem=error.message)

    def _best_lead(self, ref: RecordingRef) -> tuple[Lead, tuple[str, ...]]:
        """The lead in which a heart is seen for most of the recording; of much the same, the one that is preferred."""
        best, failure, n_leads = None, None, 0
        wanted = self.subject_channels.get(ref.subject, self.channel)
        for ecg in read_ecgs(ref.edf, wanted.patterns, wanted.unit):
            n_leads += 1
            try:
                lead = self._look_for_beats(ecg)
            except RecordingError as error:
                failure = failure or error
                continue
            if best is None or lead.coverage > best.coverage + MIN_GAIN:
                best = lead
        if best is None:
            assert failure is not None
            raise failure
        return best, (*best.ecg.remarks, *(("several_channels",) if n_leads > 1 else ()))

    def _look_for_beats(self, ecg: Ecg) -> Lead:
        """Find the beats of a channel, and the stretches in which they cannot be believed."""
        faults = quality.find_unusable(ecg, flat_mv=self.flat_mv, max_mv=self.max_mv)
        _check_usable(ecg, faults)
        beats_s, undetectable = detect_beats(ecg, self.detector)
        noise, alike_share = judge_beats(ecg, beats_s)
        faults = (*span_gaps(faults, beats_s), *undetectable, *noise)
        faults += quality.find_silences(beats_s, faults, duration_s=ecg.duration_s)
        _check_usable(ecg, faults)
        try:
            rr = rr_from_beats(beats_s, ecg.duration_s, faults)
        except AuraError as error:
            message = f"what was found in channel {ecg.channel!r} are no heartbeats: {error}"
            raise RecordingError("no_beats", message) from error
        if alike_share < MIN_ALIKE:
            message = (
                f"what was found in channel {ecg.channel!r} are no heartbeats: {100 * alike_share:.0f} % of them look "
                f"alike; of a heart, at least {100 * MIN_ALIKE:.0f} % do"
            )
            raise RecordingError("no_beats", message)
        normal = is_normal(rr)
        coverage = float(rr.rr_ms[normal].sum()) / 1000.0 / ecg.duration_s
        normal_share = float(normal.mean()) if len(normal) else 0.0
        return Lead(ecg, faults, beats_s, coverage, normal_share, alike_share)


def _check_usable(ecg: Ecg, faults: Sequence[Event]) -> None:
    """Refuse a channel of which nothing can be used, to within the rounding of a sum."""
    if quality.usable_share(faults, ecg.duration_s) < 1e-9:
        message = f"nothing of channel {ecg.channel!r} can be used{_faults(faults)}{_scale(ecg)}"
        raise RecordingError("unusable_ecg", message)


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
