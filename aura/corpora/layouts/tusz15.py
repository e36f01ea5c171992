"""TUSZ 1.5.x, the seizure corpus of Temple University Hospital (doi:10.3389/fninf.2018.00083).

``edf/{train,dev,dev_test}/01_tcp_ar/002/00000258/s002_2003_07_21/00000258_s002_t000.{edf,tse_bi,tse}``
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path

from aura.core.events import Event
from aura.core.recordings import RecordingRef
from aura.corpora.layouts.tusz import index_beside
from aura.formats.tse import read_tse
from aura.formats.vocabulary import NO_WORDS, Words

NAME = re.compile(r"(?P<subject>\d{8})_s\d{3}_t\d{3}")
SUFFIXES = (".tse_bi", ".tse")


def index(files: Sequence[Path], root: Path, dataset: str) -> Iterator[RecordingRef]:
    """Find the recordings with such a name, or with such annotations in ``SUBJECT/SESSION/NAME.edf``."""
    return index_beside(files, root, dataset, layout=__name__, name=NAME, suffixes=SUFFIXES)


def read_events(
    ref: RecordingRef, start: datetime | None, duration_s: float, words: Words = NO_WORDS
) -> Iterable[Event]:
    """Read a ``.tse_bi``, or a ``.tse``, which tells the types of seizures apart.

    Raises
    ------
    RecordingError
        ``bad_annotations``.
    """
    assert ref.annotations is not None
    return read_tse(ref.annotations, words)
