"""What was found in recordings, and the pages to look at it."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd

from aura.config.schema import Config
from aura.core.errors import RecordingError
from aura.core.events import Event
from aura.core.parquet import read_meta
from aura.core.provenance import Provenance
from aura.core.recordings import Ecg
from aura.detection.alarms import Alarms
from aura.evaluation.results import Evaluation, ScoredRecording
from aura.formats.edf import read_ecg
from aura.reports.page import draw_page
from aura.reports.page_content import Recording, describe_doubt
from aura.tracking import runs
from aura.workspace.folders import is_synthetic, prepared_folder, read_rr

# Pages of those recordings in which most went wrong.
N_PAGES = 3


def log_pages(
    config: Config, evaluation: Evaluation, recordings: pd.DataFrame, alarms: Alarms, provenance: Provenance
) -> None:
    """Log pages of the recordings with the most events that were missed and the most false alarms.

    Parameters
    ----------
    config
        By which they were prepared.
    evaluation
        What was found in them.
    recordings
        Their rows of the table of recordings, in any order.
    alarms
        How they were raised.
    provenance
        Of the detector.
    """
    rows = recordings.set_index("recording", drop=False)
    with TemporaryDirectory() as folder:
        for number in sorted(range(len(evaluation.recordings)), key=lambda i: -_n_wrong(evaluation, i))[:N_PAGES]:
            one = evaluation.recordings[number]
            path = Path(folder) / f"{one.recording}.html"
            html = page_of(config, rows.loc[one.recording].to_dict(), one, found(alarms, one), provenance)
            path.write_text(html, encoding="utf-8")
            runs.log_files([path], "pages")


def _n_wrong(evaluation: Evaluation, number: int) -> int:
    """Events that were missed in a recording, and false alarms."""
    return evaluation.hits(number).count(False) + evaluation.correct_alarms(number).count(False)


def found(alarms: Alarms, one: ScoredRecording) -> tuple[tuple[Event, ...], tuple[Event, ...]]:
    """Alarms, each with its highest probability for a confidence; and stretches that could not be assessed."""
    detections = alarms.detect(
        one.probability, one.score, threshold=one.threshold, step_s=one.step_s, duration_s=one.duration_s
    )
    return detections.alarms, detections.not_assessed


def start_of(row: Mapping[Any, Any]) -> datetime | None:
    """Start of a prepared recording on the wall clock, where it is known."""
    return datetime.fromisoformat(row["start"]) if isinstance(row["start"], str) else None


def _ecg(config: Config, row: Mapping[Any, Any]) -> Ecg | None:
    """The ECG; None where the file has gone or changed since, or is not found by its pseudonym."""
    edf = Path(config.dataset.root) / row["edf"]
    if config.dataset.pseudonyms:
        return None
    try:
        return read_ecg(edf, [row["channel"]], row["unit"], row["signal"])
    except RecordingError:
        return None


def page_of(
    config: Config,
    row: Mapping[Any, Any],
    one: ScoredRecording,
    events: tuple[Sequence[Event], Sequence[Event]],
    provenance: Provenance,
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
    provenance
        Of the detector.
    """
    folder = prepared_folder(config)
    rr, seizures, _ = read_rr(folder, one.recording)
    meta = read_meta(folder / "rr" / f"{one.recording}.parquet")
    assert meta is not None
    return draw_page(
        Recording(
            name=one.recording,
            duration_s=one.duration_s,
            start=start_of(row),
            rr=rr,
            step_s=one.step_s,
            score=one.score,
            threshold=one.threshold,
            detected=events[0],
            not_assessed=events[1],
            reference=seizures if row["annotated"] else None,
            faults=[Event(onset_s, duration_s, kind) for onset_s, duration_s, kind in meta["unusable"]],
            normal_share=row["normal_share"],
            doubt=describe_doubt(row["normal_share"], row["remarks"]),
            ecg=_ecg(config, row),
            model=provenance.name,
            provenance=str(provenance),
            warning=provenance.warning(synthetic_data=is_synthetic(config)),
        )
    )
