"""Corpora: a module per layout, each with ``index`` and ``read_events``, and the reading of EDF files."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Protocol

from aura.core.events import Event
from aura.core.recordings import RecordingRef
from aura.formats.vocabulary import Words


class Layout(Protocol):
    """What a module of a corpus layout offers."""

    def index(self, files: Sequence[Path], root: Path, dataset: str) -> Iterator[RecordingRef]:
        """Find the recordings of this layout among EDF and annotation files, and leave the other files alone."""

    def read_events(
        self, ref: RecordingRef, start: datetime | None, duration_s: float, words: Words
    ) -> Iterable[Event]:
        """Read the events of a recording that has annotations, as they stand there; ``words`` are the clinic's own."""
