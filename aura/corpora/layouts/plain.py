"""A folder of EDF files, with or without annotations in ``NAME_events.tsv`` beside ``NAME.edf``."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path

from aura.core.events import Event
from aura.core.recordings import RecordingRef
from aura.corpora.layout import Layout, Place
from aura.formats.tabular import read_events_tsv
from aura.formats.vocabulary import NO_WORDS, Words


def index(files: Sequence[Path], root: Path, dataset: str) -> Iterator[RecordingRef]:
    """Take every EDF file. Its subject is the first folder below the root; in the root itself, the file's name."""
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
            layout=LAYOUT.name,
        )


def read_events(
    ref: RecordingRef, start: datetime | None, duration_s: float, words: Words = NO_WORDS
) -> Iterable[Event]:
    """Read the ``events.tsv`` file.

    Raises
    ------
    RecordingError
        ``bad_annotations`` or ``empty_annotations``.
    """
    assert ref.annotations is not None
    return read_events_tsv(ref.annotations, words)


def place(subject: int, recording: int) -> Place:
    """Return ``subject1/night1.edf``, without annotations."""
    name, stem = f"subject{subject + 1}", f"night{recording + 1}"
    return Place(f"{name}_{stem}", Path(name, f"{stem}.edf"), None)


LAYOUT = Layout(name="plain", index=index, read_events=read_events, place=place)
