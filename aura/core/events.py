"""Events of a recording, merging of events, and conversion from masks."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from aura.core.arrays import Bools
from aura.core.errors import InvalidInput, check_number, check_type


@dataclass(frozen=True, slots=True)
class Event:
    """A stretch of a recording, such as a seizure.

    Parameters
    ----------
    onset_s, duration_s
        Start, counted from the start of the recording, and length, in seconds.
    kind
        Type of the event; ``seiz`` is a seizure, as in TUSZ.
    confidence
        Between 0 and 1.

    Raises
    ------
    InvalidInput
        For a time or a confidence that is not a number, or a kind that is not a text.
    """

    onset_s: float
    duration_s: float
    kind: str = "seiz"
    confidence: float = 1.0

    def __post_init__(self) -> None:
        """Validate the types; readers check the values, since their errors name the line."""
        check_number("onset_s", self.onset_s, "seconds from the start of the recording")
        check_number("duration_s", self.duration_s, "seconds")
        check_type("kind", self.kind, str, "a word such as 'seiz'")
        check_number("confidence", self.confidence, "numbers from 0 to 1")

    @property
    def end_s(self) -> float:
        """End in seconds from the start of the recording."""
        return self.onset_s + self.duration_s


@dataclass(frozen=True, slots=True)
class OutsideSegments(Event):
    """An event that lies in no segment of its record, although its times are valid."""


def check_events(name: str, events: Any) -> tuple[Event, ...]:
    """Return the events that a caller passed; raise InvalidInput for anything else.

    Examples
    --------
    >>> check_events("seizures", [3])
    Traceback (most recent call last):
    aura.core.errors.InvalidInput: seizures holds a value of type int; allowed is a list of Event
    """
    check_type(name, events, Iterable, "a list of Event")
    checked = tuple(events)
    for event in checked:
        if not isinstance(event, Event):
            raise InvalidInput(f"{name} holds a value of type {type(event).__name__}; allowed is a list of Event")
    return checked


def unite(events: Iterable[Event], *, duration_s: float) -> tuple[Event, ...]:
    """Sort events, clip them to the recording, and merge those that touch or overlap.

    A merged event has the kind of its first part and the highest confidence of its parts. An event without duration is
    kept; an event with a duration that lies outside the recording is dropped.

    Parameters
    ----------
    events
        Events in any order.
    duration_s
        Length of the recording in seconds.

    Returns
    -------
    tuple of Event
        Sorted and disjoint.

    Examples
    --------
    >>> unite([Event(5, 10), Event(0, 6)], duration_s=12)
    (Event(onset_s=0.0, duration_s=12.0, kind='seiz', confidence=1.0),)
    """
    inside = []
    for event in events:
        onset_s, end_s = max(float(event.onset_s), 0.0), min(float(event.end_s), duration_s)
        if onset_s < end_s or (onset_s == end_s and event.duration_s == 0):
            inside.append(Event(onset_s, end_s - onset_s, event.kind, event.confidence))
    return merge(inside)


def merge(events: Iterable[Event]) -> tuple[Event, ...]:
    """Sort events and merge those that touch or overlap, as `unite` does, without clipping.

    Examples
    --------
    >>> merge([Event(-3, 2), Event(-1, 4)])
    (Event(onset_s=-3, duration_s=6, kind='seiz', confidence=1.0),)
    """
    merged: list[Event] = []
    for event in sorted(events, key=lambda e: (e.onset_s, e.end_s)):
        if merged and event.onset_s <= merged[-1].end_s:
            last = merged[-1]
            end_s = max(event.end_s, last.end_s)
            confidence = max(event.confidence, last.confidence)
            merged[-1] = Event(last.onset_s, end_s - last.onset_s, last.kind, confidence)
        else:
            merged.append(event)
    return tuple(merged)


def from_mask(mask: Bools, *, step_s: float) -> tuple[Event, ...]:
    """Convert the runs of True in a mask to events.

    Parameters
    ----------
    mask
        (n_steps,) element i covers the time from ``i * step_s`` to ``(i + 1) * step_s``.
    step_s
        Length of one element in seconds.

    Examples
    --------
    >>> from_mask(np.array([False, True, True]), step_s=2.0)
    (Event(onset_s=2.0, duration_s=4.0, kind='seiz', confidence=1.0),)
    """
    edges = np.flatnonzero(np.diff(np.concatenate(([False], mask, [False])).astype(np.int8)))
    return tuple(
        Event(float(first * step_s), float((last - first) * step_s))
        for first, last in zip(edges[::2], edges[1::2], strict=True)
    )
