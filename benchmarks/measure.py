"""Measure a command with its worker processes, and write the tables of a benchmark."""

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
    """Elapsed seconds, CPU seconds of all processes, and the peak memory of the largest process in MiB."""

    wall_s: float
    cpu_s: float
    peak_mib: float


def run(
    command: Sequence[str], env: dict[str, str] | None = None, *, folder: Path = PROJECT, exit_code: int = 0
) -> Cost:
    """Run a command in a folder to its end, and return its cost.

    Raises
    ------
    RuntimeError
        If the command ends with another code; the message holds the end of its output.
    """
    with tempfile.TemporaryFile() as output:
        began = time.perf_counter()
        process = subprocess.Popen(command, cwd=folder, env={**os.environ, **(env or {})}, stdout=output, stderr=output)
        # The CPU time includes children that the process has waited for; the memory is that of the largest process.
        _, status, usage = os.wait4(process.pid, 0)
        wall_s = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != exit_code:
            output.seek(0)
            raise RuntimeError(f"{command} ended with {process.returncode}: {output.read().decode()[-2000:]}")
    return Cost(wall_s, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def describe_machine() -> str:
    """Describe the processor and the version of Python."""
    models = [
        line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line
    ]
    model = models[0] if models else platform.machine()
    return f"{os.cpu_count()} cores ({model}), Python {platform.python_version()}"


def to_markdown(frame: pd.DataFrame) -> str:
    """Return a table as Markdown."""
    lines = [frame.columns.tolist(), ["---"] * len(frame.columns), *frame.astype(str).to_numpy().tolist()]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def write_document(
    name: str, tables: Mapping[str, pd.DataFrame], metrics: Mapping[str, float], tracking_uri: str
) -> None:
    """Print the tables, log them as an MLflow run, and write them below the mark in docs/benchmarks/NAME.md."""
    import mlflow

    text = f"Measured {datetime.now():%Y-%m-%d} on {describe_machine()} by `python -m benchmarks.{name}`.\n"
    for title, table in tables.items():
        text += f"\n## {title}\n\n{to_markdown(table)}"
        print(f"\n{title}\n{table.to_string(index=False)}")
    mlflow.set_tracking_uri(tracking_uri)
    mlflow.set_experiment("aura-benchmarks")
    with mlflow.start_run(run_name=name):
        mlflow.log_param("machine", describe_machine())
        for title, table in tables.items():
            mlflow.log_table(table, f"{title.replace(' ', '_')}.json")
        mlflow.log_metrics(dict(metrics))
    path = PROJECT / "docs" / "benchmarks" / f"{name}.md"
    head, _, _ = path.read_text().partition(MARK)
    path.write_text(f"{head}{MARK}\n{text}")
