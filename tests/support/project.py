"""A project on a small synthetic corpus, and the overrides that make it small."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from aura.cli import main
from aura.core.parquet import read_table

# 6 subjects, 12 recordings of 15 min, a window every 4 s, and a forest of 20 trees: seconds, not minutes.
SMALL_CORPUS = (
    "dataset.synthesis.subjects=6",
    "dataset.synthesis.hours_per_subject=0.5",
    "dataset.synthesis.recording_minutes=15",
    "dataset.synthesis.eeg_channels=2",
)
SMALL_WORK = ("features=original", "windows.step_s=4", "model.n_estimators=20", "train.folds=2")
# Each training is a new run, although nothing has changed.
EACH = "tracking.register=always"


@dataclass(frozen=True)
class Project:
    """A corpus and a workspace, and the stages run on them."""

    corpus: Path
    workspace: Path

    @property
    def overrides(self) -> list[str]:
        """The overrides by which a stage finds the corpus and the workspace."""
        places = [f"dataset.root={self.corpus}", f"workspace={self.workspace}", "compute=serial"]
        return [*SMALL_CORPUS, *SMALL_WORK, EACH, *places]

    def run(self, stage: str, *more: str) -> int:
        """Run a stage with further overrides, and return its exit code."""
        return main([stage, *self.overrides, *more])

    def folder(self, kind: str) -> Path:
        """The only folder of prepared recordings or of features."""
        (folder,) = (self.workspace / "synthetic").glob(f"{kind}-*")
        return folder


def read_rr(project: Project, number: int = 0) -> pd.DataFrame:
    """The RR intervals of a prepared recording, by its place in the order of names."""
    rr, _ = read_table(sorted((project.folder("prepared") / "rr").glob("*.parquet"))[number])
    return rr


def read_files(folder: Path) -> dict[str, bytes]:
    """The content of each recording's file; the tables name the run that wrote them, and are left out."""
    tables = ("recordings.parquet", "failures.parquet")
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*.parquet")
        if path.name not in tables
    }
