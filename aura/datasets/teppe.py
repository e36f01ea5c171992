"""La Teppe: ``PAT_7/EEG_38_s1.edf`` to ``_sN.edf``, and ``PAT_7/PAT_7_Annotations_EEG_38.tse_bi`` for all of them.

The annotations are times of day, which the start that each EDF says turns into seconds of that segment.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path

from aura.datasets.tse import read_tse
from aura.errors import RecordingError
from aura.types import Event, RecordingRef

SUBJECT = re.compile(r"PAT_\w+")
SEGMENT = re.compile(r"(?P<record>EEG_\w+?)(_s\d+)?")


def index(files: Sequence[Path], root: Path, dataset: str) -> Iterator[RecordingRef]:
    """Find the segments; each is a recording of its own."""
    known = {(path.parent, path.name.lower()): path for path in files}
    for edf in files:
        subject, segment = edf.parent.name, SEGMENT.fullmatch(edf.stem)
        if edf.suffix.lower() != ".edf" or not SUBJECT.fullmatch(subject) or not segment:
            continue
        annotations = f"{subject}_Annotations_{segment['record']}.tse_bi"
        yield RecordingRef(
            dataset=dataset,
            subject=subject,
            session=segment["record"],
            recording=f"{subject}_{edf.stem}",
            edf=edf,
            annotations=known.get((edf.parent, annotations.lower())),
            split=None,
            layout=__name__,
        )


def read_events(ref: RecordingRef, start: datetime | None, duration_s: float) -> Iterable[Event]:
    """Read the events that lie in this segment, at least in part.

    Raises
    ------
    RecordingError
        ``bad_annotations``; ``no_start`` where the EDF does not say when it began; ``annotations_elsewhere`` where by
        what it says not even background lies in this segment.
    """
    assert ref.annotations is not None
    if start is None:
        message = "its annotations are times of day, and the EDF does not say when it began"
        raise RecordingError("no_start", message)

    def seconds(text: str) -> float:
        # Of times with a time zone nobody knows how the clock of the EDF was set.
        return (datetime.fromisoformat(text).replace(tzinfo=None) - start).total_seconds()

    inside = [event for event in read_tse(ref.annotations, seconds) if event.onset_s < duration_s and event.end_s > 0]
    if not inside:
        message = "none of its annotations lies between its begin and its end, as the date and time in the EDF say"
        raise RecordingError("annotations_elsewhere", message)
    return inside
