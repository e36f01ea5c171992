"""What a search costs: 50 trials over windows and forest on 100 h; and the memory of training on 3.9 million windows.

``python -m benchmarks.sweep`` (about an hour, 10 GB of disk) logs it to MLflow, writes docs/benchmarks/sweep.md;
``train_hours=0`` leaves the second part out, ``n_trials=5 hours=10`` is for a try.
"""

import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import mlflow
import pandas as pd

from aura.config.compose import compose
from benchmarks.measure import Cost, document, run

SPACE = (
    "sweep.space={windows.lengths_s.poincare:{low:20,high:100,step:10},windows.lengths_s.entropy:{low:20,high:100,step:10},"
    "windows.lengths_s.frequency_domain:{low:60,high:240,step:30},model.n_estimators:{low:50,high:150,step:25},"
    "model.max_depth:{low:8,high:24},model.min_samples_leaf:{low:1,high:50,log:true}}"
)


class Corpus:
    """A synthetic corpus in a scratch folder, of recordings of half an hour; with one channel beside the ECG."""

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

    def stage(self, name: str, *words: str) -> Cost:
        """Run a stage on it."""
        return run([sys.executable, "-m", "aura", name, *self.words, *words], {"MLFLOW_TRACKING_URI": self.uri})


def seconds(runs: list[mlflow.entities.Run]) -> float:
    """Sum of what runs took by the clock."""
    return sum((one.info.end_time - one.info.start_time) / 1000 for one in runs)


def sweep(corpus: Corpus, n_trials: int) -> Iterator[dict[str, object]]:
    """One process, by what it spends its time on."""
    cost = corpus.stage("sweep", SPACE, f"sweep.n_trials={n_trials}", "tracking.model_name=benchmark")
    client = mlflow.MlflowClient(corpus.uri)
    runs = list(client.search_runs([one.experiment_id for one in client.search_experiments()]))
    by_stage = {
        name: [one for one in runs if one.data.tags["aura.stage"] == name] for name in ("featurize", "trial", "train")
    }
    (tested,) = by_stage["train"]
    pruned = [one for one in by_stage["trial"] if "train_event_f1" not in one.data.metrics]
    featurizing_s, trying_s, testing_s = (seconds(by_stage[name]) for name in ("featurize", "trial", "train"))
    parts = {
        f"features of {len(by_stage['featurize'])} specifications": featurizing_s,
        f"fitting and trying {len(by_stage['trial'])} trials, {len(pruned)} of them stopped early": trying_s
        - featurizing_s,
        "training and testing the best": testing_s,
        "start, pictures and bookkeeping": cost.wall_s - trying_s - testing_s,
        "all": cost.wall_s,
    }
    assert tested.info.status == "FINISHED"
    for what, wall_s in parts.items():
        yield {
            "what": what,
            "minutes": f"{wall_s / 60:.1f}",
            "share": f"{wall_s / cost.wall_s:.0%}",
            "CPU minutes": f"{cost.cpu_s / 60:.1f}" if what == "all" else "",
            "peak MiB of a process": f"{cost.peak_mib:.0f}" if what == "all" else "",
        }


def train(corpus: Corpus) -> Iterator[dict[str, object]]:
    """One run of the default experiment on a corpus of the size of TUSZ."""
    for stage in ("featurize", "train"):
        cost = corpus.stage(stage)
        yield {
            "stage": stage,
            "windows": f"{corpus.hours * 3600 / 1e6:.2f} million",
            "minutes": f"{cost.wall_s / 60:.1f}",
            "CPU minutes": f"{cost.cpu_s / 60:.1f}",
            "peak MiB of a process": f"{cost.peak_mib:.0f}",
        }


def main(hours: int, n_trials: int, train_hours: int) -> None:
    """Measure, log, and write the document."""
    tables = {}
    with tempfile.TemporaryDirectory() as scratch:
        corpus = Corpus(Path(scratch), hours)
        corpus.stage("synthesize")
        corpus.stage("prepare")
        tables[f"Sweep of {n_trials} trials on {hours} h"] = pd.DataFrame(list(sweep(corpus, n_trials)))
        if train_hours:
            corpus = Corpus(Path(scratch), train_hours)
            corpus.stage("synthesize")
            corpus.stage("prepare")
            tables[f"Training on {train_hours} h"] = pd.DataFrame(list(train(corpus)))
    minutes = float(next(iter(tables.values()))["minutes"].iloc[-1])
    document("sweep", tables, {"minutes": minutes}, os.environ.get("MLFLOW_TRACKING_URI") or compose().tracking.uri)


if __name__ == "__main__":
    given = dict(word.split("=") for word in sys.argv[1:])
    main(int(given.get("hours", 100)), int(given.get("n_trials", 50)), int(given.get("train_hours", 1100)))
