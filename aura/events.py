"""Sets of events and masks: the two ways to say when something happens."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence

import numpy as np

from aura.types import Bools, Event


def unite(events: Iterable[Event], *, duration_s: float) -> tuple[Event, ...]:
    """Sort events, clip them to the recording, and unite those that touch or overlap.

    A united event keeps the kind of its first part and the highest confidence of all.

    Parameters
    ----------
    events
        In any order.
    duration_s
        Length of the recording; what lies outside is dropped.

    Returns
    -------
    tuple of Event
        Sorted, disjoint, each longer than 0 s.

    Examples
    --------
    >>> unite([Event(5, 10), Event(0, 6)], duration_s=12)
    (Event(onset_s=0.0, duration_s=12.0, kind='seiz', confidence=1.0),)
    """
    united: list[Event] = []
    for event in sorted(events, key=lambda e: (e.onset_s, e.end_s)):
        onset_s, end_s = max(float(event.onset_s), 0.0), min(float(event.end_s), duration_s)
        if end_s <= onset_s:
            continue
        if united and onset_s <= united[-1].end_s:
            last = united[-1]
            end_s = max(end_s, last.end_s)
            confidence = max(event.confidence, last.confidence)
            united[-1] = Event(last.onset_s, end_s - last.onset_s, last.kind, confidence)
        else:
            united.append(Event(onset_s, end_s - onset_s, event.kind, event.confidence))
    return tuple(united)


def overlapping(events: Sequence[Event], begin_s: float, end_s: float) -> Sequence[Event]:
    """Return the events that overlap a stretch of time; they are sorted and disjoint.

    Examples
    --------
    >>> overlapping([Event(0, 5), Event(10, 5), Event(20, 5)], 5, 11)
    [Event(onset_s=10, duration_s=5, kind='seiz', confidence=1.0)]
    """
    first = bisect_right(events, begin_s, key=lambda event: event.end_s)
    return events[first : bisect_left(events, end_s, lo=first, key=lambda event: event.onset_s)]


def from_mask(mask: Bools, *, step_s: float) -> tuple[Event, ...]:
    """Turn the runs of True in a mask into events.

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
