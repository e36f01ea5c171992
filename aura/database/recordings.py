"""Write recordings and their detections into the tables: whole or not at all, and never twice."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from aura.core.arrays import Floats
from aura.core.events import Event
from aura.core.provenance import Provenance
from aura.core.series import RRSeries
from aura.database.copy import copy_columns, to_timestamps

if TYPE_CHECKING:
    import psycopg

# Start of a recording whose file has none, by the convention of BIDS.
NO_START = datetime(1985, 1, 1, tzinfo=UTC)
# Annotator of the corpus's own annotations.
REFERENCE = "reference"
# Tables whose rows belong to a recording and a detector.
OF_MODEL = ("prediction", "detection")


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """A row of the table of recordings."""

    dataset: str
    name: str
    subject: str
    session: str
    start: datetime | None
    duration_s: float
    channel: str
    fs_hz: float
    usable_share: float
    n_beats: int
    annotated: bool
    # Digest of all that is imported, the ECG excepted.
    content: str

    @property
    def start_at(self) -> datetime:
        """Start on the recording's own clock, as if that ran in UTC."""
        return NO_START if self.start is None else self.start.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """A detector: its provenance, and the time from one window to the next in seconds."""

    provenance: Provenance
    step_s: float


def lock_recording(connection: "psycopg.Connection[tuple[Any, ...]]", dataset: str, name: str, *, wait: bool) -> bool:
    """Lock a recording for this process until the transaction ends.

    Returns
    -------
    bool
        False if another process has the lock and ``wait`` is false.
    """
    lock = "pg_advisory_xact_lock" if wait else "pg_try_advisory_xact_lock"
    row = connection.execute(
        f"SELECT {lock}(hashtextextended(%s, 0))",
        (f"aura {dataset} {name}",),
    ).fetchone()
    return wait or bool(row and row[0])


def find_recording(connection: "psycopg.Connection[tuple[Any, ...]]", row: Row) -> int | None:
    """Return the id of a recording whose tables already have this content; None otherwise."""
    found = connection.execute(
        "SELECT recording_id FROM recording WHERE (dataset, name, content) = (%s, %s, %s)",
        (row.dataset, row.name, row.content),
    ).fetchone()
    return None if found is None else int(found[0])


def write_recording(
    connection: "psycopg.Connection[tuple[Any, ...]]",
    row: Row,
    rr: RRSeries,
    *,
    seizures: Sequence[Event],
    faults: Sequence[Event],
) -> int:
    """Replace a recording, its ECG excepted, within a transaction of the caller.

    If the start of the recording has changed, annotations by people move along with it. Detections are removed.

    Parameters
    ----------
    connection
        Connection in a transaction.
    row, rr
        The recording, and its RR intervals.
    seizures
        Seizures of the corpus's own annotations.
    faults
        Stretches without a usable ECG, by kind.

    Returns
    -------
    int
        Id of the recording; it stays the same when the recording is imported again.
    """
    recording_id = _upsert(connection, row)
    for table in ("rr", "quality", *OF_MODEL):
        connection.execute(f"DELETE FROM {table} WHERE recording_id = %s", (recording_id,))
    connection.execute("DELETE FROM annotation WHERE (recording_id, annotator) = (%s, %s)", (recording_id, REFERENCE))
    start = row.start_at
    ts = to_timestamps(start, rr.t_s)
    copy_columns(connection, "rr", {"recording_id": recording_id, "ts": ts, "rr_ms": rr.rr_ms})
    with connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO quality (recording_id, onset_at, end_at, kind) VALUES (%s, %s, %s, %s)",
            [(recording_id, *_span(start, event), event.kind) for event in faults],
        )
        cursor.executemany(
            "INSERT INTO annotation (recording_id, annotator, onset_at, end_at, confidence) "
            "VALUES (%s, %s, %s, %s, %s)",
            [(recording_id, REFERENCE, *_span(start, event), event.confidence) for event in seizures],
        )
    connection.execute("DELETE FROM failure WHERE (dataset, recording) = (%s, %s)", (row.dataset, row.name))
    return recording_id


def _upsert(connection: "psycopg.Connection[tuple[Any, ...]]", row: Row) -> int:
    """Insert or update the row of a recording, move annotations by people to its start, and return its id."""
    values = {
        "dataset": row.dataset,
        "name": row.name,
        "subject": row.subject,
        "session": row.session,
        "start_at": row.start_at,
        "start_known": row.start is not None,
        "duration_s": row.duration_s,
        "end_at": row.start_at + timedelta(seconds=row.duration_s),
        "channel": row.channel,
        "fs_hz": row.fs_hz,
        "usable_share": row.usable_share,
        "n_beats": row.n_beats,
        "annotated": row.annotated,
        "content": row.content,
    }
    names, places = ", ".join(values), ", ".join(["%s"] * len(values))
    connection.execute(
        "UPDATE annotation a SET (onset_at, end_at) = (onset_at + moved, a.end_at + moved) "
        "FROM (SELECT recording_id, %s - start_at AS moved FROM recording WHERE (dataset, name) = (%s, %s)) r "
        "WHERE a.recording_id = r.recording_id AND moved <> interval '0'",
        (row.start_at, row.dataset, row.name),
    )
    stored = connection.execute(
        f"INSERT INTO recording ({names}) VALUES ({places}) ON CONFLICT (dataset, name) DO UPDATE "
        f"SET ({names}, imported_at) = ({places}, now()) RETURNING recording_id",
        [*values.values(), *values.values()],
    ).fetchone()
    assert stored is not None
    return int(stored[0])


def has_ecg(connection: "psycopg.Connection[tuple[Any, ...]]", recording_id: int, content: str) -> bool:
    """Return whether the ECG in the tables has this digest."""
    row = connection.execute("SELECT ecg_content FROM recording WHERE recording_id = %s", (recording_id,)).fetchone()
    return row == (content,)


def write_ecg(
    connection: "psycopg.Connection[tuple[Any, ...]]",
    recording_id: int,
    start: datetime,
    ecg: Iterable[tuple[Floats, Floats, Floats]],
    content: str,
) -> None:
    """Replace the ECG of a recording, within a transaction of the caller.

    Parameters
    ----------
    connection
        Connection in a transaction.
    recording_id, start
        Id and start of the recording.
    ecg
        Times in seconds, lowest and highest values in mV, in pieces, from `aura.ecg.envelope.envelope`.
    content
        Digest of the ECG.
    """
    connection.execute("DELETE FROM ecg WHERE recording_id = %s", (recording_id,))
    for t_s, low_mv, high_mv in ecg:
        copy_columns(
            connection,
            "ecg",
            {
                "recording_id": recording_id,
                "ts": to_timestamps(start, t_s),
                "low_mv": low_mv.astype(np.float32),
                "high_mv": high_mv.astype(np.float32),
            },
        )
    connection.execute("UPDATE recording SET ecg_content = %s WHERE recording_id = %s", (content, recording_id))


def write_model(connection: "psycopg.Connection[tuple[Any, ...]]", model: Model) -> int:
    """Add a detector or update it, and return its id."""
    made_by = model.provenance
    values = {
        "name": made_by.address,
        "run_id": made_by.run_id,
        "threshold": made_by.threshold,
        "step_s": model.step_s,
        "training_corpus": made_by.origin.corpus or None,
        "synthetic_training": made_by.synthetic_training,
        "software": made_by.software,
        "imported_on": made_by.date,
    }
    row = connection.execute(
        f"INSERT INTO model ({', '.join(values)}) VALUES ({', '.join(['%s'] * len(values))}) "
        "ON CONFLICT (name, run_id, threshold) DO UPDATE SET step_s = EXCLUDED.step_s, "
        "training_corpus = EXCLUDED.training_corpus, synthetic_training = EXCLUDED.synthetic_training, "
        "software = EXCLUDED.software, imported_on = EXCLUDED.imported_on RETURNING model_id",
        tuple(values.values()),
    ).fetchone()
    assert row is not None
    return int(row[0])


def has_predictions(connection: "psycopg.Connection[tuple[Any, ...]]", recording_id: int, model: int) -> bool:
    """Return whether the tables have predictions or detections of a recording by a detector."""
    row = connection.execute(
        "SELECT EXISTS (SELECT FROM prediction WHERE (recording_id, model_id) = (%s, %s)) "
        "OR EXISTS (SELECT FROM detection WHERE (recording_id, model_id) = (%s, %s))",
        (recording_id, model, recording_id, model),
    ).fetchone()
    return bool(row and row[0])


def write_predictions(
    connection: "psycopg.Connection[tuple[Any, ...]]",
    recording_id: int,
    model: int,
    start: datetime,
    *,
    t_s: Floats,
    probability: Floats,
    score: Floats,
    alarms: Sequence[Event],
    not_assessed: Sequence[Event],
) -> None:
    """Replace the predictions and detections of a recording by a detector, within a transaction of the caller.

    Parameters
    ----------
    connection
        Connection in a transaction.
    recording_id, model, start
        Ids of recording and detector, and the start of the recording.
    t_s, probability, score
        (n_windows,) ends of the windows in seconds, and their probabilities and scores; NaN where there is none.
    alarms, not_assessed
        Alarms of the detector, and stretches that it could not assess.
    """
    for table in OF_MODEL:
        connection.execute(f"DELETE FROM {table} WHERE (recording_id, model_id) = (%s, %s)", (recording_id, model))
    ids = {"recording_id": recording_id, "model_id": model}
    ts, has_probability = to_timestamps(start, t_s), ~np.isnan(probability)
    has_both = has_probability & ~np.isnan(score)
    columns = {"ts": ts[has_both], "probability": probability[has_both], "score": score[has_both]}
    copy_columns(connection, "prediction", {**ids, **columns})
    # Before there is a baseline. Copied apart, since in the binary format a row without a value is shorter.
    has_probability_only = has_probability & ~has_both
    copy_columns(
        connection,
        "prediction",
        {**ids, "ts": ts[has_probability_only], "probability": probability[has_probability_only]},
    )
    events = [(event, "seiz", event.confidence) for event in alarms]
    events += [(event, "not_assessed", 1.0) for event in not_assessed]
    with connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO detection (recording_id, model_id, onset_at, end_at, kind, confidence) "
            "VALUES (%s, %s, %s, %s, %s, %s)",
            [(recording_id, model, *_span(start, event), kind, confidence) for event, kind, confidence in events],
        )


def write_failure(
    connection: "psycopg.Connection[tuple[Any, ...]]", dataset: str, name: str, stage: str, reason: str, message: str
) -> None:
    """Store why a recording is missing; characters that PostgreSQL cannot store are replaced."""
    # An index entry cannot be longer.
    name = name.encode()[:1000].decode(errors="ignore")
    texts = [text.replace("\0", "\N{REPLACEMENT CHARACTER}") for text in (dataset, name, stage, reason, message)]
    connection.execute(
        "INSERT INTO failure (dataset, recording, stage, reason, message) VALUES (%s, %s, %s, %s, %s) "
        "ON CONFLICT (dataset, recording, stage) DO UPDATE SET (reason, message, failed_at) = "
        "(EXCLUDED.reason, EXCLUDED.message, now())",
        texts,
    )


def _span(start: datetime, event: Event) -> tuple[datetime, datetime]:
    """Return start and end of an event on the recording's clock."""
    return start + timedelta(seconds=event.onset_s), start + timedelta(seconds=event.end_s)
