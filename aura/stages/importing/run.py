"""Prepared recordings into PostgreSQL, with what a registered detector says of them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from aura.assembly import is_synthetic
from aura.config.schema import Config
from aura.core.arrays import Floats
from aura.core.errors import AuraError, RecordingError
from aura.core.events import Event, unite
from aura.core.files import digest
from aura.core.recordings import Ecg
from aura.database.connection import connect, describe_address, describe_error
from aura.database.recordings import (
    Model,
    Row,
    find_recording,
    has_ecg,
    has_predictions,
    lock_recording,
    write_ecg,
    write_failure,
    write_model,
    write_predictions,
    write_recording,
)
from aura.database.schema import migrate
from aura.detection.detector import SeizureDetector
from aura.ecg.envelope import compute_envelope
from aura.evaluation.results import describe_alarms
from aura.execution import telemetry
from aura.stages.evaluate.run import score_prepared
from aura.stages.importing import DatabaseConfig
from aura.stages.prepare.run import ensure_prepared
from aura.tracking import registry, runs
from aura.tracking.registry import Registered
from aura.workspace.prepared import PreparedCorpus, PreparedRecording

if TYPE_CHECKING:
    import psycopg

# Raise when what is imported changes its meaning: recordings are then imported anew.
FORMAT = 1
ECG = ("none", "envelope", "events")
BIN_S, AROUND_S = 0.04, 10.0
N_SHOWN = 20


def run(config: Config) -> None:
    """Import the recordings of the corpus of this configuration that are not in the database, or have changed.

    Where they are not prepared, prepare runs first, as a child run. Each is a transaction of its own: whatever ends a
    run, the next one goes on, and several can share the work.
    """
    wanted = config.section(DatabaseConfig)
    url = wanted.url
    if url is None:
        raise AuraError("no database is given; write url=postgresql://user@host/aura, or set AURA_DATABASE")
    if wanted.ecg not in ECG:
        raise AuraError(f"ecg={wanted.ecg}; allowed are {', '.join(ECG)}")
    if config.dataset.pseudonyms and wanted.ecg != "none":
        raise AuraError("the files of pseudonyms cannot be found again for their ECG; give ecg=none")
    with runs.stage_run("import", config), connect(url) as connection:
        migrate(connection)
        corpus = ensure_prepared(config)
        runs.log_upstream({"prepare": corpus.run_id})
        runs.log_params({"import.ecg": wanted.ecg})
        address = wanted.model
        teller = None
        if address is not None:
            registered = registry.load(address, runtime=config.serving.runtime)
            runs.log_params({"import.model": registered.name, "import.run_id": registered.run_id})
            runs.log_json(registered.provenance.to_dict(), "provenance.json")
            teller = _Teller(registered.detector, _id_of(connection, registered))
        outcomes = list(_Import(config, connection, corpus, teller).all())
        _put_failures(connection, config.dataset.name, corpus.failures)
        gone = _not_among(connection, config.dataset.name, list(corpus))
        counts = pd.Series([outcome.what for outcome in outcomes]).value_counts()
        n_rows = sum(outcome.n_beats for outcome in outcomes)
        numbers = {what: int(counts.get(what, 0)) for what in ("imported", "unchanged", "failed")}
        runs.log_metrics({**numbers, "beats": n_rows})
        telemetry.count(
            recordings=numbers["imported"] + numbers["unchanged"],
            failures=[outcome.reason for outcome in outcomes if outcome.what == "failed"],
        )
        failed = [outcome.message for outcome in outcomes if outcome.what == "failed"]
        print(
            f"import: {numbers['imported']} recordings imported, {numbers['unchanged']} unchanged, "
            f"{numbers['failed']} failed; {n_rows} RR intervals, into {describe_address(url)}"
        )
        if teller is not None:
            print(f"  detections by {registered.provenance}")
            if warning := registered.provenance.warning(synthetic_data=is_synthetic(config)):
                print(f"  warning: {warning}")
        print("\n".join(f"  {message}" for message in failed[:N_SHOWN]), end="\n" if failed else "")
        if gone:
            some = ", ".join(gone[:N_SHOWN]) + (", ..." if len(gone) > N_SHOWN else "")
            print(f"  {len(gone)} of {config.dataset.name} in the database were not prepared now; they stay: {some}")
        if failed and len(failed) == len(outcomes):
            raise AuraError(f"nothing could be imported; the first failure: {failed[0]}")


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What became of a recording: imported, unchanged or failed."""

    what: str
    n_beats: int = 0
    reason: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class _Teller:
    """A detector, and its id in the database."""

    detector: SeizureDetector
    model_id: int


@dataclass(frozen=True, slots=True, eq=False)
class _Import:
    """One process's part of an import."""

    config: Config
    connection: "psycopg.Connection[tuple[Any, ...]]"
    corpus: PreparedCorpus
    teller: _Teller | None

    def all(self) -> Iterator[_Outcome]:
        """Import all recordings; those that another process is importing come last."""
        with tqdm(total=len(self.corpus), desc="import", unit="recording", dynamic_ncols=True) as progress:
            later = list[str]()
            for wait, names in ((False, self.corpus), (True, later)):
                for name in names:
                    outcome = self._one(name, wait=wait)
                    if outcome is None:
                        later.append(name)
                        continue
                    progress.update()
                    yield outcome

    def _one(self, name: str, *, wait: bool) -> _Outcome | None:
        """Import a recording, or write down why not; None where another process is at it."""
        import psycopg

        dataset = self.config.dataset.name
        try:
            with self.connection.transaction():
                if not lock_recording(self.connection, dataset, name, wait=wait):
                    return None
                return self._claimed(self.corpus[name])
        except RecordingError as error:
            reason, message = error.reason, error.message
        except psycopg.DatabaseError as error:
            # Not what it holds, but the database: there is no going on.
            if not isinstance(error, psycopg.DataError | psycopg.IntegrityError):
                raise
            reason, message = "not_storable", f"the database refuses it: {describe_error(error)}"
        write_failure(self.connection, dataset, name, "import", reason, message)
        return _Outcome("failed", reason=reason, message=f"{name}: {message}")

    def _claimed(self, recording: PreparedRecording) -> _Outcome:
        """Import a recording that no other process is importing."""
        row = recording.row
        known_of_it: dict[str, Any] = {
            "name": recording.name,
            **{key: row[key] for key in ("subject", "session", "duration_s", "channel", "fs_hz", "usable_share")},
            "n_beats": row["n_beats"],
            "annotated": recording.is_annotated,
        }
        unusable = [[fault.onset_s, fault.duration_s, fault.kind] for fault in recording.unusable]
        content = digest(FORMAT, known_of_it, str(recording.start), row["digest"], unusable)
        entry = Row(dataset=self.config.dataset.name, start=recording.start, content=content, **known_of_it)
        recording_id = find_recording(self.connection, entry)
        n_beats, new = 0, False
        if recording_id is None:
            recording_id = write_recording(
                self.connection, entry, recording.rr, seizures=recording.seizures, faults=recording.unusable
            )
            n_beats, new = len(recording.rr.t_s), True
        # The same recording can be asked for with another ECG, which takes nothing from what detectors said.
        ecg = self.config.section(DatabaseConfig).ecg
        ecg_content = "" if ecg == "none" else digest(content, recording.source, row["signal"], ecg)
        if not has_ecg(self.connection, recording_id, ecg_content):
            write_ecg(self.connection, recording_id, entry.start_at, self._ecg(recording), ecg_content)
            new = True
        new |= self._predict(recording, entry, recording_id)
        return _Outcome("imported" if new else "unchanged", n_beats)

    def _predict(self, recording: PreparedRecording, entry: Row, recording_id: int) -> bool:
        """Import what the detector says of a recording, where that is not there."""
        if self.teller is None or has_predictions(self.connection, recording_id, self.teller.model_id):
            return False
        detector = self.teller.detector
        one = score_prepared(self.config, detector, recording)
        detections = describe_alarms(detector.alarms, one)
        write_predictions(
            self.connection,
            recording_id,
            self.teller.model_id,
            entry.start_at,
            t_s=np.arange(1, len(one.score) + 1, dtype=np.float64) * one.step_s,
            probability=one.probability,
            score=one.score,
            alarms=detections.alarms,
            not_assessed=detections.not_assessed,
        )
        return True

    def _ecg(self, recording: PreparedRecording) -> Iterator[tuple[Floats, Floats, Floats]]:
        """Pieces of the ECG, as the configuration wants it."""
        if self.config.section(DatabaseConfig).ecg == "none":
            return
        ecg = recording.ecg()
        if self.config.section(DatabaseConfig).ecg == "envelope":
            yield from compute_envelope(ecg, 0.0, recording.duration_s, BIN_S)
            return
        yield from _with_detail(ecg, recording.seizures, recording.duration_s)


def _id_of(connection: "psycopg.Connection[tuple[Any, ...]]", registered: Registered) -> int:
    """Id of a detector in the database, outside of all transactions, in which others would wait for it."""
    return write_model(connection, Model(registered.provenance, registered.detector.spec.step_s))


def _not_among(connection: "psycopg.Connection[tuple[Any, ...]]", dataset: str, names: list[str]) -> list[str]:
    """Recordings of a corpus in the database that it does not have any more."""
    query = "SELECT name FROM recording WHERE dataset = %s AND name <> ALL(%s) ORDER BY name"
    return [name for (name,) in connection.execute(query, (dataset, names))]


def _with_detail(ecg: Ecg, seizures: Sequence[Event], duration_s: float) -> Iterator[tuple[Floats, Floats, Floats]]:
    """Every sample around seizures, and bins elsewhere; no time twice."""
    wide = [Event(event.onset_s - AROUND_S, event.duration_s + 2 * AROUND_S) for event in seizures]
    done_s = 0.0
    after_s = -np.inf
    for stretch in (*unite(wide, duration_s=duration_s), Event(duration_s, 0.0)):
        for from_s, to_s, bin_s in ((done_s, stretch.onset_s, BIN_S), (stretch.onset_s, stretch.end_s, 0.0)):
            if to_s <= from_s:
                continue
            for t_s, low, high in compute_envelope(ecg, from_s, to_s, bin_s):
                new = t_s > after_s + 1e-6
                yield t_s[new], low[new], high[new]
                after_s = float(t_s[-1])
        done_s = stretch.end_s


def _put_failures(connection: "psycopg.Connection[tuple[Any, ...]]", dataset: str, failures: pd.DataFrame) -> None:
    """Replace the recordings of a corpus that could not be prepared."""
    with connection.transaction():
        connection.execute("DELETE FROM failure WHERE (dataset, stage) = (%s, 'prepare')", (dataset,))
        for row in failures.to_dict("records"):
            where_ = row["recording"] or row["path"]
            write_failure(connection, dataset, where_, "prepare", row["reason"], row["message"])
