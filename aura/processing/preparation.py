"""One recording from its files to RR intervals, seizures and signal quality."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from aura.core.arrays import Floats
from aura.core.errors import RecordingError
from aura.core.events import Event
from aura.core.recordings import Ecg, RecordingRef
from aura.core.series import RRSeries
from aura.core.wording import counted
from aura.corpora.layouts import get_layout
from aura.ecg import heart_rate, quality
from aura.ecg.beats import detect_beats
from aura.ecg.intervals import rr_from_beats
from aura.formats.units import read_unit
from aura.formats.vocabulary import Words
from aura.processing.leads import BeatDetector, EcgChannel, Lead, describe_faults, find_best_lead
from aura.processing.seizures import Annotated, find_seizures
from aura.workspace.prepared import digest_rr, digest_rr_and_seizures

# Beats are doubtful if fewer intervals are normal and fewer beats are alike. Ectopic beats cause the first and pacing
# the second, but only other waves taken for beats cause both.
DOUBTFUL_NORMAL, DOUBTFUL_ALIKE = 0.9, 0.85
Result = TypeVar("Result")
# Remark on a recording without an annotation file.
NO_ANNOTATIONS = "no_annotations"
# Suffixes of files that can stand in for each other.
EDF, ANNOTATIONS = (".edf",), (".tse_bi", ".tse", ".csv_bi", ".csv", "_events.tsv")
# Texts that were not understood are quoted up to this number and length.
MAX_TEXTS, MAX_TEXT_LENGTH = 5, 40


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """What `Preparation.prepare` makes of a recording.

    Parameters
    ----------
    ref
        The recording with the files that were read.
    rr
        RR intervals.
    seizures
        Annotated seizures; None if the recording is not annotated.
    rises_bpm
        (n_seizures,) rise of the heart rate in each seizure, in beats per minute; None if it is not annotated.
    unusable
        Stretches without a usable ECG, by onset; `kind` is the fault.
    facts
        The columns of `aura.workspace.prepared.RECORDINGS` from ``layout`` on, but for the names of the files.
    """

    ref: RecordingRef
    rr: RRSeries
    seizures: tuple[Event, ...] | None
    rises_bpm: Floats | None
    unusable: tuple[Event, ...]
    facts: dict[str, Any]


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
        Beat detector.
    second_detector
        Beat detector to compare the first with; None saves its time.
    flat_mv, max_mv, min_agreement
        See `aura.ecg.quality`.
    min_seizure_s, words
        See `aura.processing.seizures.find_seizures`.
    timezone
        Time zone of the clock of the EDF files; None if it is not known.
    """

    channel: EcgChannel
    subject_channels: dict[str, EcgChannel]
    detector: BeatDetector
    second_detector: BeatDetector | None
    flat_mv: float
    max_mv: float
    min_agreement: float
    min_seizure_s: float
    words: Words
    timezone: ZoneInfo | None

    def prepare(self, ref: RecordingRef) -> Prepared:
        """Read a recording and find its beats.

        If the ECG cannot be read from its file, the recording's other EDF files are tried; if the annotations cannot,
        its annotations in another format. A recording whose annotations cannot be used is prepared as not annotated.

        Parameters
        ----------
        ref
            The recording, by the corpus's own names.

        Raises
        ------
        RecordingError
            If it cannot be used, with the reason.
        """
        if not ref.subject:
            message = "its subject is not known; allowed is SUBJECT/NAME.edf or SUBJECT/SESSION/NAME.edf below the root"
            raise RecordingError("no_subject", message)
        used, (lead, remarks) = _read_first(ref, "edf", EDF, self._find_best_lead)
        used, annotated = self._read_annotations(used, lead.ecg)
        unusable = self._find_unusable(lead)
        rr = rr_from_beats(lead.beats_s, lead.ecg.duration_s, unusable)
        if not len(rr.rr_ms):
            message = f"no two heartbeats in a row in channel {lead.ecg.channel!r}{describe_faults(unusable)}"
            raise RecordingError("no_beats", message)
        seizures = annotated.seizures
        rr_digest = digest_rr(rr)
        facts = {
            "layout": used.layout,
            "split": used.split,
            **_describe_lead(lead, unusable),
            **_describe_annotations(annotated),
            "remarks": ";".join(_collect_remarks(ref, used, lead, remarks, annotated)),
            "rr_digest": rr_digest,
            "digest": digest_rr_and_seizures(rr_digest, seizures),
        }
        rises_bpm = None if seizures is None else heart_rate.measure_rises_bpm(rr, seizures)
        return Prepared(used, rr, seizures, rises_bpm, unusable, facts)

    def _find_best_lead(self, ref: RecordingRef) -> tuple[Lead, tuple[str, ...]]:
        channel = self.subject_channels.get(ref.subject, self.channel)
        return find_best_lead(ref.edf, channel, self.detector, flat_mv=self.flat_mv, max_mv=self.max_mv)

    def _read_annotations(self, ref: RecordingRef, ecg: Ecg) -> tuple[RecordingRef, Annotated]:
        """Read the seizures; annotations that cannot be used cost the seizures, not the recording."""
        if ref.annotations is None:
            return ref, Annotated(None, remarks=(NO_ANNOTATIONS,))
        start = ecg.start.replace(tzinfo=self.timezone) if ecg.start else None

        def read(ref: RecordingRef) -> Annotated:
            events = get_layout(ref.layout).read_events(ref, start, ecg.duration_s, self.words)
            return find_seizures(events, duration_s=ecg.duration_s, min_seizure_s=self.min_seizure_s, words=self.words)

        try:
            return _read_first(ref, "annotations", ANNOTATIONS, read)
        except RecordingError as error:
            return ref, Annotated(None, remarks=(error.reason,), problem=error.message)

    def _find_unusable(self, lead: Lead) -> tuple[Event, ...]:
        """Return the faults of a lead, and the stretches in which the second detector finds other beats, by onset."""
        faults = lead.faults
        if self.second_detector is not None:
            others_s, undetectable = detect_beats(lead.ecg, self.second_detector)
            faults += undetectable
            faults += quality.find_disagreement(
                lead.beats_s, others_s, duration_s=lead.ecg.duration_s, min_agreement=self.min_agreement
            )
        return tuple(sorted(faults, key=lambda fault: fault.onset_s))


def _describe_lead(lead: Lead, unusable: Sequence[Event]) -> dict[str, Any]:
    ecg = lead.ecg
    return {
        "channel": ecg.channel,
        "signal": ecg.signal,
        "unit": ecg.unit,
        "start": ecg.start.isoformat() if ecg.start else None,
        "fs_hz": ecg.fs_hz,
        "duration_s": ecg.duration_s,
        "usable_share": quality.usable_share(unusable, ecg.duration_s),
        "n_beats": len(lead.beats_s),
        "normal_share": lead.normal_share,
        "alike_share": lead.alike_share,
        "n_gaps": len(ecg.segments) - 1,
        "n_excluded": ecg.n_excluded,
    }


def _describe_annotations(annotated: Annotated) -> dict[str, Any]:
    seizures = annotated.seizures
    return {
        "annotated": seizures is not None,
        "n_seizures": None if seizures is None else len(seizures),
        "seizure_s": None if seizures is None else sum(s.duration_s for s in seizures),
        "n_clipped": annotated.n_clipped,
        "n_united": annotated.n_united,
        "n_extended": annotated.n_extended,
        "n_outside": annotated.n_outside,
        "n_uncertain": annotated.n_uncertain,
        "n_unknown": sum(n for _, n in annotated.unknown),
        "unknown": _quote_texts(annotated.unknown),
        "problem": annotated.problem,
    }


def _collect_remarks(
    wanted: RecordingRef, used: RecordingRef, lead: Lead, remarks: Sequence[str], annotated: Annotated
) -> tuple[str, ...]:
    """Return the codes of the file, then those of the lead, then those of the annotations, each once."""
    ecg = lead.ecg
    # The share of normal intervals is that of the first detector: a second one removes intervals, which makes the
    # remaining beats no better.
    doubtful = lead.normal_share < DOUBTFUL_NORMAL and lead.alike_share < DOUBTFUL_ALIKE
    codes = {
        "doubtful_beats": doubtful,
        "other_edf": used.edf != wanted.edf,
        "other_annotations": used.annotations != wanted.annotations,
        "unit_set": ecg.written_unit and read_unit(ecg.written_unit) not in (None, ecg.unit),
    }
    collected = (*remarks, *(code for code, holds in codes.items() if holds))
    return (*collected, *(code for code in annotated.remarks if code not in collected))


def _read_first(
    ref: RecordingRef, field: str, suffixes: tuple[str, ...], read: Callable[[RecordingRef], Result]
) -> tuple[RecordingRef, Result]:
    """Read from the file that a field names, or from the first readable of the others of its kind."""
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


def _quote_texts(texts: Sequence[tuple[str, int]]) -> str | None:
    """Quote texts with their counts, the most frequent first; None without any."""
    quoted = [f"{text[:MAX_TEXT_LENGTH]!r} {n}" for text, n in texts[:MAX_TEXTS]]
    if len(texts) > MAX_TEXTS:
        quoted.append(f"and {counted(len(texts) - MAX_TEXTS, 'other text')}")
    return ", ".join(quoted) or None
