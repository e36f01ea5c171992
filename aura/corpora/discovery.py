"""All files of a corpus, and what each of them is: nothing that was found is left unsaid."""

import os
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path

from aura.core.files import digest
from aura.core.recordings import RecordingRef
from aura.corpora.layouts import Layout
from aura.corpora.other_files import kind_of

EDF = ".edf"
# An annotation file by its name alone; a .csv is one only when it says so.
ANNOTATIONS = (".tse_bi", ".tse", ".csv_bi", "_events.tsv")
CSV_SAYS = (b"csv_v", b"start_time")
CSV_HEAD_BYTES = 4096
# File names end at 255 bytes, and ours add to the recording's.
MAX_NAME_BYTES = 150


@dataclass(frozen=True, slots=True)
class Reject:
    """A file or folder that is no recording, and why.

    ``like`` is the file it is too much like; ``others`` are the files that would have belonged to it.
    """

    path: Path
    reason: str
    message: str
    like: Path | None = None
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
    passed_over
        How many other files there are of each kind, the most first; see `aura.corpora.other_files`.
    """

    refs: tuple[RecordingRef, ...]
    rejects: tuple[Reject, ...]
    n_edf: int
    n_annotations: int
    passed_over: tuple[tuple[str, int], ...] = ()

    @property
    def files(self) -> set[Path]:
        """All files of the recordings and the rejects: all that was found."""
        of_refs = (path for ref in self.refs for path in _files(ref))
        return {*of_refs, *(path for reject in self.rejects for path in (reject.path, *reject.others))}


def find(root: Path, layouts: Sequence[str], dataset: str) -> Corpus:
    """Find the recordings below a folder.

    Parameters
    ----------
    root
        The folder.
    layouts
        Names of modules of `aura.corpora.layouts`; each takes the files it knows, and leaves the rest to the next.
    dataset
        Name of the corpus.
    """
    rejects: list[Reject] = []
    passed_over: Counter[str] = Counter()
    walked = dict(_walk(root, rejects, passed_over))
    files = sorted(walked)
    n_edf = sum(path.suffix.lower() == EDF for path in files)
    left, refs = dict.fromkeys(files), list[RecordingRef]()
    # Recordings with annotations first: what beside an EDF says where its seizures are counts for more than its name.
    for name, by_name_alone in [*((name, False) for name in layouts), *((name, True) for name in layouts)]:
        layout: Layout = import_module(name)
        found = [ref for ref in layout.index(list(left), root, dataset) if ref.annotations or by_name_alone]
        refs += found
        for ref in found:
            for path in _files(ref):
                left.pop(path, None)
    edf_folders = {path.parent for path in files if path.suffix.lower() == EDF}
    for path in left:
        if path.suffix.lower() == EDF:
            known = ", ".join(name.rpartition(".")[2] for name in layouts)
            rejects.append(Reject(path, "not_in_layout", f"belongs to no recording of the layout {known}"))
        else:
            rejects.append(_stray(path, layouts, edf_folders))
    # What is reached by a link gives way to what is there itself.
    unique, doubles = _unique(sorted(refs, key=lambda ref: (walked[ref.edf], ref.edf)))
    kinds = tuple(passed_over.most_common())
    corpus = Corpus(tuple(unique), (*rejects, *doubles), n_edf, len(files) - n_edf, kinds)
    assert set(files) <= corpus.files
    return corpus


def find_one(edf: Path, root: Path, layouts: Sequence[str], dataset: str) -> Corpus:
    """Find the recording of one EDF file, with its annotations beside it, or in the ``eeg`` folder of BIDS.

    Parameters
    ----------
    edf
        The file.
    root, layouts, dataset
        As for `find`.
    """
    files = [edf]
    for folder in dict.fromkeys((edf.parent, edf.parent.parent / "eeg")):
        # A folder that cannot be read has no annotations to offer.
        with suppress(OSError):
            paths = sorted(folder.iterdir())
            names = {path.name for path in paths}
            files += [path for path in paths if _is_annotation(path, names)]
    found = [ref for name in layouts for ref in import_module(name).index(files, root, dataset) if ref.edf == edf]
    refs, doubles = _unique(sorted(found, key=lambda ref: ref.annotations is None)[:1])
    assert not doubles
    return Corpus(tuple(refs), (), 1, sum(len(_files(ref)) - 1 for ref in refs))


def _walk(root: Path, rejects: list[Reject], passed_over: Counter[str]) -> Iterator[tuple[Path, bool]]:
    """EDF and annotation files below a folder, and whether a link led there.

    Hidden ones are left aside, each folder is visited once, and no link upwards is followed.
    """
    above = set(root.resolve().parents)
    linked: set[Path] = set()
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
        names = {name for name, _, _ in found}
        for name, is_folder, is_link in found:
            path = folder / name
            # Of a folder called x.edf, the reader says that it is no file.
            if name.lower().endswith(EDF) or (not is_folder and _is_annotation(path, names)):
                yield path, folder in linked
            elif not is_folder:
                passed_over[kind_of(name)] += 1
            if is_folder and not (is_link and _leads_above(path, above)):
                if is_link or folder in linked:
                    linked.add(path)
                (links if is_link else todo).append(path)


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir()
    except OSError:
        # A link to itself is nothing.
        return False


def _leads_above(link: Path, above: set[Path]) -> bool:
    try:
        return link.resolve() in above
    except (OSError, RuntimeError):
        # What cannot be followed is said where it is entered.
        return False


def _is_annotation(path: Path, names: Collection[str]) -> bool:
    """Whether a file is an annotation file, by its name, or a .csv by what it says.

    A .csv that cannot be read is one if there is an EDF file to it among the names in the folder.
    """
    name = path.name.lower()
    if name.startswith(".") or not name.endswith(".csv"):
        return not name.startswith(".") and name.endswith(ANNOTATIONS)
    try:
        # A named pipe would wait for ever.
        if not path.is_file():
            return False
        with path.open("rb") as file:
            head = file.read(CSV_HEAD_BYTES)
            return any(said in head for said in CSV_SAYS)
    except OSError:
        return any(other.lower().endswith(EDF) and Path(other).stem == path.stem for other in names)


def _unique(refs: Sequence[RecordingRef]) -> tuple[list[RecordingRef], list[Reject]]:
    """Recordings by names that can name a file, and rejects for those whose name is taken."""
    first: dict[str, RecordingRef] = {}
    doubles = []
    for ref in refs:
        name = _file_name(ref.recording)
        if name in first:
            _, *others = _files(ref)
            message = "its recording is called like that of another file; give one of them another name"
            doubles.append(Reject(ref.edf, "duplicate_id", message, first[name].edf, tuple(others)))
        else:
            first[name] = replace(ref, recording=name, subject=text(ref.subject), session=text(ref.session))
    return sorted(first.values(), key=lambda ref: ref.edf), doubles


def _files(ref: RecordingRef) -> list[Path]:
    """All files of a recording, the EDF first."""
    return [path for path in (ref.edf, ref.annotations, *ref.others) if path is not None]


def _stray(path: Path, layouts: Sequence[str], edf_folders: set[Path]) -> Reject:
    """Say what an annotation file is that no layout took."""
    if len(layouts) == 1 and path.parent in edf_folders:
        layout = layouts[0].rpartition(".")[2]
        return Reject(path, "not_in_layout", f"belongs to no recording of the layout {layout}")
    return Reject(path, "annotation_without_edf", "is an annotation file that belongs to no recording")


def _file_name(recording: str) -> str:
    """The name of a recording, cut where no file could be called so."""
    name = text(recording)
    if len(name.encode()) <= MAX_NAME_BYTES:
        return name
    return name.encode()[:100].decode(errors="ignore") + "-" + digest(name)


def text(name: str) -> str:
    r"""Give a name of a file as text that can be printed; bytes and characters that cannot become ``\xff``."""
    decoded = os.fsencode(name).decode("utf-8", errors="backslashreplace")
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in decoded)
