"""The seizures of a recording, from all its annotations; no seizure is dropped without being counted."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from aura.core.events import Event, OutsideSegments, unite
from aura.core.wording import counted
from aura.formats.vocabulary import NO_WORDS, Meaning, Words, is_bare_edge, meanings

# Annotated times are rounded to this.
ROUNDING_S = 0.01
# An end mark that comes later belongs to another seizure.
MAX_SEIZURE_S = 900.0
# Two different start marks (EEG onset, clinical onset) this close belong to one seizure.
SAME_START_S = 120.0
# A start or end mark without a noun, this close to an edge of the recording, may be that of the recording.
AT_EDGE_S = 1.0
# Longest duration of an end mark.
MAX_MARK_S = 2.0


@dataclass(frozen=True, slots=True)
class Annotated:
    """What the annotations of a recording tell about seizures.

    Parameters
    ----------
    seizures
        Sorted, disjoint, within the recording; None if the annotations do not tell whether there were any.
    n_clipped
        Seizures cut at an edge of the recording.
    n_united
        Seizures that overlap another one.
    n_extended
        Seizures that got the minimum duration, because their end is not known or they were shorter.
    n_outside
        Seizures that lie wholly outside the recording.
    n_uncertain
        Possible or reported seizures, end marks without a start, and marks without a noun.
    unknown
        Texts that were not understood, and marks without a noun, with the number of events of each.
    remarks
        Codes for the table of recordings.
    problem
        Sentence that explains why the seizures are not known, or that some lie in no segment of the record.
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

    A start mark reaches to the next end mark before the next start, at most 15 min later. Without an end mark only the
    onset is known, and the seizure gets the minimum duration.

    Parameters
    ----------
    events
        All annotations, in any order; a mark has a duration of 0.
    duration_s
        Length of the recording in seconds.
    min_seizure_s
        Duration in seconds of seizures that are annotated as shorter.
    words
        Words of the clinic that wrote the annotations.

    Examples
    --------
    >>> marks = [Event(30, 0, "seizure onset"), Event(75, 0, "seizure end"), Event(90, 0, "sz")]
    >>> annotated = find_seizures(marks, duration_s=120, min_seizure_s=1)
    >>> [(event.onset_s, event.duration_s) for event in annotated.seizures], annotated.n_extended
    ([(30.0, 45.0), (90.0, 1.0)], 1)
    """
    ordered = sorted(events, key=lambda event: event.onset_s)
    by_text = meanings((event.kind for event in ordered), words)
    event_meanings = [_interpret(event, by_text[event.kind], duration_s) for event in ordered]
    count = Counter(event_meanings)
    annotated, n_lonely_ends = _pair_marks(ordered, event_meanings)
    inside = [event for event in annotated if _is_inside(event, duration_s)]
    clipped = [_clip(event, duration_s) for event in inside]
    extended = [_extend(event, duration_s, min_seizure_s) for event in clipped]
    n_uncertain = count[Meaning.UNCERTAIN] + n_lonely_ends
    tells_none = bool(count[Meaning.BACKGROUND] or count[Meaning.NON_EPILEPTIC])
    is_known, problem = _judge(annotated, inside, n_uncertain, tells_none=tells_none, duration_s=duration_s)
    unknown = _count_unknown(ordered, event_meanings)
    counts = {
        "n_clipped": sum(e.onset_s < -ROUNDING_S or e.end_s > duration_s + ROUNDING_S for e in inside),
        "n_united": _count_overlaps(extended),
        "n_extended": sum(event.duration_s < min_seizure_s for event in clipped),
        "n_outside": len(annotated) - len(inside),
        "n_uncertain": n_uncertain,
    }
    remarks = {
        "no_seizure_words": not annotated and not n_uncertain and not tells_none,
        "clipped_events": counts["n_clipped"],
        "united_events": counts["n_united"],
        "extended_events": counts["n_extended"],
        "seizures_outside": counts["n_outside"],
        "uncertain_events": n_uncertain,
        "unknown_labels": unknown,
    }
    return Annotated(
        seizures=unite(extended, duration_s=duration_s) if is_known else None,
        **counts,
        unknown=tuple(unknown.most_common()),
        remarks=tuple(code for code, holds in remarks.items() if holds),
        problem=problem,
    )


def _count_unknown(ordered: Sequence[Event], event_meanings: Sequence[Meaning]) -> Counter[str]:
    """Count the events with each text that was not understood, or has no noun."""
    return Counter(
        event.kind
        for event, meaning in zip(ordered, event_meanings, strict=True)
        if meaning is Meaning.UNKNOWN or (meaning is Meaning.UNCERTAIN and is_bare_edge(event.kind))
    )


def _judge(
    annotated: Sequence[Event], inside: Sequence[Event], n_uncertain: int, *, tells_none: bool, duration_s: float
) -> tuple[bool, str | None]:
    """Return whether the annotations tell which seizures there were, and a sentence on what is wrong with them."""
    n_outside = len(annotated) - len(inside)
    n_elsewhere = sum(isinstance(event, OutsideSegments) for event in annotated)
    problem = None
    if n_elsewhere:
        problem = (
            counted(n_elsewhere, "of the annotated seizures lies", "of the annotated seizures lie")
            + " between two segments of its record, or outside all of them"
        )
    if inside:
        return True, problem
    if n_outside > n_elsewhere:
        first_s = min(event.onset_s for event in annotated)
        return False, (
            f"{counted(n_outside, 'annotated seizure')} and none in its {duration_s:.0f} s, the first at "
            f"{first_s:.0f} s; times have to be in seconds from the start of the recording, or times of day on its "
            "clock"
        )
    if n_uncertain:
        return False, "its annotations tell of possible seizures only, so nobody knows whether there was one"
    if not tells_none:
        missing = "none of its annotations says anything about seizures; dataset.words adds words of your own"
        return False, problem or missing
    return True, problem


def _interpret(event: Event, meaning: Meaning, duration_s: float) -> Meaning:
    """Return the meaning of an event, given that of its text: some start and end marks are uncertain."""
    is_long_end = meaning is Meaning.SEIZURE_END and event.duration_s > MAX_MARK_S
    at_edge = event.onset_s <= AT_EDGE_S or event.onset_s >= duration_s - AT_EDGE_S
    is_mark = meaning in (Meaning.SEIZURE_START, Meaning.SEIZURE_END)
    return Meaning.UNCERTAIN if is_long_end or (at_edge and is_mark and is_bare_edge(event.kind)) else meaning


def _pair_marks(ordered: Sequence[Event], event_meanings: Sequence[Meaning]) -> tuple[list[Event], int]:
    """Join start marks with end marks; return the seizures, and the number of end marks without a start."""
    seizures: list[Event] = []
    # Text of the last seizure if it is a mark that waits for its end; and whether its end mark has come.
    waits, ended, n_lonely = "", True, 0
    for event, meaning in zip(ordered, event_meanings, strict=True):
        if meaning is Meaning.SEIZURE_END:
            if ended or event.onset_s - seizures[-1].onset_s > MAX_SEIZURE_S:
                n_lonely += 1
            elif waits:
                seizures[-1] = replace(seizures[-1], duration_s=round(event.onset_s - seizures[-1].onset_s, 6))
            waits, ended = "", True
        elif meaning in (Meaning.SEIZURE, Meaning.SEIZURE_START):
            is_start = meaning is Meaning.SEIZURE_START
            if is_start and waits and waits != event.kind and event.onset_s - seizures[-1].onset_s < SAME_START_S:
                continue
            seizures.append(event)
            # A start mark may have a duration of its own, which an end mark replaces.
            waits, ended = event.kind if is_start or not event.duration_s else "", False
    return seizures, n_lonely


def _count_overlaps(events: Iterable[Event]) -> int:
    """Count the events that begin before an earlier one has ended."""
    n_overlaps, until_s = 0, float("-inf")
    for event in sorted(events, key=lambda event: event.onset_s):
        n_overlaps += event.onset_s < until_s - ROUNDING_S
        until_s = max(until_s, event.end_s)
    return n_overlaps


def _is_inside(event: Event, duration_s: float) -> bool:
    """Whether a part of an event lies in the recording; an event without duration may lie at its very end."""
    if not event.duration_s:
        return -ROUNDING_S <= event.onset_s <= duration_s + ROUNDING_S
    return event.end_s > 0 and event.onset_s < duration_s


def _clip(event: Event, duration_s: float) -> Event:
    onset_s = min(max(float(event.onset_s), 0.0), duration_s)
    return replace(event, onset_s=onset_s, duration_s=max(min(float(event.end_s), duration_s) - onset_s, 0.0))


def _extend(event: Event, duration_s: float, min_seizure_s: float) -> Event:
    """Lengthen an event to the minimum duration; backwards if the recording ends too soon."""
    if event.duration_s >= min_seizure_s:
        return event
    length_s = min(min_seizure_s, duration_s)
    return replace(event, onset_s=min(event.onset_s, duration_s - length_s), duration_s=length_s)
