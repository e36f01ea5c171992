"""A folder of EDF files without annotations: to detect seizures in, not to train on."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path

from aura.types import Event, RecordingRef


def index(files: Sequence[Path], root: Path, dataset: str) -> Iterator[RecordingRef]:
    """Take every EDF file; the first folder below the root is the subject, or the file itself where there is none."""
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
            annotations=None,
            split=None,
            layout=__name__,
        )


def read_events(ref: RecordingRef, start: datetime | None, duration_s: float) -> Iterable[Event]:
    """Give none: nobody annotated them."""
    return ()
