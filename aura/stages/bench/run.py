"""Measure what the stages cost by size of the corpus and number of workers, and compare it with earlier runs."""

import logging
import os
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import mlflow
import pandas as pd
from filelock import FileLock, Timeout
from mlflow.entities import Metric, Param

from aura.benchmarking.machine import describe_machine, name_version
from aura.benchmarking.measure import Cost, measure
from aura.benchmarking.report import draw_report
from aura.benchmarking.tables import FACTS, STAGES, Tables
from aura.config.disclosure import public_text
from aura.config.schema import Config
from aura.config.scope import Scope, scope_of
from aura.core.errors import AuraError
from aura.core.paths import PACKAGE
from aura.core.wording import counted
from aura.stages import synthesize
from aura.stages.bench import BenchConfig
from aura.synthetic.corpus import plan
from aura.tracking import logs, runs

EXPERIMENT = "aura-benchmarks"
# Arguments that a stage needs beside the common ones.
STAGE_ARGUMENTS = {"detect": ["edf=corpus", "output=detections"]}
# Arguments of the bench itself, and paths; they are not passed to the stages.
NOT_PASSED = ("bench.", "tracking.", "workspace=", "dataset.root=", "dataset.synthesis.subjects=", "compute.workers=")
# Arguments that do not concern the detector but are logged, since they change the measurement.
ALSO_LOGGED = ("compute=", "experiments=", "dataset.synthesis.")


@dataclass(frozen=True, slots=True)
class _Size:
    """A corpus with a number of subjects."""

    subjects: int
    recorded_h: float
    root: Path


def run(config: Config) -> None:
    """Measure the chosen stages, log a run for each, and write a report of all measurements so far.

    Each size of the corpus is made once. For each number of workers, the stages run one after another in a new
    workspace, up to the last chosen one, each in a process of its own. If a stage fails, it has no numbers, and the
    later ones are not run. Without chosen stages, only the report is written.
    """
    _check(config)
    folder = Path(config.workspace).resolve() / "bench"
    folder.mkdir(parents=True, exist_ok=True)
    with _separate_experiment(), runs.stage_run("bench", config) as active, _lock(folder):
        log = _Log(active.info)
        failures = _measure_all(config, folder, log) if config.section(BenchConfig).stages else []
        measured = log.read_all()
        if not len(measured):
            raise AuraError(f"there are no measurements yet; choose stages with bench.stages=[{','.join(STAGES)}]")
        tables = Tables.compare(measured)
        report, costs = folder / "report.html", folder / "report.csv"
        report.write_text(draw_report(tables), encoding="utf-8")
        costs.write_text(tables.csv(), encoding="utf-8")
        logs.log_files([report, costs])
        print(
            f"bench: {counted(len(tables.costs), 'measurement')} of {counted(len(tables.setups), 'setup')} in "
            f"{report}, also as {costs.name}"
        )
        if failures:
            raise AuraError(
                f"{counted(len(failures), 'stage')} failed, and later ones were not run; the first failure: "
                f"{failures[0]}"
            )


def _check(config: Config) -> None:
    """Raise AuraError for settings that cannot be measured, before any work."""
    if config.dataset.synthesis is None:
        raise AuraError(f"dataset={config.dataset.name} has a fixed size; allowed is dataset=synthetic")
    for stage in config.section(BenchConfig).stages:
        if stage not in STAGES:
            raise AuraError(f"bench.stages: {stage!r} cannot be measured; allowed are {', '.join(STAGES)}")
    for key, values, least in (
        ("subjects", config.section(BenchConfig).subjects, 2),
        ("workers", config.section(BenchConfig).workers, 1),
    ):
        if not values or min(values) < least or len(set(values)) < len(values):
            raise AuraError(f"bench.{key}={values}; allowed are distinct numbers from {least} up, such as [6,24]")
    if max(config.section(BenchConfig).workers) > 1 and "workers" not in config.compute:
        raise AuraError("bench.workers above 1 need an executor with workers; remove compute=serial (1 stands for it)")


def _measure_all(config: Config, folder: Path, log: "_Log") -> list[str]:
    """Measure each size with each number of workers; return the failures in words."""
    failures: list[str] = []
    with _temporary_folder(folder / "work") as work:
        database = work / "mlflow.db"
        logging.getLogger("mlflow.store.db.utils").setLevel(logging.WARNING)
        # Creating the tables of a new database takes seconds that belong to no stage.
        mlflow.MlflowClient(tracking_uri=f"sqlite:///{database}").search_experiments()
        sizes = [_make_corpus(config, subjects, work) for subjects in sorted(config.section(BenchConfig).subjects)]
        print("bench: first run without measurement, to compile code and fill the disk cache", flush=True)
        for _ in _run_stages(config, sizes[0], config.section(BenchConfig).workers[0], work):
            pass
        for size in sizes:
            for workers in config.section(BenchConfig).workers:
                for measurement in _run_stages(config, size, workers, work):
                    if measurement.stage in config.section(BenchConfig).stages or measurement.error:
                        log.add(measurement, _logged_arguments(config))
                        print(f"bench: {measurement}", flush=True)
                    if measurement.error:
                        failures.append(str(measurement))
    return failures


def _make_corpus(config: Config, subjects: int, work: Path) -> _Size:
    """Make a synthetic corpus with a number of subjects."""
    assert config.dataset.synthesis is not None
    synthesis = replace(config.dataset.synthesis, subjects=subjects)
    root = work / f"corpus-{subjects}"
    synthesize.STAGE.run(replace(config, dataset=replace(config.dataset, root=str(root), synthesis=synthesis)))
    n_recordings = sum(map(len, plan(synthesis)))
    return _Size(subjects, n_recordings * round(synthesis.recording_minutes * 60) / 3600, root)


@dataclass(frozen=True, slots=True)
class _Measurement:
    """Cost of a stage, or the reason of its failure."""

    stage: str
    size: _Size
    workers: int
    began_ms: int
    cost: Cost
    error: str | None
    output: str

    def __str__(self) -> str:
        """Describe the measurement on one line."""
        workers = f"{self.workers} worker{'s' if self.workers > 1 else ''}"
        what = f"{self.stage} of {self.size.recorded_h:g} h, {workers}"
        if self.error:
            return f"{what}: {self.error}"
        peak_mb = self.cost.memory_peak_bytes / 1e6
        return f"{what}: {self.cost.wall_s:.1f} s, {self.cost.cpu_s:.1f} CPU s, {peak_mb:.0f} MB"


def _run_stages(config: Config, size: _Size, workers: int, work: Path) -> Iterator[_Measurement]:
    """Run the stages in a new workspace, up to the last chosen one or the first that fails."""
    last = max(STAGES.index(stage) for stage in config.section(BenchConfig).stages)
    with TemporaryDirectory(dir=work) as name:
        place = Path(name)
        shutil.copy(work / "mlflow.db", place)
        # Relative paths without characters that would need quotes.
        (place / "corpus").symlink_to(size.root, target_is_directory=True)
        for stage in STAGES[: last + 1]:
            output = place / "output.txt"
            command = [
                sys.executable,
                "-m",
                "aura",
                stage,
                *_arguments(config, workers),
                *STAGE_ARGUMENTS.get(stage, []),
            ]
            began_ms = int(time.time() * 1000)
            code, cost = measure(command, folder=place, env=_build_environment(place), output=output)
            # Output and error are logged, so they must not disclose private values.
            text = public_text(output.read_text(encoding="utf-8", errors="replace"), config)
            error = _describe_failure(code, text)
            yield _Measurement(stage, size, workers, began_ms, cost, error, text)
            if error:
                return


def _describe_failure(code: int, output: str) -> str | None:
    """Return why a stage failed, from its exit code and output; None if it succeeded."""
    if code == 0:
        return None
    if code < 0:
        return f"ended by signal {-code}"
    return output.strip().rpartition("\n")[2] or f"ended with exit code {code}"


def _arguments(config: Config, workers: int) -> list[str]:
    """Return the arguments of a stage: those of the bench, with its own corpus, workspace and workers."""
    places = ["dataset.root=corpus", "workspace=workspace"]
    if workers > 1:
        return [*_passed_arguments(config), *places, f"compute.workers={workers}"]
    settings = [word for word in _passed_arguments(config) if not word.lstrip("+").startswith(("compute=", "compute."))]
    return [*settings, *places, "compute=serial"]


def _passed_arguments(config: Config) -> list[str]:
    """Return the arguments of the command line that change what is measured."""
    return [word for word in config.overrides if not word.lstrip("+").startswith(NOT_PASSED)]


def _logged_arguments(config: Config) -> list[str]:
    """Return the passed arguments that may be logged."""

    def is_logged(word: str) -> bool:
        key = word.lstrip("+~").partition("=")[0]
        return scope_of(Config, key) >= Scope.REPEATED or word.lstrip("+").startswith(ALSO_LOGGED)

    return [word for word in _passed_arguments(config) if is_logged(word)]


def _build_environment(place: Path) -> dict[str, str]:
    """Build the environment of a measured stage, which reports to no server but its own temporary one."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("MLFLOW_")}
    kept.pop("AURA_PUSHGATEWAY", None)
    path = os.pathsep.join(filter(None, (str(PACKAGE.parent), os.environ.get("PYTHONPATH"))))
    own = {"MLFLOW_TRACKING_URI": f"sqlite:///{place / 'mlflow.db'}", "MLFLOW_DISABLE_TELEMETRY": "true"}
    return {**kept, **own, "PYTHONPATH": path}


@contextmanager
def _separate_experiment() -> Iterator[None]:
    """Log runs to the experiment of the benchmarks instead of the experiment that the environment names."""
    before = os.environ.get("MLFLOW_EXPERIMENT_NAME")
    os.environ["MLFLOW_EXPERIMENT_NAME"] = EXPERIMENT
    try:
        yield
    finally:
        os.environ.pop("MLFLOW_EXPERIMENT_NAME")
        if before is not None:
            os.environ["MLFLOW_EXPERIMENT_NAME"] = before


@contextmanager
def _lock(folder: Path) -> Iterator[None]:
    """Lock the folder, so that no two benchmarks disturb each other."""
    try:
        with FileLock(folder / "lock", timeout=0):
            yield
    except Timeout as error:
        raise AuraError(
            f"another bench is running in {folder}, and the two would disturb each other; wait until it ends"
        ) from error


@contextmanager
def _temporary_folder(folder: Path) -> Iterator[Path]:
    """Create an empty folder and delete it at the end; a killed run may have left its own."""
    with suppress(FileNotFoundError):
        shutil.rmtree(folder)
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


class _Log:
    """The measurements as child runs in MLflow; they are logged between measurements, never during one."""

    def __init__(self, parent: mlflow.entities.RunInfo) -> None:
        self._client, self._parent = mlflow.MlflowClient(), parent
        version = name_version(self._client.get_run(parent.run_id).data.tags)
        self._facts = {f"bench.{name}": value for name, value in {"version": version, **describe_machine()}.items()}
        mlflow.set_tags(self._facts)

    def add(self, measurement: _Measurement, arguments: Sequence[str]) -> None:
        """Log a stage with its numbers, or as failed with its error."""
        tags = {
            **self._facts,
            "mlflow.parentRunId": self._parent.run_id,
            "aura.stage": "bench",
            **({"aura.error": measurement.error} if measurement.error else {}),
        }
        run_id = self._client.create_run(
            self._parent.experiment_id,
            start_time=measurement.began_ms,
            tags=tags,
            run_name=f"{measurement.stage} {measurement.size.recorded_h:g} h {measurement.workers}",
        ).info.run_id
        params = {
            "stage": measurement.stage,
            "subjects": measurement.size.subjects,
            "recorded_h": measurement.size.recorded_h,
            "workers": measurement.workers,
            "settings": " ".join(arguments) or "as shipped",
        }
        end_ms = measurement.began_ms + round(1000 * measurement.cost.wall_s)
        numbers = {} if measurement.error else {**asdict(measurement.cost), "recorded_h": measurement.size.recorded_h}
        self._client.log_batch(
            run_id,
            [Metric(name, float(value), end_ms, 0) for name, value in numbers.items() if value is not None],
            [Param(name, str(value)) for name, value in params.items()],
        )
        self._client.log_text(run_id, measurement.output, "output.txt")
        self._client.set_terminated(run_id, "FAILED" if measurement.error else "FINISHED", end_ms)

    def read_all(self) -> pd.DataFrame:
        """Read all measurements of this experiment: a row per run, see `aura.benchmarking.tables.Tables.compare`."""
        measured = mlflow.search_runs(
            [self._parent.experiment_id],
            filter_string="tags.`aura.stage` = 'bench' and params.stage != '' and status != 'RUNNING'",
            output_format="list",
        )
        return pd.DataFrame([_read_run(run) for run in measured])


def _read_run(run: mlflow.entities.Run) -> dict[str, object]:
    """Read the row of a measured stage from its run."""
    params, tags = run.data.params, run.data.tags
    return {
        "measured": pd.Timestamp(run.info.start_time, unit="ms").floor("s"),
        **{name: tags.get(f"bench.{name}", "unknown") for name in FACTS},
        "settings": params["settings"],
        "stage": params["stage"],
        "subjects": int(params["subjects"]),
        "workers": int(params["workers"]),
        "recorded_h": float(params["recorded_h"]),
        **{name: run.data.metrics.get(name) for name in Cost.__dataclass_fields__},
        "error": tags.get("aura.error"),
    }
