"""Where the layouts put the recordings of the synthetic corpus, and how they write its annotations."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from itertools import pairwise
from pathlib import Path

from aura.core.events import Event
from aura.core.files import write_whole
from aura.formats.tabular import write_csv_bi, write_events_tsv
from aura.formats.tse import write_tse


@dataclass(frozen=True, slots=True)
class Place:
    """Where a recording goes, below the root, and what `aura.corpora.layouts` will call it."""

    recording: str
    edf: Path
    annotations: Path | None
    # SeizeIT2 has the ECG and the EEG in files of their own.
    eeg: Path | None = None


@dataclass(frozen=True, slots=True)
class Annotated:
    """The seizures of a recording."""

    start: datetime
    duration_s: float
    seizures: tuple[Event, ...]

    def tiles(self) -> list[Event]:
        """Seizures and the background between them."""
        edges = [0.0, *(edge for s in self.seizures for edge in (s.onset_s, s.end_s)), self.duration_s]
        return [
            Event(onset_s, end_s - onset_s, "seiz" if i % 2 else "bckg")
            for i, (onset_s, end_s) in enumerate(pairwise(edges))
        ]


def tusz15(subject: int, recording: int) -> Place:
    """``edf/train/01_tcp_ar/000/00000001/s001_2003_07_21/00000001_s001_t000.edf``."""
    name = f"{subject + 1:08d}"
    stem = f"{name}_s001_t{recording:03d}"
    folder = Path("edf", "train", "01_tcp_ar", name[3:6], name, "s001_2003_07_21")
    return Place(stem, folder / f"{stem}.edf", folder / f"{stem}.tse_bi")


def tusz20(subject: int, recording: int) -> Place:
    """``edf/train/aaaaaaab/s001_2003/01_tcp_ar/aaaaaaab_s001_t000.edf``, the subject counted in letters."""
    name = "".join(chr(ord("a") + (subject + 1) // 26**place % 26) for place in reversed(range(8)))
    stem = f"{name}_s001_t{recording:03d}"
    folder = Path("edf", "train", name, "s001_2003", "01_tcp_ar")
    return Place(stem, folder / f"{stem}.edf", folder / f"{stem}.csv_bi")


def teppe(subject: int, recording: int) -> Place:
    """``PAT_1/EEG_1_s1.edf``, with one annotation file for all segments."""
    name, stem = f"PAT_{subject + 1}", f"EEG_1_s{recording + 1}"
    return Place(f"{name}_{stem}", Path(name, f"{stem}.edf"), Path(name, f"{name}_Annotations_EEG_1.tse_bi"))


def bids(subject: int, recording: int) -> Place:
    """``sub-01/ses-01/eeg/sub-01_ses-01_task-szMonitoring_run-00_eeg.edf``."""
    run = f"sub-{subject + 1:02d}_ses-01_task-szMonitoring_run-{recording:02d}"
    folder = Path(f"sub-{subject + 1:02d}", "ses-01", "eeg")
    return Place(run, folder / f"{run}_eeg.edf", folder / f"{run}_events.tsv")


def seizeit2(subject: int, recording: int) -> Place:
    """As `bids`, with the ECG in ``ecg/..._ecg.edf``."""
    place = bids(subject, recording)
    folder = place.edf.parent.with_name("ecg")
    return Place(place.recording, folder / f"{place.recording}_ecg.edf", place.annotations, place.edf)


def plain(subject: int, recording: int) -> Place:
    """``subject1/night1.edf``, and no annotations."""
    name, stem = f"subject{subject + 1}", f"night{recording + 1}"
    return Place(f"{name}_{stem}", Path(name, f"{stem}.edf"), None)


PLACES: Mapping[str, Callable[[int, int], Place]] = {
    place.__name__: place for place in (tusz15, tusz20, teppe, bids, seizeit2, plain)
}


def write_annotations(layout: str, paths: Sequence[Path | None], recordings: Sequence[Annotated]) -> None:
    """Write the annotation files of a subject's recordings, each whole or not at all."""
    if layout == "teppe":
        first = recordings[0].start
        tiles = [
            Event((one.start - first) / timedelta(seconds=1) + tile.onset_s, tile.duration_s, tile.kind)
            for one in recordings
            for tile in one.tiles()
        ]
        assert paths[0] is not None
        write_whole(paths[0], partial(write_tse, events=tiles, start=first))
        return
    for path, one in zip(paths, recordings, strict=True):
        if path is None:
            continue
        if layout == "tusz15":
            write_whole(path, partial(write_tse, events=one.tiles()))
        elif layout == "tusz20":
            write_whole(path, partial(write_csv_bi, events=one.tiles(), duration_s=one.duration_s, name=path.stem))
        else:
            seizures = [Event(s.onset_s, s.duration_s, "sz") for s in one.seizures]
            write = partial(write_events_tsv, events=seizures, start=one.start, duration_s=one.duration_s)
            write_whole(path, write)
