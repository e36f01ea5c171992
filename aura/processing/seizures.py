"""The seizures of a recording, from all that is annotated in it; no seizure is dropped without being counted."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from aura.core.events import Event, OutsideSegments, unite
from aura.formats.vocabulary import NO_WORDS, Meaning, Words, is_bare_edge, meanings

# Times of annotations are rounded.
ROUNDING_S = 0.01
# An end mark that comes later belongs to another seizure.
MAX_SEIZURE_S = 900.0
# Two different start marks (EEG onset, clinical onset) this close are of one seizure.
SAME_START_S = 120.0
# A start or an end that does not say of what, this close to an end of the recording, may be that of the recording.
AT_EDGE_S = 1.0
# A mark of an end is no longer than this.
MAX_MARK_S = 2.0


@dataclass(frozen=True, slots=True)
class Annotated:
    """What the annotations of a recording say about seizures.

    Parameters
    ----------
    seizures
        Sorted, disjoint, within the recording; None where the annotations do not tell whether there were any.
    n_clipped
        Seizures cut at an end of the recording.
    n_united
        Seizures that overlap another one.
    n_extended
        Seizures without a known end or with less than the minimum duration, which they now have.
    n_outside
        Seizures that lie wholly outside the recording.
    n_uncertain
        Possible or reported seizures, end marks without a start, and marks that do not say of what they are.
    unknown
        Texts that were not understood, or do not say of what they are the start or end, and how many events have each.
    remarks
        Codes for the table of recordings.
    problem
        Sentence that says why the seizures are not known, or that some are in no segment of the record.
    """

    seizures: tuple[Event, ...] | None
    n_clipped: int = 0
    n_united: int = 0
    n_extended: int = 0
    n_outside: int = 0
    n_uncertain: int = 0
    unknown: tuple[tuple[str, int], ...] = ()
    remarks: tuple[str, ...] = ()
    problem: str | None = None


def find_seizures(
    events: Iterable[Event], *, duration_s: float, min_seizure_s: float, words: Words = NO_WORDS
) -> Annotated:
    """Find the seizures among annotated events.

    A start mark reaches to the next end mark before the next start, at most 15 min later. Without one, only the onset
    is known, and the seizure gets the minimum duration.

    Parameters
    ----------
    events
        All that is annotated, in any order; a mark has a duration of 0.
    duration_s
        Length of the recording in seconds.
    min_seizure_s
        Duration of seizures that are annotated as shorter.
    words
        Words of the clinic that wrote the annotations.

    Examples
    --------
    >>> marks = [Event(30, 0, "seizure onset"), Event(75, 0, "seizure end"), Event(90, 0, "sz")]
    >>> found = find_seizures(marks, duration_s=120, min_seizure_s=1)
    >>> [(event.onset_s, event.duration_s) for event in found.seizures], found.n_extended
    ([(30.0, 45.0), (90.0, 1.0)], 1)
    """
    ordered = sorted(events, key=lambda event: event.onset_s)
    known = meanings((event.kind for event in ordered), words)
    meant = [_meaning_of(event, known[event.kind], duration_s) for event in ordered]
    annotated, n_lonely_ends = _pair(ordered, meant)
    inside = [event for event in annotated if _is_inside(event, duration_s)]
    n_clipped = sum(e.onset_s < -ROUNDING_S or e.end_s > duration_s + ROUNDING_S for e in inside)
    clipped = [_clip(event, duration_s) for event in inside]
    long = [_extend(event, duration_s, min_seizure_s) for event in clipped]
    n_united, until_s = 0, float("-inf")
    for event in sorted(long, key=lambda event: event.onset_s):
        n_united += event.onset_s < until_s - ROUNDING_S
        until_s = max(until_s, event.end_s)

    count = Counter(meant)
    n_outside, n_uncertain = len(annotated) - len(inside), count[Meaning.UNCERTAIN] + n_lonely_ends
    says_none = count[Meaning.BACKGROUND] or count[Meaning.NON_EPILEPTIC]
    n_elsewhere = sum(isinstance(event, OutsideSegments) for event in annotated)
    tells, problem = True, None
    if n_elsewhere:
        problem = (
            f"{n_elsewhere} of the annotated seizures lie between two segments of its record, or outside all of them"
        )
    if not inside and n_outside > n_elsewhere:
        first_s = min(event.onset_s for event in annotated)
        tells = False
        problem = (
            f"{n_outside} annotated seizures and none in its {duration_s:.0f} s, the first at {first_s:.0f} s; "
            "times have to be in seconds from the start of the recording, or times of day on its clock"
        )
    elif not inside and n_uncertain:
        tells = False
        problem = "its annotations tell of possible seizures only, so nobody knows whether there was one"
    elif not inside and not says_none:
        tells = False
        problem = (
            problem or "none of its annotations says anything about seizures; dataset.words adds words of your own"
        )
    n_extended = sum(a.duration_s < min_seizure_s for a in clipped)
    unknown = Counter(
        event.kind
        for event, said in zip(ordered, meant, strict=True)
        if said is Meaning.UNKNOWN or (said is Meaning.UNCERTAIN and is_bare_edge(event.kind))
    )
    remarks = (
        ("no_seizure_words", not annotated and not n_uncertain and not says_none),
        ("clipped_events", n_clipped),
        ("united_events", n_united),
        ("extended_events", n_extended),
        ("seizures_outside", n_outside),
        ("uncertain_events", n_uncertain),
        ("unknown_labels", unknown),
    )
    return Annotated(
        seizures=unite(long, duration_s=duration_s) if tells else None,
        n_clipped=n_clipped,
        n_united=n_united,
        n_extended=n_extended,
        n_outside=n_outside,
        n_uncertain=n_uncertain,
        unknown=tuple(unknown.most_common()),
        remarks=tuple(code for code, holds in remarks if holds),
        problem=problem,
    )


def _meaning_of(event: Event, said: Meaning, duration_s: float) -> Meaning:
    """Meaning of an event, by that of its text: some marks of a start or an end are uncertain."""
    is_long_end = said is Meaning.SEIZURE_END and event.duration_s > MAX_MARK_S
    at_edge = event.onset_s <= AT_EDGE_S or event.onset_s >= duration_s - AT_EDGE_S
    is_mark = said in (Meaning.SEIZURE_START, Meaning.SEIZURE_END)
    return Meaning.UNCERTAIN if is_long_end or (at_edge and is_mark and is_bare_edge(event.kind)) else said


def _pair(ordered: Sequence[Event], meant: Sequence[Meaning]) -> tuple[list[Event], int]:
    """Seizures, their start marks joined with end marks; and how many end marks have no start."""
    seizures: list[Event] = []
    # Whether the last of them is a mark that waits for its end, and which text it has.
    waits, ended, n_lonely = "", True, 0
    for event, said in zip(ordered, meant, strict=True):
        if said is Meaning.SEIZURE_END:
            if ended or event.onset_s - seizures[-1].onset_s > MAX_SEIZURE_S:
                n_lonely += 1
            elif waits:
                seizures[-1] = replace(seizures[-1], duration_s=round(event.onset_s - seizures[-1].onset_s, 6))
            waits, ended = "", True
        elif said in (Meaning.SEIZURE, Meaning.SEIZURE_START):
            is_start = said is Meaning.SEIZURE_START
            if is_start and waits and waits != event.kind and event.onset_s - seizures[-1].onset_s < SAME_START_S:
                continue
            seizures.append(event)
            # The duration of a start mark is that of the mark, where an end mark follows.
            waits, ended = event.kind if is_start or not event.duration_s else "", False
    return seizures, n_lonely


def _is_inside(event: Event, duration_s: float) -> bool:
    """Whether a part of an event lies in the recording; one without duration may be at its very end."""
    if not event.duration_s:
        return -ROUNDING_S <= event.onset_s <= duration_s + ROUNDING_S
    return event.end_s > 0 and event.onset_s < duration_s


def _clip(event: Event, duration_s: float) -> Event:
    onset_s = min(max(float(event.onset_s), 0.0), duration_s)
    return replace(event, onset_s=onset_s, duration_s=max(min(float(event.end_s), duration_s) - onset_s, 0.0))


def _extend(event: Event, duration_s: float, min_seizure_s: float) -> Event:
    """Lengthen an event to the minimum; backwards, where the recording ends too soon."""
    if event.duration_s >= min_seizure_s:
        return event
    length_s = min(min_seizure_s, duration_s)
    return replace(event, onset_s=min(event.onset_s, duration_s - length_s), duration_s=length_s)
