"""Measure what commands cost from start to end, most of which is the import of libraries.

``python -m benchmarks.commands`` (about five minutes) logs to MLflow and writes docs/benchmarks/commands.md. With
``other=/path/to/a/checkout`` each command runs in both checkouts by turns, and the ratio of this one to the other is
that of each pair; ``runs=5`` is the number of pairs.
"""

import os
import shutil
import statistics
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pandas as pd

from aura import read_ecg
from aura.config.compose import compose
from aura.core.paths import PROJECT
from aura.formats.edf_writer import Channel, write_edf
from benchmarks.measure import Cost, run, write_document

MINUTES, EDF = 5, "new/recording.edf"
WORKSPACE = "workspace={scratch}/workspace"
CORPUS = (
    WORKSPACE,
    "dataset.root={corpus}",
    "dataset.synthesis.subjects=12",
    "dataset.synthesis.hours_per_subject=0.5",
    "dataset.synthesis.eeg_channels=1",
)
# The words of each command, and its exit code.
COMMANDS: dict[str, tuple[Sequence[str], int]] = {
    "--help": (("--help",), 0),
    "train --help": (("train", "--help"), 0),
    "train with a wrong key": (("train", "nothing=1"), 2),
    "prepare with a wrong path": (("prepare", "dataset.root=nowhere"), 1),
    "train with a wrong path": (("train", WORKSPACE, "dataset.root=nowhere"), 1),
    "detect with a wrong path": (("detect", "edf=nowhere.edf"), 1),
    "prepare with nothing to do": (("prepare", *CORPUS), 0),
    "train with nothing changed": (("train", *CORPUS), 0),
    f"detect in a new file of {MINUTES} min": (("detect", WORKSPACE, "edf={edf}", "output={scratch}/detections"), 0),
}


@dataclass(frozen=True)
class Checkout:
    """A checkout of Aura with a workspace and a tracking database of its own, in a scratch folder."""

    folder: Path
    scratch: Path

    def run(self, words: Sequence[str], exit_code: int = 0) -> Cost:
        """Run a command, and return its cost; what `detect` made of the file before is removed first."""
        for made in ("detections", "workspace/detect"):
            shutil.rmtree(self.scratch / made, ignore_errors=True)
        shared = self.scratch.parent
        places = {"scratch": self.scratch, "corpus": shared / "corpus", "edf": shared / EDF}
        command = [sys.executable, "-m", "aura", *(word.format(**places) for word in words)]
        tracking = {"MLFLOW_TRACKING_URI": f"sqlite:///{self.scratch / 'mlflow.db'}"}
        return run(command, tracking, folder=self.folder, exit_code=exit_code)


def cut_recording(corpus: Path, target: Path) -> None:
    """Write the first minutes of the ECG of a recording to an EDF file."""
    ecg = read_ecg(sorted(corpus.rglob("*.edf"))[0])
    target.parent.mkdir()
    samples_uv = 1000 * ecg.mv(0, round(MINUTES * 60 * ecg.fs_hz))
    write_edf(target, [Channel("ECG", samples_uv, round(ecg.fs_hz))], start=datetime(2020, 1, 1))


def measure(checkouts: Sequence[Checkout], n_runs: int) -> Iterator[dict[str, object]]:
    """Run each command in each checkout by turns, and yield the medians."""
    for name, (words, exit_code) in COMMANDS.items():
        costs = [[checkout.run(words, exit_code) for checkout in checkouts] for _ in range(n_runs)]
        row: dict[str, object] = {"command": name, **_describe([pair[0] for pair in costs], "")}
        if len(checkouts) > 1:
            row |= _describe([pair[1] for pair in costs], " of the other")
            row["CPU ratio"] = f"{statistics.median(own.cpu_s / other.cpu_s for own, other in costs):.2f}"
        yield row


def _describe(costs: Sequence[Cost], whose: str) -> dict[str, str]:
    return {
        f"CPU s{whose}": f"{statistics.median(cost.cpu_s for cost in costs):.2f}",
        f"elapsed s{whose}": f"{statistics.median(cost.wall_s for cost in costs):.2f}",
    }


def main(other: str | None, n_runs: int) -> None:
    """Run all measurements, log them, and write the document."""
    with tempfile.TemporaryDirectory() as scratch:
        folders = [PROJECT, *([Path(other)] if other else [])]
        checkouts = [Checkout(folder, Path(scratch) / str(number)) for number, folder in enumerate(folders)]
        for checkout in checkouts:
            checkout.scratch.mkdir()
            for stage in ("synthesize", "prepare", "train"):
                checkout.run([stage, *CORPUS])
        cut_recording(Path(scratch) / "corpus", Path(scratch) / EDF)
        table = pd.DataFrame(list(measure(checkouts, n_runs)))
    metrics = {"detect_cpu_s": float(table["CPU s"].iloc[-1])}
    tracking_uri = os.environ.get("MLFLOW_TRACKING_URI") or compose().tracking.uri
    write_document("commands", {f"Commands, {n_runs} runs of each": table}, metrics, tracking_uri)


if __name__ == "__main__":
    arguments = dict(word.split("=") for word in sys.argv[1:])
    main(arguments.get("other"), int(arguments.get("runs", 5)))
