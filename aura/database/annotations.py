"""What people say happened in recordings: out of the tables, and how far they agree."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from aura.core.arrays import Bools
from aura.core.events import Event, unite

if TYPE_CHECKING:
    import psycopg


# What people draw may reach so far beyond a recording.
ROUNDING_S = 1.0


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording that was, or could have been, annotated."""

    recording_id: int
    dataset: str
    name: str
    start_at: datetime
    start_known: bool
    duration_s: float
    # By the corpus.
    annotated: bool


@dataclass(frozen=True, slots=True)
class Annotation:
    """What somebody said, and when; ``kind`` is seiz or bckg."""

    annotator: str
    event: Event
    said_at: datetime


def recordings(connection: "psycopg.Connection[tuple[Any, ...]]") -> list[Recording]:
    """All recordings."""
    rows = connection.execute(
        "SELECT recording_id, dataset, name, start_at, start_known, duration_s, annotated FROM recording "
        "ORDER BY dataset, name"
    )
    return [Recording(*row) for row in rows]


def annotations(
    connection: "psycopg.Connection[tuple[Any, ...]]", recording: Recording
) -> tuple[list[Annotation], list[str]]:
    """What was said of a recording.

    Returns
    -------
    said
        In the order in which it was.
    outside
        A sentence for each annotation that is not, or not wholly, within the recording.
    """
    rows = connection.execute(
        "SELECT annotation_id, annotator, onset_at, end_at, kind, confidence, created_at FROM annotation "
        "WHERE recording_id = %s ORDER BY created_at, annotation_id",
        (recording.recording_id,),
    )
    said, outside = [], []
    for number, annotator, onset_at, end_at, kind, confidence, said_at in rows:
        onset_s = (onset_at - recording.start_at).total_seconds()
        event = Event(onset_s, (end_at - onset_at).total_seconds(), kind, confidence)
        if event.onset_s < -ROUNDING_S or event.end_s > recording.duration_s + ROUNDING_S:
            outside.append(
                f"annotation {number} of {annotator}, {onset_at:%Y-%m-%d %H:%M:%S}, reaches beyond {recording.name}"
            )
            continue
        said.append(Annotation(annotator, event, said_at))
    return said, outside


def seizures(said: Sequence[Annotation], duration_s: float) -> tuple[Event, ...]:
    """Seizures of one annotator, of whom the later word counts: background takes away from what was a seizure before.

    Parameters
    ----------
    said
        In the order in which it was.
    duration_s
        Length of the recording.

    Examples
    --------
    >>> at = datetime(2026, 1, 1)
    >>> seizures([Annotation("a", Event(10, 20), at), Annotation("a", Event(15, 5, "bckg"), at)], 60)[0].end_s
    15.0
    """
    kept: list[Event] = []
    for one in said:
        event = one.event
        if event.kind == "seiz":
            kept.append(event)
            continue
        parts = []
        for other in kept:
            if other.onset_s < event.onset_s:
                end_s = min(other.end_s, event.onset_s)
                parts.append(replace(other, duration_s=end_s - other.onset_s))
            if other.end_s > event.end_s:
                onset_s = max(other.onset_s, event.end_s)
                parts.append(replace(other, onset_s=onset_s, duration_s=other.end_s - onset_s))
        kept = parts
    return unite(kept, duration_s=duration_s)


def agreement(by_annotator: dict[str, tuple[Event, ...]], duration_s: float) -> pd.DataFrame:
    """Say how far annotators of a recording agree, second by second.

    Parameters
    ----------
    by_annotator
        Seizures each found.
    duration_s
        Length of the recording.

    Returns
    -------
    DataFrame
        A row per pair: ``one``, ``other``, ``kappa`` (NaN where neither found a seizure: there is nothing to disagree
        on), ``disputed_s``.

    References
    ----------
    Cohen J. A coefficient of agreement for nominal scales. Educ Psychol Meas 1960;20:37-46.
    doi:10.1177/001316446002000104
    """
    from sklearn.metrics import cohen_kappa_score

    rows = []
    for one, other in combinations(sorted(by_annotator), 2):
        a, b = _seconds(by_annotator[one], duration_s), _seconds(by_annotator[other], duration_s)
        kappa = float(cohen_kappa_score(a, b)) if (a | b).any() and not (a & b).all() else np.nan
        rows.append({"one": one, "other": other, "kappa": kappa, "disputed_s": int((a != b).sum())})
    return pd.DataFrame(rows, columns=["one", "other", "kappa", "disputed_s"])


def _seconds(events: Sequence[Event], duration_s: float) -> Bools:
    """Whether the middle of each second lies in an event."""
    middle_s = np.arange(0.5, max(duration_s, 1.0), 1.0)
    there = np.zeros(len(middle_s), dtype=np.bool_)
    for event in events:
        there |= (middle_s >= event.onset_s) & (middle_s < event.end_s)
    return there
