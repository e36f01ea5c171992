"""What the stages cost, by size of the corpus and number of workers: measured, logged, and compared with before."""

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

from aura.benchmarking.machine import facts, version_of
from aura.benchmarking.measure import Cost, measure
from aura.benchmarking.report import page
from aura.benchmarking.tables import FACTS, STAGES, Tables
from aura.config.disclosure import public_text
from aura.config.schema import Config
from aura.config.scope import Scope, scope_of
from aura.core.errors import AuraError
from aura.core.paths import PACKAGE
from aura.stages import synthesize
from aura.stages.bench import BenchConfig
from aura.synthetic.corpus import plan
from aura.tracking import runs

EXPERIMENT = "aura-benchmarks"
# Words that only this stage takes.
OWN = {"detect": ["edf=corpus", "output=detections"]}
# Words of the command line that are about the bench, or about places.
NOT_PASSED = ("bench.", "tracking.", "workspace=", "dataset.root=", "dataset.synthesis.subjects=", "compute.workers=")
# Words that are logged beside those of a detector, as they change what is measured.
ALSO_LOGGED = ("compute=", "experiments=", "dataset.synthesis.")


@dataclass(frozen=True, slots=True)
class _Size:
    """A corpus of so many subjects, and where it is."""

    subjects: int
    recorded_h: float
    root: Path


def run(config: Config) -> None:
    """Measure the chosen stages, log a run for each, and draw the report of all that was measured so far.

    Each size is drawn once. For each number of workers the stages run one after the other in a new workspace, as far as
    the last one chosen, each as a process of its own. Of one that fails there are no numbers, and those after it are
    not run. Without stages only the report is drawn.
    """
    _check(config)
    folder = Path(config.workspace).resolve() / "bench"
    folder.mkdir(parents=True, exist_ok=True)
    with _experiment(), runs.stage_run("bench", config) as active, _alone(folder):
        log = _Log(active.info)
        failures = _measure_all(config, folder, log) if config.section(BenchConfig).stages else []
        measured = log.measured()
        if not len(measured):
            raise AuraError(f"nothing was measured yet; say what with bench.stages=[{','.join(STAGES)}]")
        tables = Tables.of(measured)
        report, costs = folder / "report.html", folder / "report.csv"
        report.write_text(page(tables), encoding="utf-8")
        costs.write_text(tables.csv(), encoding="utf-8")
        runs.log_files([report, costs])
        print(f"bench: {len(tables.costs)} lines of {len(tables.setups)} setups in {report} and {costs.name} beside it")
        if failures:
            raise AuraError(f"{len(failures)} failed, and what needs them was not run; the first: {failures[0]}")


def _check(config: Config) -> None:
    """Refuse what cannot be measured, before any work."""
    wanted = config.section(BenchConfig)
    if config.dataset.synthesis is None:
        raise AuraError(f"dataset={config.dataset.name} cannot be made in sizes; allowed is dataset=synthetic")
    for stage in wanted.stages:
        if stage not in STAGES:
            raise AuraError(f"bench.stages: {stage!r} is none to measure; allowed are {', '.join(STAGES)}")
    for key, values, least in (
        ("subjects", wanted.subjects, 2),
        ("workers", wanted.workers, 1),
    ):
        if not values or min(values) < least or len(set(values)) < len(values):
            raise AuraError(f"bench.{key}={values}; allowed are different numbers from {least}, such as [6,24]")
    if max(wanted.workers) > 1 and "workers" not in config.compute:
        raise AuraError("bench.workers needs workers; leave compute=serial out, which 1 stands for")


def _measure_all(config: Config, folder: Path, log: "_Log") -> list[str]:
    """Measure each size with each number of workers; give what failed, in words."""
    wanted = config.section(BenchConfig)
    failures: list[str] = []
    with _emptied(folder / "work") as work:
        database = work / "mlflow.db"
        logging.getLogger("mlflow.store.db.utils").setLevel(logging.WARNING)
        # The tables of a new database take seconds, which are of no stage.
        mlflow.MlflowClient(tracking_uri=f"sqlite:///{database}").search_experiments()
        sizes = [_draw(config, subjects, work) for subjects in sorted(wanted.subjects)]
        print("bench: once unmeasured, for what is compiled and what the disk's cache has not yet", flush=True)
        for _ in _chain(config, sizes[0], wanted.workers[0], work):
            pass
        for size in sizes:
            for workers in wanted.workers:
                for one in _chain(config, size, workers, work):
                    if one.stage in wanted.stages or one.error:
                        log.add(one, _settings(config))
                        print(f"bench: {one}", flush=True)
                    if one.error:
                        failures.append(str(one))
    return failures


def _draw(config: Config, subjects: int, work: Path) -> _Size:
    """Make the corpus of a size."""
    assert config.dataset.synthesis is not None
    synthesis = replace(config.dataset.synthesis, subjects=subjects)
    root = work / f"corpus-{subjects}"
    synthesize.STAGE.run(replace(config, dataset=replace(config.dataset, root=str(root), synthesis=synthesis)))
    n_recordings = sum(map(len, plan(synthesis)))
    return _Size(subjects, n_recordings * round(synthesis.recording_minutes * 60) / 3600, root)


@dataclass(frozen=True, slots=True)
class _Measured:
    """What a stage cost, or why it could not be done."""

    stage: str
    size: _Size
    workers: int
    began_ms: int
    cost: Cost
    error: str | None
    output: str

    def __str__(self) -> str:
        """In words."""
        workers = f"{self.workers} worker{'s' if self.workers > 1 else ''}"
        what = f"{self.stage} of {self.size.recorded_h:g} h, {workers}"
        if self.error:
            return f"{what}: {self.error}"
        peak_mb = self.cost.memory_peak_bytes / 1e6
        return f"{what}: {self.cost.wall_s:.1f} s, {self.cost.cpu_s:.1f} CPU s, {peak_mb:.0f} MB"


def _chain(config: Config, size: _Size, workers: int, work: Path) -> Iterator[_Measured]:
    """Run the stages as far as the last one chosen, or the first that fails, in a new workspace."""
    last = max(STAGES.index(stage) for stage in config.section(BenchConfig).stages)
    with TemporaryDirectory(dir=work) as name:
        place = Path(name)
        shutil.copy(work / "mlflow.db", place)
        # By paths without any sign in them that would have to be quoted.
        (place / "corpus").symlink_to(size.root, target_is_directory=True)
        for stage in STAGES[: last + 1]:
            output = place / "output.txt"
            command = [sys.executable, "-m", "aura", stage, *_words(config, workers), *OWN.get(stage, [])]
            began_ms = int(time.time() * 1000)
            code, cost = measure(command, folder=place, env=_environment(place), output=output)
            said = output.read_text(encoding="utf-8", errors="replace")
            # Both are logged.
            said = public_text(said, config)
            error = _sentence(code, said)
            yield _Measured(stage, size, workers, began_ms, cost, error, said)
            if error:
                return


def _sentence(code: int, said: str) -> str | None:
    """Why a stage ended as it did; None where it did what it should."""
    if code == 0:
        return None
    if code < 0:
        return f"ended by signal {-code}"
    return said.strip().rpartition("\n")[2] or f"ended with exit code {code}"


def _words(config: Config, workers: int) -> list[str]:
    """Configuration of a stage: as that of the bench, but for the corpus, the workspace and the workers."""
    places = ["dataset.root=corpus", "workspace=workspace"]
    if workers > 1:
        return [*_passed(config), *places, f"compute.workers={workers}"]
    settings = [word for word in _passed(config) if not word.lstrip("+").startswith(("compute=", "compute."))]
    return [*settings, *places, "compute=serial"]


def _passed(config: Config) -> list[str]:
    """What was asked for on the command line that changes what is measured."""
    return [word for word in config.overrides if not word.lstrip("+").startswith(NOT_PASSED)]


def _settings(config: Config) -> list[str]:
    """As much of it as may be logged."""

    def is_logged(word: str) -> bool:
        key = word.lstrip("+~").partition("=")[0]
        return scope_of(Config, key) >= Scope.REPEATED or word.lstrip("+").startswith(ALSO_LOGGED)

    return [word for word in _passed(config) if is_logged(word)]


def _environment(place: Path) -> dict[str, str]:
    """Environment of a stage under measurement, which is to be known to nobody else."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("MLFLOW_")}
    kept.pop("AURA_PUSHGATEWAY", None)
    path = os.pathsep.join(filter(None, (str(PACKAGE.parent), os.environ.get("PYTHONPATH"))))
    mine = {"MLFLOW_TRACKING_URI": f"sqlite:///{place / 'mlflow.db'}", "MLFLOW_DISABLE_TELEMETRY": "true"}
    return {**kept, **mine, "PYTHONPATH": path}


@contextmanager
def _experiment() -> Iterator[None]:
    """Have the runs in an experiment of their own, whichever the environment names for those of the stages."""
    before = os.environ.get("MLFLOW_EXPERIMENT_NAME")
    os.environ["MLFLOW_EXPERIMENT_NAME"] = EXPERIMENT
    try:
        yield
    finally:
        os.environ.pop("MLFLOW_EXPERIMENT_NAME")
        if before is not None:
            os.environ["MLFLOW_EXPERIMENT_NAME"] = before


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Refuse to measure beside another bench."""
    try:
        with FileLock(folder / "lock", timeout=0):
            yield
    except Timeout as error:
        raise AuraError(
            f"another bench is at work in {folder}, and each would disturb the other; wait for it"
        ) from error


@contextmanager
def _emptied(folder: Path) -> Iterator[Path]:
    """Give a new folder, which is deleted in the end; one that was killed has left its own."""
    with suppress(FileNotFoundError):
        shutil.rmtree(folder)
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


class _Log:
    """Runs in MLflow of what was measured, as children of one; written between measurements, never during one."""

    def __init__(self, parent: mlflow.entities.RunInfo) -> None:
        self._client, self._parent = mlflow.MlflowClient(), parent
        version = version_of(self._client.get_run(parent.run_id).data.tags)
        self._facts = {f"bench.{name}": value for name, value in {"version": version, **facts()}.items()}
        mlflow.set_tags(self._facts)

    def add(self, one: _Measured, settings: Sequence[str]) -> None:
        """Log one stage: with its numbers, or as failed with its sentence."""
        tags = {
            **self._facts,
            "mlflow.parentRunId": self._parent.run_id,
            "aura.stage": "bench",
            **({"aura.error": one.error} if one.error else {}),
        }
        run_id = self._client.create_run(
            self._parent.experiment_id,
            start_time=one.began_ms,
            tags=tags,
            run_name=f"{one.stage} {one.size.recorded_h:g} h {one.workers}",
        ).info.run_id
        params = {
            "stage": one.stage,
            "subjects": one.size.subjects,
            "recorded_h": one.size.recorded_h,
            "workers": one.workers,
            "settings": " ".join(settings) or "as shipped",
        }
        end_ms = one.began_ms + round(1000 * one.cost.wall_s)
        numbers = {} if one.error else {**asdict(one.cost), "recorded_h": one.size.recorded_h}
        self._client.log_batch(
            run_id,
            [Metric(name, float(value), end_ms, 0) for name, value in numbers.items() if value is not None],
            [Param(name, str(value)) for name, value in params.items()],
        )
        self._client.log_text(run_id, one.output, "output.txt")
        self._client.set_terminated(run_id, "FAILED" if one.error else "FINISHED", end_ms)

    def measured(self) -> pd.DataFrame:
        """All stages that were measured in this experiment: a row per run, see `aura.benchmarking.tables.Tables.of`."""
        runs = mlflow.search_runs(
            [self._parent.experiment_id],
            filter_string="tags.`aura.stage` = 'bench' and params.stage != '' and status != 'RUNNING'",
            output_format="list",
        )
        return pd.DataFrame([_row(one) for one in runs])


def _row(one: mlflow.entities.Run) -> dict[str, object]:
    params, tags = one.data.params, one.data.tags
    return {
        "measured": pd.Timestamp(one.info.start_time, unit="ms").floor("s"),
        **{name: tags.get(f"bench.{name}", "unknown") for name in FACTS},
        "settings": params["settings"],
        "stage": params["stage"],
        "subjects": int(params["subjects"]),
        "workers": int(params["workers"]),
        "recorded_h": float(params["recorded_h"]),
        **{name: one.data.metrics.get(name) for name in Cost.__dataclass_fields__},
        "error": tags.get("aura.error"),
    }
