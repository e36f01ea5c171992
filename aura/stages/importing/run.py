"""Import prepared recordings into PostgreSQL, with the detections of a registered detector."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from aura.assembly import is_synthetic
from aura.config.schema import Config
from aura.core.arrays import Floats
from aura.core.errors import AuraError, RecordingError
from aura.core.events import Event, unite
from aura.core.files import digest
from aura.core.recordings import Ecg
from aura.core.wording import counted
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
from aura.execution.progress import show_progress
from aura.stages.evaluate.run import score_prepared
from aura.stages.importing import DatabaseConfig
from aura.stages.prepare.run import ensure_prepared
from aura.tracking import logs, registry, runs
from aura.tracking.registry import Registered
from aura.workspace.prepared import PreparedCorpus, PreparedRecording

if TYPE_CHECKING:
    import psycopg

# Increase when the meaning of an imported value changes: all recordings are then imported again.
FORMAT = 1
ECG = ("none", "envelope", "events")
BIN_S, AROUND_S = 0.04, 10.0
N_SHOWN = 20


def run(config: Config) -> None:
    """Import the recordings of the corpus that are new or have changed.

    If the prepared corpus is missing or outdated, prepare runs first, as a child run. Each recording is one
    transaction: after an interruption the next run continues, and several processes can share the work.
    """
    options = config.section(DatabaseConfig)
    url = options.url
    if url is None:
        raise AuraError("no database is given; write url=postgresql://user@host/aura, or set AURA_DATABASE")
    if options.ecg not in ECG:
        raise AuraError(f"ecg={options.ecg}; allowed are {', '.join(ECG)}")
    if config.dataset.pseudonyms and options.ecg != "none":
        raise AuraError(
            "with dataset.pseudonyms=true no ECG can be imported, since its files cannot be located; write ecg=none"
        )
    with runs.stage_run("import", config), connect(url) as connection:
        migrate(connection)
        corpus = ensure_prepared(config)
        logs.log_upstream({"prepare": corpus.run_id})
        logs.log_params({"import.ecg": options.ecg})
        imported_detector = None
        if options.model is not None:
            registered = registry.load(options.model, runtime=config.serving.runtime)
            logs.log_params({"import.model": registered.name, "import.run_id": registered.run_id})
            logs.log_json(registered.provenance.to_dict(), "provenance.json")
            imported_detector = _ImportedDetector(registered.detector, _write_model(connection, registered))
        outcomes = list(_Import(config, connection, corpus, imported_detector).run())
        _write_failures(connection, config.dataset.name, corpus.failures)
        gone = _find_gone(connection, config.dataset.name, list(corpus))
        counts = pd.Series([outcome.state for outcome in outcomes]).value_counts()
        n_rows = sum(outcome.n_beats for outcome in outcomes)
        numbers = {state: int(counts.get(state, 0)) for state in ("imported", "unchanged", "failed")}
        logs.log_metrics({**numbers, "beats": n_rows})
        telemetry.count(
            recordings=numbers["imported"] + numbers["unchanged"],
            failures=[outcome.reason for outcome in outcomes if outcome.state == "failed"],
        )
        failed = [outcome.message for outcome in outcomes if outcome.state == "failed"]
        print(
            f"import: {counted(numbers['imported'], 'recording')} imported, {numbers['unchanged']} unchanged, "
            f"{numbers['failed']} failed; {counted(n_rows, 'RR interval')}, into {describe_address(url)}"
        )
        if imported_detector is not None:
            print(f"  detections by {registered.provenance}")
            if warning := registered.provenance.warning(synthetic_data=is_synthetic(config)):
                print(f"  warning: {warning}")
        print("\n".join(f"  {message}" for message in failed[:N_SHOWN]), end="\n" if failed else "")
        if gone:
            some = ", ".join(gone[:N_SHOWN]) + (", ..." if len(gone) > N_SHOWN else "")
            print(
                f"  in the database, but not in the prepared corpus: {counted(len(gone), 'recording')} of "
                f"{config.dataset.name}, kept there: {some}"
            )
        if failed and len(failed) == len(outcomes):
            raise AuraError(f"nothing could be imported; the first failure: {failed[0]}")


@dataclass(frozen=True, slots=True)
class _Outcome:
    """Outcome of one recording; ``state`` is imported, unchanged or failed."""

    state: str
    n_beats: int = 0
    reason: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class _ImportedDetector:
    """A detector and its id in the database."""

    detector: SeizureDetector
    model_id: int


@dataclass(frozen=True, slots=True, eq=False)
class _Import:
    """The import of a corpus by one process."""

    config: Config
    connection: "psycopg.Connection[tuple[Any, ...]]"
    corpus: PreparedCorpus
    imported_detector: _ImportedDetector | None

    def run(self) -> Iterator[_Outcome]:
        """Import all recordings; a recording that another process is importing comes last."""
        with show_progress(title="import", unit="recording", total=len(self.corpus)) as progress:
            later = list[str]()
            for wait, names in ((False, self.corpus), (True, later)):
                for name in names:
                    outcome = self._import_recording(name, wait=wait)
                    if outcome is None:
                        later.append(name)
                        continue
                    progress.update()
                    yield outcome

    def _import_recording(self, name: str, *, wait: bool) -> _Outcome | None:
        """Import a recording, or write the failure; None if another process is importing it."""
        import psycopg

        dataset = self.config.dataset.name
        try:
            with self.connection.transaction():
                if not lock_recording(self.connection, dataset, name, wait=wait):
                    return None
                return self._import_locked(self.corpus[name])
        except RecordingError as error:
            reason, message = error.reason, error.message
        except psycopg.DatabaseError as error:
            # Any other error concerns the database, not the recording: the run ends.
            if not isinstance(error, psycopg.DataError | psycopg.IntegrityError):
                raise
            reason, message = "not_storable", f"the database refuses it: {describe_error(error)}"
        write_failure(self.connection, dataset, name, "import", reason, message)
        return _Outcome("failed", reason=reason, message=f"{name}: {message}")

    def _import_locked(self, recording: PreparedRecording) -> _Outcome:
        """Import a recording that this process has locked."""
        row = recording.row
        facts: dict[str, Any] = {
            "name": recording.name,
            **{key: row[key] for key in ("subject", "session", "duration_s", "channel", "fs_hz", "usable_share")},
            "n_beats": row["n_beats"],
            "annotated": recording.is_annotated,
        }
        unusable = [[fault.onset_s, fault.duration_s, fault.kind] for fault in recording.unusable]
        content = digest(FORMAT, facts, str(recording.start), row["digest"], unusable)
        entry = Row(dataset=self.config.dataset.name, start=recording.start, content=content, **facts)
        recording_id = find_recording(self.connection, entry)
        n_beats, new = 0, False
        if recording_id is None:
            recording_id = write_recording(
                self.connection, entry, recording.rr, seizures=recording.seizures, faults=recording.unusable
            )
            n_beats, new = len(recording.rr.t_s), True
        # A change of `ecg` replaces the ECG alone; the detections stay.
        ecg = self.config.section(DatabaseConfig).ecg
        ecg_content = "" if ecg == "none" else digest(content, recording.source, row["signal"], ecg)
        if not has_ecg(self.connection, recording_id, ecg_content):
            write_ecg(self.connection, recording_id, entry.start_at, self._read_ecg(recording), ecg_content)
            new = True
        new |= self._predict(recording, entry, recording_id)
        return _Outcome("imported" if new else "unchanged", n_beats)

    def _predict(self, recording: PreparedRecording, entry: Row, recording_id: int) -> bool:
        """Import the predictions of the detector, unless the database has them; return whether they were imported."""
        if self.imported_detector is None:
            return False
        detector, model_id = self.imported_detector.detector, self.imported_detector.model_id
        if has_predictions(self.connection, recording_id, model_id):
            return False
        scored = score_prepared(self.config, detector, recording)
        detections = describe_alarms(detector.alarms, scored)
        write_predictions(
            self.connection,
            recording_id,
            model_id,
            entry.start_at,
            t_s=np.arange(1, len(scored.score) + 1, dtype=np.float64) * scored.step_s,
            probability=scored.probability,
            score=scored.score,
            alarms=detections.alarms,
            not_assessed=detections.not_assessed,
        )
        return True

    def _read_ecg(self, recording: PreparedRecording) -> Iterator[tuple[Floats, Floats, Floats]]:
        """Yield parts of the ECG as times in s and lowest and highest values in mV, in the configured detail."""
        if self.config.section(DatabaseConfig).ecg == "none":
            return
        ecg = recording.ecg()
        if self.config.section(DatabaseConfig).ecg == "envelope":
            yield from compute_envelope(ecg, 0.0, recording.duration_s, BIN_S)
            return
        yield from _read_detailed(ecg, recording.seizures, recording.duration_s)


def _write_model(connection: "psycopg.Connection[tuple[Any, ...]]", registered: Registered) -> int:
    """Write a detector and return its id; outside of all transactions, so that no other process waits for it."""
    return write_model(connection, Model(registered.provenance, registered.detector.spec.step_s))


def _find_gone(connection: "psycopg.Connection[tuple[Any, ...]]", dataset: str, names: list[str]) -> list[str]:
    """Return the names of a dataset in the database that are not among ``names``."""
    query = "SELECT name FROM recording WHERE dataset = %s AND name <> ALL(%s) ORDER BY name"
    return [name for (name,) in connection.execute(query, (dataset, names))]


def _read_detailed(ecg: Ecg, seizures: Sequence[Event], duration_s: float) -> Iterator[tuple[Floats, Floats, Floats]]:
    """Yield every sample around seizures and bins elsewhere, each time once."""
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


def _write_failures(connection: "psycopg.Connection[tuple[Any, ...]]", dataset: str, failures: pd.DataFrame) -> None:
    """Replace the failures of prepare of a dataset."""
    with connection.transaction():
        connection.execute("DELETE FROM failure WHERE (dataset, stage) = (%s, 'prepare')", (dataset,))
        for row in failures.to_dict("records"):
            name = row["recording"] or row["path"]
            write_failure(connection, dataset, name, "prepare", row["reason"], row["message"])
