"""What was found in recordings, and the pages to look at it."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from glob import escape
from pathlib import Path
from typing import Any

import numpy as np

from aura.alarms import Alarms
from aura.config import Config
from aura.datasets.edf import read_ecg
from aura.evaluation import ScoredRecording
from aura.events import from_mask, unite
from aura.page import Recording, page
from aura.stages.folders import prepared_folder, read_rr
from aura.table import read_meta
from aura.types import Event


def found(alarms: Alarms, one: ScoredRecording) -> tuple[tuple[Event, ...], tuple[Event, ...]]:
    """Alarms, each with its highest probability for a confidence; and stretches that could not be assessed."""
    events = []
    for alarm in alarms.events(one.score, threshold=one.threshold, step_s=one.step_s):
        steps = slice(int(alarm.onset_s / one.step_s), int(np.ceil(alarm.end_s / one.step_s)))
        highest = float(np.nanmax(one.probability[steps], initial=0.0))
        events.append(Event(alarm.onset_s, alarm.duration_s, "seiz", highest))
    blind = from_mask(np.isnan(one.score), step_s=one.step_s)
    # The last step of a recording may be cut short.
    end_s = len(one.score) * one.step_s
    rest = (Event(end_s, one.duration_s - end_s),) if end_s < one.duration_s else ()
    return tuple(events), unite((*blind, *rest), duration_s=one.duration_s)


def start_of(row: Mapping[Any, Any]) -> datetime | None:
    """Start of a prepared recording on the wall clock, where it is known."""
    return datetime.fromisoformat(row["start"]) if isinstance(row["start"], str) else None


def page_of(
    config: Config,
    row: Mapping[Any, Any],
    one: ScoredRecording,
    events: tuple[Sequence[Event], Sequence[Event]],
    model: str,
) -> str:
    """Draw the page of a prepared recording.

    Parameters
    ----------
    config
        By which it was prepared.
    row
        Of the table of recordings.
    one
        What the detector said of it.
    events
        As `found` gives them.
    model
        Name of the detector.
    """
    folder = prepared_folder(config)
    rr, seizures, _ = read_rr(folder, one.recording)
    meta = read_meta(folder / "rr" / f"{one.recording}.parquet")
    assert meta is not None
    # By pseudonyms no file is found.
    edf = None if config.dataset.pseudonyms else Path(config.dataset.root) / row["edf"]
    return page(
        Recording(
            name=one.recording,
            duration_s=one.duration_s,
            start=start_of(row),
            rr=rr,
            step_s=one.step_s,
            score=one.score,
            threshold=one.threshold,
            found=events[0],
            not_assessed=events[1],
            reference=seizures if row["annotated"] else None,
            faults=[Event(onset_s, duration_s, kind) for onset_s, duration_s, kind in meta["unusable"]],
            ecg=None if edf is None else read_ecg(edf, [escape(row["channel"])]),
            model=model,
        )
    )
