"""TUSZ 1.5.x, the seizure corpus of Temple University Hospital.

``edf/{train,dev,dev_test}/01_tcp_ar/002/00000258/s002_2003_07_21/00000258_s002_t000.{edf,tse_bi}``
"""

from collections.abc import Iterator
from pathlib import Path

from aura.datasets.tse import read_tse
from aura.events import unite
from aura.types import Event, RecordingRef

SPLITS = ("train", "dev", "dev_test", "eval")


def index(root: Path, dataset: str) -> Iterator[RecordingRef]:
    """Find the recordings, sorted by path.

    Parameters
    ----------
    root
        Any folder above the folders of the subjects.
    dataset
        Name of the corpus.

    Yields
    ------
    RecordingRef
        Without a subject where the file is not below the folders of a subject and a session.
    """
    for edf in sorted(path for path in root.rglob("*") if path.suffix.lower() == ".edf"):
        folders = edf.relative_to(root).parent.parts
        subject, session = folders[-2:] if len(folders) >= 2 else ("", "")
        annotations = edf.with_suffix(".tse_bi")
        yield RecordingRef(
            dataset=dataset,
            subject=subject,
            session=session,
            recording=edf.stem,
            edf=edf,
            annotations=annotations if annotations.is_file() else None,
            split=next((name for name in (root.name, *folders) if name in SPLITS), None),
        )


def read_seizures(ref: RecordingRef, duration_s: float) -> tuple[Event, ...]:
    """Read the seizures of a recording from its ``.tse_bi``, clipped to its length, sorted and disjoint.

    Raises
    ------
    RecordingError
        ``no_annotations`` or ``bad_annotations``.
    """
    return unite((event for event in read_tse(ref) if event.kind == "seiz"), duration_s=duration_s)
