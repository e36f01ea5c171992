"""Corpora: a module per layout, each with ``index`` and ``read_seizures``, and the reading of EDF files."""

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from aura.types import Event, RecordingRef


class Layout(Protocol):
    """What a module of a corpus layout offers."""

    def index(self, root: Path, dataset: str) -> Iterator[RecordingRef]:
        """Find the recordings of a corpus, in a stable order."""

    def read_seizures(self, ref: RecordingRef, duration_s: float) -> tuple[Event, ...]:
        """Read the seizures of a recording, sorted and disjoint."""
