"""TUSZ 2.0.x: ``edf/{train,dev,eval}/aaaaaool/s004_2013/01_tcp_ar/aaaaaool_s004_t001.{edf,csv_bi,csv}``."""

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path

from aura.core.events import Event, merge
from aura.core.files import write_whole
from aura.core.recordings import RecordingRef
from aura.corpora.layout import AnnotatedRecording, Layout, Place
from aura.corpora.tusz import index_beside
from aura.formats.tabular import read_csv, write_csv_bi
from aura.formats.vocabulary import NO_WORDS, Words, is_seizure

NAME = re.compile(r"(?P<subject>[a-z]{8})_s\d{3}_t\d{3}")
SUFFIXES = (".csv_bi", ".csv")


def index(files: Sequence[Path], root: Path, dataset: str) -> Iterator[RecordingRef]:
    """Find the recordings with a standard name, and any ``SUBJECT/SESSION/NAME.edf`` with annotations beside it."""
    return index_beside(files, root, dataset, layout=LAYOUT.name, name=NAME, suffixes=SUFFIXES)


def read_events(
    ref: RecordingRef, start: datetime | None, duration_s: float, words: Words = NO_WORDS
) -> Iterable[Event]:
    """Read a ``.csv_bi`` file, or a ``.csv`` file, whose per-channel seizures are merged where they overlap.

    Raises
    ------
    RecordingError
        ``bad_annotations`` or ``empty_annotations``.
    """
    assert ref.annotations is not None
    events = read_csv(ref.annotations, words)
    if ref.annotations.suffix.lower() != ".csv":
        return events
    seizures = merge(event for event in events if is_seizure(event.kind, words))
    return [*seizures, *(event for event in events if not is_seizure(event.kind, words))]


def place(subject: int, recording: int) -> Place:
    """Return ``edf/train/aaaaaaab/s001_2003/01_tcp_ar/aaaaaaab_s001_t000.{edf,csv_bi}``; letters count subjects."""
    name = "".join(chr(ord("a") + (subject + 1) // 26**digit % 26) for digit in reversed(range(8)))
    stem = f"{name}_s001_t{recording:03d}"
    folder = Path("edf", "train", name, "s001_2003", "01_tcp_ar")
    return Place(stem, folder / f"{stem}.edf", folder / f"{stem}.csv_bi")


def write_events(path: Path, recordings: Sequence[AnnotatedRecording]) -> None:
    """Write the ``.csv_bi`` file of one recording."""
    (recording,) = recordings
    write = partial(write_csv_bi, events=recording.tiles(), duration_s=recording.duration_s, name=path.stem)
    write_whole(path, write)


LAYOUT = Layout(name="tusz20", index=index, read_events=read_events, place=place, write_events=write_events)
