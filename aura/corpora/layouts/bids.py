"""BIDS, as SzCORE and SeizeIT2 use it (doi:10.1038/s41597-019-0104-8).

``sub-01/ses-01/eeg/sub-01_ses-01_task-szMonitoring_run-00_{eeg.edf,events.tsv}``, the ECG in the EEG file or beside
it as ``ecg/sub-01_ses-01_task-szMonitoring_run-00_ecg.edf``.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path

from aura.core.events import Event
from aura.core.recordings import RecordingRef
from aura.formats.tabular import read_events_tsv
from aura.formats.vocabulary import NO_WORDS, Words

NAME = re.compile(
    r"(?P<run>(?P<subject>sub-[A-Za-z0-9]+)(_(?P<session>ses-[A-Za-z0-9]+))?(_[a-z]+-[A-Za-z0-9]+)*)_(?P<kind>ecg|eeg|ieeg|emg|mov|events)"
)
# Where to look for an ECG, the best place first.
KINDS = ("ecg", "eeg")


def index(files: Sequence[Path], root: Path, dataset: str) -> Iterator[RecordingRef]:
    """Find the runs; the EDF files of one run, ECG, EEG and what else there is, are one recording."""
    runs: dict[tuple[Path, str], dict[str, Path]] = defaultdict(dict)
    parts = {}
    for path in files:
        name = NAME.fullmatch(path.stem)
        if name and (path.suffix.lower() == ".edf" or path.name.endswith("_events.tsv")):
            key = path.parent.parent, name["run"]
            # A second file of the same kind is not taken for the first.
            if name["kind"] not in runs[key]:
                runs[key][name["kind"]], parts[key] = path, name
    for key, run in runs.items():
        annotations = run.pop("events", None)
        if not run:
            continue
        kind = min(run, key=lambda kind: (KINDS.index(kind) if kind in KINDS else len(KINDS), kind))
        yield RecordingRef(
            dataset=dataset,
            subject=parts[key]["subject"],
            session=parts[key]["session"] or "",
            recording=key[1],
            edf=run.pop(kind),
            annotations=annotations,
            split=None,
            layout=__name__,
            others=tuple(run.values()),
        )


def read_events(
    ref: RecordingRef, start: datetime | None, duration_s: float, words: Words = NO_WORDS
) -> Iterable[Event]:
    """Read an ``events.tsv``.

    Raises
    ------
    RecordingError
        ``bad_annotations``.
    """
    assert ref.annotations is not None
    return read_events_tsv(ref.annotations, words)
