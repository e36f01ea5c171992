"""Run a command and say what it cost, its worker processes included."""

import os
import platform
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pandas as pd

from aura.core.paths import PROJECT

MARK = "<!-- measured -->\n"


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds by the clock, seconds of all CPUs, and the largest memory of any one process in MiB."""

    wall_s: float
    cpu_s: float
    peak_mib: float


def run(command: Sequence[str], env: dict[str, str] | None = None) -> Cost:
    """Run a command to its end.

    Raises
    ------
    RuntimeError
        When it fails, with the end of what it said.
    """
    with tempfile.TemporaryFile() as said:
        began = time.perf_counter()
        process = subprocess.Popen(command, cwd=PROJECT, env={**os.environ, **(env or {})}, stdout=said, stderr=said)
        # The usage of a process holds that of those it has waited for; the memory is that of the largest.
        _, status, usage = os.wait4(process.pid, 0)
        wall_s = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            said.seek(0)
            raise RuntimeError(f"{command} ended with {process.returncode}: {said.read().decode()[-2000:]}")
    return Cost(wall_s, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def machine() -> str:
    """Where it was measured."""
    models = [
        line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line
    ]
    model = models[0] if models else platform.machine()
    return f"{os.cpu_count()} cores ({model}), Python {platform.python_version()}"


def markdown(frame: pd.DataFrame) -> str:
    """A table as Markdown."""
    lines = [frame.columns.tolist(), ["---"] * len(frame.columns), *frame.astype(str).to_numpy().tolist()]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def document(name: str, tables: Mapping[str, pd.DataFrame], metrics: Mapping[str, float], tracking_uri: str) -> None:
    """Print what was measured, log it as an MLflow run, and put it below the mark in docs/benchmarks/NAME.md."""
    import mlflow

    text = f"Measured {datetime.now():%Y-%m-%d} on {machine()} by `python -m benchmarks.{name}`.\n"
    for title, table in tables.items():
        text += f"\n## {title}\n\n{markdown(table)}"
        print(f"\n{title}\n{table.to_string(index=False)}")
    mlflow.set_tracking_uri(tracking_uri)
    mlflow.set_experiment("aura-benchmarks")
    with mlflow.start_run(run_name=name):
        mlflow.log_param("machine", machine())
        for title, table in tables.items():
            mlflow.log_table(table, f"{title.replace(' ', '_')}.json")
        mlflow.log_metrics(dict(metrics))
    path = PROJECT / "docs" / "benchmarks" / f"{name}.md"
    head, _, _ = path.read_text().partition(MARK)
    path.write_text(f"{head}{MARK}\n{text}")
