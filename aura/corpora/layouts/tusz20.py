"""TUSZ 2.0.x: ``edf/{train,dev,eval}/aaaaaool/s004_2013/01_tcp_ar/aaaaaool_s004_t001.{edf,csv_bi,csv}``."""

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path

from aura.core.events import Event, merge
from aura.core.recordings import RecordingRef
from aura.corpora.layouts.tusz import index_beside
from aura.formats.tabular import read_csv
from aura.formats.vocabulary import NO_WORDS, Words, is_seizure

NAME = re.compile(r"(?P<subject>[a-z]{8})_s\d{3}_t\d{3}")
SUFFIXES = (".csv_bi", ".csv")


def index(files: Sequence[Path], root: Path, dataset: str) -> Iterator[RecordingRef]:
    """Find the recordings with such a name, or with such annotations in ``SUBJECT/SESSION/NAME.edf``."""
    return index_beside(files, root, dataset, layout=__name__, name=NAME, suffixes=SUFFIXES)


def read_events(
    ref: RecordingRef, start: datetime | None, duration_s: float, words: Words = NO_WORDS
) -> Iterable[Event]:
    """Read a ``.csv_bi``, or a ``.csv``, whose events of each channel are merged where they overlap.

    Raises
    ------
    RecordingError
        ``bad_annotations``.
    """
    assert ref.annotations is not None
    events = read_csv(ref.annotations, words)
    if ref.annotations.suffix.lower() != ".csv":
        return events
    seizures = merge(event for event in events if is_seizure(event.kind, words))
    return [*seizures, *(event for event in events if not is_seizure(event.kind, words))]
