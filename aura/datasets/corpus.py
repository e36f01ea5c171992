"""All files of a corpus, and what each of them is: nothing that was found is left unsaid."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path

from aura.datasets import Layout
from aura.table import digest
from aura.types import RecordingRef

EDF = ".edf"
# An annotation file by its name alone; a .csv is one only when it says so.
ANNOTATIONS = (".tse_bi", ".tse", ".csv_bi", "_events.tsv")
CSV_BEGINS = b"# version = csv_v"
# File names end at 255 bytes, and ours add to the recording's.
MAX_NAME_BYTES = 150


@dataclass(frozen=True, slots=True)
class Reject:
    """A file or folder that is no recording, and why; ``others`` are the files that would have belonged to it."""

    path: Path
    reason: str
    message: str
    others: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class Corpus:
    """What a folder holds.

    Parameters
    ----------
    refs
        Recordings, each with a name of its own, in the order of their paths.
    rejects
        EDF and annotation files that belong to no recording, and folders that cannot be looked into.
    n_edf, n_annotations
        Files that were found.
    """

    refs: tuple[RecordingRef, ...]
    rejects: tuple[Reject, ...]
    n_edf: int
    n_annotations: int


def find(root: Path, layouts: Sequence[str], dataset: str) -> Corpus:
    """Find the recordings below a folder.

    Parameters
    ----------
    root
        The folder.
    layouts
        Names of modules of `aura.datasets`; each takes the files it knows, and leaves the rest to the next.
    dataset
        Name of the corpus.
    """
    rejects: list[Reject] = []
    files = sorted(_walk(root, rejects))
    left, refs = dict.fromkeys(files), []
    for name in layouts:
        layout: Layout = import_module(name)
        found = list(layout.index(list(left), root, dataset))
        refs += found
        for ref in found:
            for path in (ref.edf, ref.annotations, *ref.others):
                left.pop(path, None)  # type: ignore[arg-type]
    for path in left:
        if path.suffix.lower() == EDF:
            known = ", ".join(name.rpartition(".")[2] for name in layouts)
            rejects.append(Reject(path, "not_in_layout", f"is nothing that the layout {known} knows"))
        else:
            rejects.append(Reject(path, "annotation_without_edf", "is an annotation file without its EDF file"))
    unique, doubles = _unique(refs)
    n_edf = sum(path.suffix.lower() == EDF for path in files)
    return Corpus(tuple(unique), (*rejects, *doubles), n_edf, len(files) - n_edf)


def _walk(root: Path, rejects: list[Reject]) -> Iterator[Path]:
    """EDF and annotation files below a folder, hidden ones aside, each folder once wherever links lead."""
    seen: set[tuple[int, int]] = set()
    # Links last, so that a folder goes by its own name and not by that of a link to it.
    todo, links = [root], list[Path]()
    while todo or links:
        folder = todo.pop() if todo else links.pop()
        try:
            status = folder.stat()
            if (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
            with os.scandir(folder) as entries:
                shown = sorted((entry for entry in entries if not entry.name.startswith(".")), key=lambda one: one.name)
                found = [(entry.name, _is_folder(entry), entry.is_symlink()) for entry in reversed(shown)]
        except OSError as error:
            rejects.append(Reject(folder, "unreadable_folder", f"is a folder that cannot be read: {error.strerror}"))
            continue
        for name, is_folder, is_link in found:
            path = folder / name
            if name.lower().endswith(EDF):
                # Of a folder called x.edf, the reader says that it is no file.
                yield path
            if is_folder:
                (links if is_link else todo).append(path)
            elif name.lower().endswith(ANNOTATIONS) or (name.lower().endswith(".csv") and _is_annotation(path)):
                yield path


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir()
    except OSError:
        # A link to itself is nothing.
        return False


def _is_annotation(csv: Path) -> bool:
    """Whether a .csv file is one of TUSZ; one that cannot be read is, if there is an EDF file to it."""
    try:
        # A named pipe would wait for ever.
        if not csv.is_file():
            return False
        with csv.open("rb") as file:
            return file.read(len(CSV_BEGINS)) == CSV_BEGINS
    except OSError:
        return csv.with_suffix(EDF).exists()


def _unique(refs: Sequence[RecordingRef]) -> tuple[list[RecordingRef], list[Reject]]:
    """Recordings by names that can name a file, and rejects for those whose name is taken."""
    first: dict[str, RecordingRef] = {}
    doubles = []
    for ref in sorted(refs, key=lambda ref: ref.edf):
        name = _file_name(ref.recording)
        if name in first:
            others = (*([ref.annotations] if ref.annotations else []), *ref.others)
            message = "is called like another recording; give it another name"
            doubles.append(Reject(ref.edf, "duplicate_id", message, others))
        else:
            first[name] = replace(ref, recording=name, subject=text(ref.subject), session=text(ref.session))
    return list(first.values()), doubles


def _file_name(recording: str) -> str:
    """The name of a recording, cut where no file could be called so."""
    name = text(recording)
    if len(name.encode()) <= MAX_NAME_BYTES:
        return name
    return name.encode()[:100].decode(errors="ignore") + "-" + digest(name)


def text(name: str) -> str:
    r"""Give a name of a file as text; bytes that are none become ``\xff``."""
    return os.fsencode(name).decode("utf-8", errors="backslashreplace")
