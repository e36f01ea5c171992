"""TUSZ 1.5.x, the seizure corpus of Temple University Hospital (doi:10.3389/fninf.2018.00083).

``edf/{train,dev,dev_test}/01_tcp_ar/002/00000258/s002_2003_07_21/00000258_s002_t000.{edf,tse_bi,tse}``
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path

from aura.core.events import Event
from aura.core.files import write_whole
from aura.core.recordings import RecordingRef
from aura.corpora.layout import AnnotatedRecording, Layout, Place
from aura.corpora.tusz import index_beside
from aura.formats.tse import read_tse, write_tse
from aura.formats.vocabulary import NO_WORDS, Words

NAME = re.compile(r"(?P<subject>\d{8})_s\d{3}_t\d{3}")
SUFFIXES = (".tse_bi", ".tse")


def index(files: Sequence[Path], root: Path, dataset: str) -> Iterator[RecordingRef]:
    """Find the recordings with a standard name, and any ``SUBJECT/SESSION/NAME.edf`` with annotations beside it."""
    return index_beside(files, root, dataset, layout=LAYOUT.name, name=NAME, suffixes=SUFFIXES)


def read_events(
    ref: RecordingRef, start: datetime | None, duration_s: float, words: Words = NO_WORDS
) -> Iterable[Event]:
    """Read a ``.tse_bi`` file, or a ``.tse`` file, which names the types of seizures.

    Raises
    ------
    RecordingError
        ``bad_annotations`` or ``empty_annotations``.
    """
    assert ref.annotations is not None
    return read_tse(ref.annotations, words)


def place(subject: int, recording: int) -> Place:
    """Return ``edf/train/01_tcp_ar/000/00000001/s001_2003_07_21/00000001_s001_t000.{edf,tse_bi}``."""
    name = f"{subject + 1:08d}"
    stem = f"{name}_s001_t{recording:03d}"
    folder = Path("edf", "train", "01_tcp_ar", name[3:6], name, "s001_2003_07_21")
    return Place(stem, folder / f"{stem}.edf", folder / f"{stem}.tse_bi")


def write_events(path: Path, recordings: Sequence[AnnotatedRecording]) -> None:
    """Write the ``.tse_bi`` file of one recording."""
    (recording,) = recordings
    write_whole(path, partial(write_tse, events=recording.tiles()))


LAYOUT = Layout(name="tusz15", index=index, read_events=read_events, place=place, write_events=write_events)
