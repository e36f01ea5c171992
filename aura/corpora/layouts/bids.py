"""BIDS, as SzCORE and SeizeIT2 use it (doi:10.1038/s41597-019-0104-8).

``sub-01/ses-01/eeg/sub-01_ses-01_task-szMonitoring_run-00_{eeg.edf,events.tsv}``. The ECG is a channel of the EEG
file, or has a file of its own: ``ecg/sub-01_ses-01_task-szMonitoring_run-00_ecg.edf`` (SeizeIT2).
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path

from aura.core.events import Event
from aura.core.files import write_whole
from aura.core.recordings import RecordingRef
from aura.corpora.layout import AnnotatedRecording, Layout, Place
from aura.formats.tabular import read_events_tsv, write_events_tsv
from aura.formats.vocabulary import NO_WORDS, Words

NAME = re.compile(
    r"(?P<run>(?P<subject>sub-[A-Za-z0-9]+)(_(?P<session>ses-[A-Za-z0-9]+))?(_[a-z]+-[A-Za-z0-9]+)*)_(?P<kind>ecg|eeg|ieeg|emg|mov|events)"
)
# Kinds of files that are read for an ECG, the preferred one first.
KINDS = ("ecg", "eeg")


def index(files: Sequence[Path], root: Path, dataset: str) -> Iterator[RecordingRef]:
    """Find the runs; all EDF files of a run (ECG, EEG and others) are one recording."""
    runs: dict[tuple[Path, str], dict[str, Path]] = defaultdict(dict)
    parts = {}
    for path in files:
        name = NAME.fullmatch(path.stem)
        if name and (path.suffix.lower() == ".edf" or path.name.endswith("_events.tsv")):
            key = path.parent.parent, name["run"]
            # The first file of a kind counts; discovery reports a second one.
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
            layout=LAYOUT.name,
            others=tuple(run.values()),
        )


def read_events(
    ref: RecordingRef, start: datetime | None, duration_s: float, words: Words = NO_WORDS
) -> Iterable[Event]:
    """Read an ``events.tsv`` file.

    Raises
    ------
    RecordingError
        ``bad_annotations`` or ``empty_annotations``.
    """
    assert ref.annotations is not None
    return read_events_tsv(ref.annotations, words)


def place(subject: int, recording: int) -> Place:
    """Return ``sub-01/ses-01/eeg/sub-01_ses-01_task-szMonitoring_run-00_{eeg.edf,events.tsv}``."""
    run = f"sub-{subject + 1:02d}_ses-01_task-szMonitoring_run-{recording:02d}"
    folder = Path(f"sub-{subject + 1:02d}", "ses-01", "eeg")
    return Place(run, folder / f"{run}_eeg.edf", folder / f"{run}_events.tsv")


def place_ecg_apart(subject: int, recording: int) -> Place:
    """Return the same, with the ECG in ``ecg/..._ecg.edf``, as SeizeIT2 has it."""
    eeg = place(subject, recording)
    folder = eeg.edf.parent.with_name("ecg")
    return Place(eeg.recording, folder / f"{eeg.recording}_ecg.edf", eeg.annotations, eeg.edf)


def write_events(path: Path, recordings: Sequence[AnnotatedRecording]) -> None:
    """Write the ``events.tsv`` file of one run."""
    (run,) = recordings
    seizures = [Event(s.onset_s, s.duration_s, "sz") for s in run.seizures]
    write_whole(path, partial(write_events_tsv, events=seizures, start=run.start, duration_s=run.duration_s))


LAYOUT = Layout(
    name="bids",
    index=index,
    read_events=read_events,
    place=place,
    write_events=write_events,
    variants={"seizeit2": place_ecg_apart},
)
