"""A folder of EDF files: to detect seizures in; and to train on, with ``NAME_events.tsv`` beside ``NAME.edf``."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path

from aura.core.events import Event
from aura.core.recordings import RecordingRef
from aura.formats.tabular import read_events_tsv
from aura.formats.vocabulary import NO_WORDS, Words


def index(files: Sequence[Path], root: Path, dataset: str) -> Iterator[RecordingRef]:
    """Take every EDF file; the first folder below the root is the subject, or the file itself where there is none."""
    there = set(files)
    for edf in files:
        if edf.suffix.lower() != ".edf":
            continue
        *folders, name = edf.relative_to(root).with_suffix("").parts
        yield RecordingRef(
            dataset=dataset,
            subject=folders[0] if folders else name,
            session="_".join(folders[1:]),
            recording="_".join((*folders, name)),
            edf=edf,
            annotations=beside if (beside := edf.with_name(f"{edf.stem}_events.tsv")) in there else None,
            split=None,
            layout=__name__,
        )


def read_events(
    ref: RecordingRef, start: datetime | None, duration_s: float, words: Words = NO_WORDS
) -> Iterable[Event]:
    """Read the ``events.tsv``, where there is one.

    Raises
    ------
    RecordingError
        ``bad_annotations``.
    """
    return () if ref.annotations is None else read_events_tsv(ref.annotations, words)
