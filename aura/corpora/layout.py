"""What a layout declares: how a corpus arranges recordings and annotations in folders and files."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from pathlib import Path

from aura.core.events import Event
from aura.core.recordings import RecordingRef
from aura.formats.vocabulary import Words


@dataclass(frozen=True, slots=True)
class Place:
    """Where the files of a synthetic recording go.

    Parameters
    ----------
    recording
        Name that the layout's ``index`` gives to the recording.
    edf, annotations
        Paths below the root; ``annotations`` is None in a layout without annotations.
    eeg
        Path of a second EDF file with the EEG, where the ECG has a file of its own.
    """

    recording: str
    edf: Path
    annotations: Path | None
    eeg: Path | None = None


@dataclass(frozen=True, slots=True)
class AnnotatedRecording:
    """The seizures of a synthetic recording, in the order of their onsets."""

    start: datetime
    duration_s: float
    seizures: tuple[Event, ...]

    def tiles(self) -> list[Event]:
        """Return the seizures and the background between them."""
        edges = [0.0, *(edge for s in self.seizures for edge in (s.onset_s, s.end_s)), self.duration_s]
        return [
            Event(onset_s, end_s - onset_s, "seiz" if i % 2 else "bckg")
            for i, (onset_s, end_s) in enumerate(pairwise(edges))
        ]


PlaceRecording = Callable[[int, int], Place]


@dataclass(frozen=True, slots=True)
class Layout:
    """A layout of a corpus, declared as ``LAYOUT`` by its module in `aura.corpora.layouts`.

    Parameters
    ----------
    name
        Name in ``dataset.layouts`` and in the column ``layout`` of the recordings.
    index
        Finds recordings: ``index(files, root, dataset)`` receives the EDF and annotation files that no layout has taken
        so far, and yields one reference per recording. It ignores files that it does not know.
    read_events
        Reads the annotations of one recording: ``read_events(ref, start, duration_s, words)`` returns its events in
        seconds from its start, as they stand in the file. ``start`` is the start on the wall clock, if it is known;
        ``words`` are the clinic's own.
    place
        Places a synthetic recording: ``place(subject, recording)``, both counted from 0. None if the synthetic corpus
        cannot be written in this layout.
    write_events
        Writes an annotation file whole: ``write_events(path, recordings)`` receives all recordings placed at that
        path. None if the layout has no annotations.
    variants
        Further names in ``dataset.synthesis.layout`` with their ``place``, for corpora that this layout reads as well.
    """

    name: str
    index: Callable[[Sequence[Path], Path, str], Iterator[RecordingRef]]
    read_events: Callable[[RecordingRef, datetime | None, float, Words], Iterable[Event]]
    place: PlaceRecording | None = None
    write_events: Callable[[Path, Sequence[AnnotatedRecording]], None] | None = None
    variants: Mapping[str, PlaceRecording] = field(default_factory=dict)
