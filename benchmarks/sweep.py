"""Measure a sweep of 50 trials over windows and forest on 100 h, and training on 3.9 million windows.

``python -m benchmarks.sweep`` (about an hour, 10 GB of disk) logs to MLflow and writes docs/benchmarks/sweep.md;
``train_hours=0`` skips the training, ``n_trials=5 hours=10`` makes a short run.
"""

import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import mlflow
import pandas as pd

from aura.config.compose import compose
from benchmarks.measure import Cost, run, write_document

SPACE = (
    "sweep.space={windows.lengths_s.poincare:{low:20,high:100,step:10},windows.lengths_s.entropy:{low:20,high:100,step:10},"
    "windows.lengths_s.frequency_domain:{low:60,high:240,step:30},model.n_estimators:{low:50,high:150,step:25},"
    "model.max_depth:{low:8,high:24},model.min_samples_leaf:{low:1,high:50,log:true}}"
)


class Corpus:
    """A synthetic corpus in a scratch folder; its recordings have one channel beside the ECG."""

    def __init__(self, scratch: Path, hours: int) -> None:
        self.hours = hours
        self.uri = f"sqlite:///{scratch / 'mlflow.db'}"
        self.words = [
            f"dataset.name=hours{hours}",
            f"dataset.root={scratch / f'corpus{hours}'}",
            f"workspace={scratch / 'workspace'}",
            f"dataset.synthesis.subjects={max(hours * 2 // 5, 8)}",
            f"dataset.synthesis.hours_per_subject={hours / max(hours * 2 // 5, 8)}",
            "dataset.synthesis.eeg_channels=1",
        ]

    def run_stage(self, name: str, *words: str) -> Cost:
        """Run a stage on the corpus, and return its cost."""
        return run([sys.executable, "-m", "aura", name, *self.words, *words], {"MLFLOW_TRACKING_URI": self.uri})


def sum_durations(runs: list[mlflow.entities.Run]) -> float:
    """Return the summed duration of runs in seconds."""
    return sum((run.info.end_time - run.info.start_time) / 1000 for run in runs)


def measure_sweep(corpus: Corpus, n_trials: int) -> Iterator[dict[str, object]]:
    """Run a sweep in one process, and divide its time by task."""
    cost = corpus.run_stage("sweep", SPACE, f"sweep.n_trials={n_trials}", "tracking.model_name=benchmark")
    client = mlflow.MlflowClient(corpus.uri)
    runs = list(client.search_runs([experiment.experiment_id for experiment in client.search_experiments()]))
    by_stage = {
        name: [run for run in runs if run.data.tags["aura.stage"] == name] for name in ("featurize", "trial", "train")
    }
    (train_run,) = by_stage["train"]
    pruned = [run for run in by_stage["trial"] if "train_event_f1" not in run.data.metrics]
    featurize_s, trials_s, test_s = (sum_durations(by_stage[name]) for name in ("featurize", "trial", "train"))
    parts = {
        f"features of {len(by_stage['featurize'])} specifications": featurize_s,
        f"fitting and scoring {len(by_stage['trial'])} trials, {len(pruned)} of them stopped early": trials_s
        - featurize_s,
        "training and testing the best": test_s,
        "start, figures and bookkeeping": cost.wall_s - trials_s - test_s,
        "total": cost.wall_s,
    }
    assert train_run.info.status == "FINISHED"
    for task, wall_s in parts.items():
        yield {
            "task": task,
            "minutes": f"{wall_s / 60:.1f}",
            "share": f"{wall_s / cost.wall_s:.0%}",
            "CPU minutes": f"{cost.cpu_s / 60:.1f}" if task == "total" else "",
            "peak MiB of a process": f"{cost.peak_mib:.0f}" if task == "total" else "",
        }


def measure_training(corpus: Corpus) -> Iterator[dict[str, object]]:
    """Run the default experiment on a corpus of the size of TUSZ."""
    for stage in ("featurize", "train"):
        cost = corpus.run_stage(stage)
        yield {
            "stage": stage,
            "windows": f"{corpus.hours * 3600 / 1e6:.2f} million",
            "minutes": f"{cost.wall_s / 60:.1f}",
            "CPU minutes": f"{cost.cpu_s / 60:.1f}",
            "peak MiB of a process": f"{cost.peak_mib:.0f}",
        }


def main(hours: int, n_trials: int, train_hours: int) -> None:
    """Run all measurements, log them, and write the document."""
    tables = {}
    with tempfile.TemporaryDirectory() as scratch:
        corpus = Corpus(Path(scratch), hours)
        corpus.run_stage("synthesize")
        corpus.run_stage("prepare")
        tables[f"Sweep of {n_trials} trials on {hours} h"] = pd.DataFrame(list(measure_sweep(corpus, n_trials)))
        if train_hours:
            corpus = Corpus(Path(scratch), train_hours)
            corpus.run_stage("synthesize")
            corpus.run_stage("prepare")
            tables[f"Training on {train_hours} h"] = pd.DataFrame(list(measure_training(corpus)))
    minutes = float(next(iter(tables.values()))["minutes"].iloc[-1])
    write_document(
        "sweep", tables, {"minutes": minutes}, os.environ.get("MLFLOW_TRACKING_URI") or compose().tracking.uri
    )


if __name__ == "__main__":
    arguments = dict(word.split("=") for word in sys.argv[1:])
    main(int(arguments.get("hours", 100)), int(arguments.get("n_trials", 50)), int(arguments.get("train_hours", 1100)))
