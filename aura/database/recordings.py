"""A recording and what is known of it, into the tables: whole or not at all, and never twice."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from aura.core.arrays import Floats
from aura.core.events import Event
from aura.core.provenance import Provenance
from aura.core.series import RRSeries
from aura.database.copy import copy, timestamps

if TYPE_CHECKING:
    import psycopg

# Start of a recording that says none, as BIDS has it.
NO_START = datetime(1985, 1, 1, tzinfo=UTC)
# Who annotated what the corpus says.
REFERENCE = "reference"
# Rows that hang on a recording and a detector.
OF_MODEL = ("prediction", "detection")


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """What stands in the table of recordings."""

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
    # Digest of what is imported besides the ECG.
    content: str

    @property
    def start_at(self) -> datetime:
        """Start on the recording's own clock, written as UTC."""
        return NO_START if self.start is None else self.start.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """A detector: where it comes from, and the time from one of its windows to the next."""

    provenance: Provenance
    step_s: float


def claim(connection: "psycopg.Connection[tuple[Any, ...]]", dataset: str, name: str, *, wait: bool) -> bool:
    """Keep others from a recording until the transaction ends.

    Returns
    -------
    bool
        False where another has it, and there was no waiting.
    """
    lock = "pg_advisory_xact_lock" if wait else "pg_try_advisory_xact_lock"
    row = connection.execute(
        f"SELECT {lock}(hashtextextended(%s, 0))",
        (f"aura {dataset} {name}",),
    ).fetchone()
    return wait or bool(row and row[0])


def known(connection: "psycopg.Connection[tuple[Any, ...]]", row: Row) -> int | None:
    """Id of a recording whose content is in the tables already."""
    found = connection.execute(
        "SELECT recording_id FROM recording WHERE (dataset, name, content) = (%s, %s, %s)",
        (row.dataset, row.name, row.content),
    ).fetchone()
    return None if found is None else int(found[0])


def put(
    connection: "psycopg.Connection[tuple[Any, ...]]",
    row: Row,
    rr: RRSeries,
    *,
    seizures: Sequence[Event],
    faults: Sequence[Event],
) -> int:
    """Replace a recording but for its ECG, within a transaction of the caller.

    What people annotated stays where it is in the recording, if that is now said to have begun at another time. What
    detectors said of it is removed.

    Parameters
    ----------
    connection
        In a transaction.
    row, rr
        The recording.
    seizures
        As the corpus has them.
    faults
        Stretches without a usable ECG, by kind.

    Returns
    -------
    int
        Id of the recording, which is the same as before.
    """
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
    found = connection.execute(
        f"INSERT INTO recording ({names}) VALUES ({places}) ON CONFLICT (dataset, name) DO UPDATE "
        f"SET ({names}, imported_at) = ({places}, now()) RETURNING recording_id",
        [*values.values(), *values.values()],
    ).fetchone()
    assert found is not None
    recording_id = int(found[0])
    for table in ("rr", "quality", *OF_MODEL):
        connection.execute(f"DELETE FROM {table} WHERE recording_id = %s", (recording_id,))
    connection.execute("DELETE FROM annotation WHERE (recording_id, annotator) = (%s, %s)", (recording_id, REFERENCE))
    start = row.start_at
    copy(connection, "rr", {"recording_id": recording_id, "ts": timestamps(start, rr.t_s), "rr_ms": rr.rr_ms})
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


def has_ecg(connection: "psycopg.Connection[tuple[Any, ...]]", recording_id: int, content: str) -> bool:
    """Whether this is the ECG that is there, by its digest."""
    row = connection.execute("SELECT ecg_content FROM recording WHERE recording_id = %s", (recording_id,)).fetchone()
    return row == (content,)


def put_ecg(
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
        In a transaction.
    recording_id, start
        Of which recording, and when it began.
    ecg
        Pieces of it, as of `aura.ecg.envelope.compute_envelope`.
    content
        Its digest.
    """
    connection.execute("DELETE FROM ecg WHERE recording_id = %s", (recording_id,))
    for t_s, low_mv, high_mv in ecg:
        copy(
            connection,
            "ecg",
            {
                "recording_id": recording_id,
                "ts": timestamps(start, t_s),
                "low_mv": low_mv.astype(np.float32),
                "high_mv": high_mv.astype(np.float32),
            },
        )
    connection.execute("UPDATE recording SET ecg_content = %s WHERE recording_id = %s", (content, recording_id))


def model_id(connection: "psycopg.Connection[tuple[Any, ...]]", model: Model) -> int:
    """Id of a detector, which is added where it is not there."""
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
    """Whether what a detector says of a recording is there."""
    row = connection.execute(
        "SELECT EXISTS (SELECT FROM prediction WHERE (recording_id, model_id) = (%s, %s)) "
        "OR EXISTS (SELECT FROM detection WHERE (recording_id, model_id) = (%s, %s))",
        (recording_id, model, recording_id, model),
    ).fetchone()
    return bool(row and row[0])


def put_predictions(
    connection: "psycopg.Connection[tuple[Any, ...]]",
    recording_id: int,
    model: int,
    start: datetime,
    *,
    t_s: Floats,
    probability: Floats,
    score: Floats,
    found: Sequence[Event],
    not_assessed: Sequence[Event],
) -> None:
    """Replace what a detector says of a recording, within a transaction of the caller.

    Parameters
    ----------
    connection
        In a transaction.
    recording_id, model, start
        Whose, by which, and when the recording began.
    t_s, probability, score
        (n_windows,) ends of windows, and what it says of them; NaN where it cannot tell.
    found, not_assessed
        Its alarms, and what it could not assess.
    """
    for table in OF_MODEL:
        connection.execute(f"DELETE FROM {table} WHERE (recording_id, model_id) = (%s, %s)", (recording_id, model))
    whose = {"recording_id": recording_id, "model_id": model}
    at, told = timestamps(start, t_s), ~np.isnan(probability)
    both = told & ~np.isnan(score)
    columns = {"ts": at[both], "probability": probability[both], "score": score[both]}
    copy(connection, "prediction", {**whose, **columns})
    # Before there is a baseline. In the binary format a row without a value is shorter.
    alone = told & ~both
    copy(connection, "prediction", {**whose, "ts": at[alone], "probability": probability[alone]})
    events = [(event, "seiz", event.confidence) for event in found]
    events += [(event, "not_assessed", 1.0) for event in not_assessed]
    with connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO detection (recording_id, model_id, onset_at, end_at, kind, confidence) "
            "VALUES (%s, %s, %s, %s, %s, %s)",
            [(recording_id, model, *_span(start, event), kind, confidence) for event, kind, confidence in events],
        )


def fail(
    connection: "psycopg.Connection[tuple[Any, ...]]", dataset: str, name: str, stage: str, reason: str, message: str
) -> None:
    """Write down that a recording is not here, and why; signs that cannot be stored are replaced."""
    # An index holds no longer names.
    name = name.encode()[:1000].decode(errors="ignore")
    texts = [text.replace("\0", "\N{REPLACEMENT CHARACTER}") for text in (dataset, name, stage, reason, message)]
    connection.execute(
        "INSERT INTO failure (dataset, recording, stage, reason, message) VALUES (%s, %s, %s, %s, %s) "
        "ON CONFLICT (dataset, recording, stage) DO UPDATE SET (reason, message, failed_at) = "
        "(EXCLUDED.reason, EXCLUDED.message, now())",
        texts,
    )


def _span(start: datetime, event: Event) -> tuple[datetime, datetime]:
    """When an event begins and ends, on the recording's clock."""
    return start + timedelta(seconds=event.onset_s), start + timedelta(seconds=event.end_s)
