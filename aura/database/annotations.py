"""Annotations by people: read from the tables, merged per annotator, and their agreement."""

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


# Marks of people may reach this far beyond a recording.
ROUNDING_S = 1.0


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording that people can annotate."""

    recording_id: int
    dataset: str
    name: str
    start_at: datetime
    start_known: bool
    duration_s: float
    # Whether the corpus has annotations of it.
    annotated: bool


@dataclass(frozen=True, slots=True)
class Annotation:
    """An event as a person marked it; its ``kind`` is seiz or bckg."""

    annotator: str
    event: Event
    made_at: datetime


def read_recordings(connection: "psycopg.Connection[tuple[Any, ...]]") -> list[Recording]:
    """Read all recordings."""
    rows = connection.execute(
        "SELECT recording_id, dataset, name, start_at, start_known, duration_s, annotated FROM recording "
        "ORDER BY dataset, name"
    )
    return [Recording(*row) for row in rows]


def read_annotations(
    connection: "psycopg.Connection[tuple[Any, ...]]", recording: Recording
) -> tuple[list[Annotation], list[str]]:
    """Read the annotations of a recording.

    Returns
    -------
    annotations
        In the order in which they were made.
    outside
        A sentence for each annotation that lies outside of the recording, or reaches beyond it.
    """
    rows = connection.execute(
        "SELECT annotation_id, annotator, onset_at, end_at, kind, confidence, created_at FROM annotation "
        "WHERE recording_id = %s ORDER BY created_at, annotation_id",
        (recording.recording_id,),
    )
    inside, outside = [], []
    for number, annotator, onset_at, end_at, kind, confidence, made_at in rows:
        onset_s = (onset_at - recording.start_at).total_seconds()
        event = Event(onset_s, (end_at - onset_at).total_seconds(), kind, confidence)
        if event.onset_s < -ROUNDING_S or event.end_s > recording.duration_s + ROUNDING_S:
            outside.append(
                f"annotation {number} of {annotator}, {onset_at:%Y-%m-%d %H:%M:%S}, reaches beyond {recording.name}"
            )
            continue
        inside.append(Annotation(annotator, event, made_at))
    return inside, outside


def merge_seizures(marks: Sequence[Annotation], duration_s: float) -> tuple[Event, ...]:
    """Merge the marks of one annotator into seizures; later background removes earlier seizures.

    Parameters
    ----------
    marks
        Annotations in the order in which they were made.
    duration_s
        Length of the recording.

    Examples
    --------
    >>> at = datetime(2026, 1, 1)
    >>> merge_seizures([Annotation("a", Event(10, 20), at), Annotation("a", Event(15, 5, "bckg"), at)], 60)[0].end_s
    15.0
    """
    kept: list[Event] = []
    for mark in marks:
        event = mark.event
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


def compute_agreement(by_annotator: dict[str, tuple[Event, ...]], duration_s: float) -> pd.DataFrame:
    """Compute how far annotators of a recording agree, second by second.

    Parameters
    ----------
    by_annotator
        Seizures of each annotator.
    duration_s
        Length of the recording.

    Returns
    -------
    DataFrame
        A row per pair: ``one``, ``other``, ``kappa`` (NaN if neither marked a seizure), ``disputed_s``.

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
    """Return whether the middle of each second lies in an event, (n_seconds,)."""
    middle_s = np.arange(0.5, max(duration_s, 1.0), 1.0)
    inside = np.zeros(len(middle_s), dtype=np.bool_)
    for event in events:
        inside |= (middle_s >= event.onset_s) & (middle_s < event.end_s)
    return inside
