"""Find the recordings of a corpus, and account for every EDF and annotation file."""

import os
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from aura.core.files import digest
from aura.core.recordings import RecordingRef
from aura.corpora.layouts import get_layout
from aura.corpora.other_files import kind_of

EDF = ".edf"
# Endings of annotation files. A .csv file is one only if its head has one of the marks.
ANNOTATIONS = (".tse_bi", ".tse", ".csv_bi", "_events.tsv")
CSV_MARKS = (b"csv_v", b"start_time")
CSV_HEAD_BYTES = 4096
# Most file systems allow 255 bytes for a file name; output files append suffixes to the name of the recording.
MAX_NAME_BYTES = 150


@dataclass(frozen=True, slots=True)
class Reject:
    """A file or folder that is not a recording, and why.

    Parameters
    ----------
    path
        The file or folder.
    reason
        A short code to count by, such as ``not_in_layout``.
    message
        A sentence for people.
    like
        The EDF file whose recording has the same name, if that is the reason.
    others
        Further files of the rejected recording.
    """

    path: Path
    reason: str
    message: str
    like: Path | None = None
    others: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class Corpus:
    """The recordings of a folder, and its other files.

    Parameters
    ----------
    refs
        Recordings with unique names, sorted by path.
    rejects
        EDF and annotation files that belong to no recording, and folders that cannot be read.
    n_edf, n_annotations
        Number of EDF files and of annotation files.
    passed_over
        Number of other files by kind, the most frequent first; see `aura.corpora.other_files`.
    """

    refs: tuple[RecordingRef, ...]
    rejects: tuple[Reject, ...]
    n_edf: int
    n_annotations: int
    passed_over: tuple[tuple[str, int], ...] = ()

    @property
    def files(self) -> set[Path]:
        """All files of the recordings and of the rejects."""
        of_refs = (path for ref in self.refs for path in _files(ref))
        return {*of_refs, *(path for reject in self.rejects for path in (reject.path, *reject.others))}


def find_recordings(root: Path, layouts: Sequence[str], dataset: str) -> Corpus:
    """Find the recordings below a folder.

    Parameters
    ----------
    root
        The folder.
    layouts
        Names of layouts; each takes the files it knows and leaves the rest to the next.
    dataset
        Name of the corpus.

    Raises
    ------
    InvalidInput
        If a layout does not exist.
    """
    chosen = [get_layout(name) for name in layouts]
    rejects: list[Reject] = []
    passed_over: Counter[str] = Counter()
    walked = dict(_walk(root, rejects, passed_over))
    files = sorted(walked)
    n_edf = sum(path.suffix.lower() == EDF for path in files)
    left, refs = dict.fromkeys(files), list[RecordingRef]()
    # Recordings with annotations first: annotations beside an EDF file identify a layout better than a file name.
    for layout, by_name_alone in [*((layout, False) for layout in chosen), *((layout, True) for layout in chosen)]:
        taken = [ref for ref in layout.index(list(left), root, dataset) if ref.annotations or by_name_alone]
        refs += taken
        for ref in taken:
            for path in _files(ref):
                left.pop(path, None)
    edf_folders = {path.parent for path in files if path.suffix.lower() == EDF}
    names = ", ".join(layout.name for layout in chosen)
    for path in left:
        if path.suffix.lower() == EDF or (len(chosen) == 1 and path.parent in edf_folders):
            rejects.append(Reject(path, "not_in_layout", f"belongs to no recording of the layout {names}"))
        else:
            message = "is an annotation file that belongs to no recording"
            rejects.append(Reject(path, "annotation_without_edf", message))
    # Regular files take precedence over links.
    unique, doubles = _unique(sorted(refs, key=lambda ref: (walked[ref.edf], ref.edf)))
    kinds = tuple(passed_over.most_common())
    corpus = Corpus(tuple(unique), (*rejects, *doubles), n_edf, len(files) - n_edf, kinds)
    assert set(files) <= corpus.files
    return corpus


def find_recording(edf: Path, root: Path, layouts: Sequence[str], dataset: str) -> Corpus:
    """Find the recording of one EDF file, with annotations beside it or in the ``eeg`` folder of BIDS.

    Parameters
    ----------
    edf
        The file.
    root, layouts, dataset
        As for `find_recordings`.
    """
    files = [edf]
    for folder in dict.fromkeys((edf.parent, edf.parent.parent / "eeg")):
        # A folder that cannot be read costs the annotations, not the recording.
        with suppress(OSError):
            paths = sorted(folder.iterdir())
            names = {path.name for path in paths}
            files += [path for path in paths if _is_annotation(path, names)]
    readings = [ref for name in layouts for ref in get_layout(name).index(files, root, dataset) if ref.edf == edf]
    refs, doubles = _unique(sorted(readings, key=lambda ref: ref.annotations is None)[:1])
    assert not doubles
    return Corpus(tuple(refs), (), 1, sum(len(_files(ref)) - 1 for ref in refs))


def _walk(root: Path, rejects: list[Reject], passed_over: Counter[str]) -> Iterator[tuple[Path, bool]]:
    """Yield the EDF and annotation files below a folder, and whether the path goes through a link.

    Hidden files are skipped. Each folder is visited once. Links to folders above the root are not followed.
    """
    above = set(root.resolve().parents)
    linked: set[Path] = set()
    seen: set[tuple[int, int]] = set()
    # Links last, so that a folder is visited under its own name and not under that of a link.
    todo, links = [root], list[Path]()
    while todo or links:
        folder = todo.pop() if todo else links.pop()
        try:
            status = folder.stat()
            if (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
            with os.scandir(folder) as entries:
                visible = [entry for entry in entries if not entry.name.startswith(".")]
                visible.sort(key=lambda entry: entry.name, reverse=True)
                content = [(entry.name, _is_folder(entry), entry.is_symlink()) for entry in visible]
        except OSError as error:
            rejects.append(Reject(folder, "unreadable_folder", f"is a folder that cannot be read: {error.strerror}"))
            continue
        names = {name for name, _, _ in content}
        for name, is_folder, is_link in content:
            path = folder / name
            # A folder called x.edf is yielded as well; the reader reports that it is no file.
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
        # A link to itself.
        return False


def _leads_above(link: Path, above: set[Path]) -> bool:
    try:
        return link.resolve() in above
    except (OSError, RuntimeError):
        # A link that cannot be followed is reported when the walk enters it.
        return False


def _is_annotation(path: Path, names: Collection[str]) -> bool:
    """Whether a file is an annotation file: by its name, or for a .csv file by its head.

    A .csv file that cannot be read is one if ``names``, those of its folder, include an EDF file of the same stem.
    """
    name = path.name.lower()
    if name.startswith(".") or not name.endswith(".csv"):
        return not name.startswith(".") and name.endswith(ANNOTATIONS)
    try:
        # Reading a named pipe would block.
        if not path.is_file():
            return False
        with path.open("rb") as file:
            head = file.read(CSV_HEAD_BYTES)
            return any(mark in head for mark in CSV_MARKS)
    except OSError:
        return any(other.lower().endswith(EDF) and Path(other).stem == path.stem for other in names)


def _unique(refs: Sequence[RecordingRef]) -> tuple[list[RecordingRef], list[Reject]]:
    """Return recordings with unique names that can name a file, and rejects for the others."""
    first: dict[str, RecordingRef] = {}
    doubles = []
    for ref in refs:
        name = _file_name(ref.recording)
        if name in first:
            _, *others = _files(ref)
            message = "has the recording name of another file; rename one of the two"
            doubles.append(Reject(ref.edf, "duplicate_id", message, first[name].edf, tuple(others)))
        else:
            first[name] = replace(
                ref, recording=name, subject=escape_name(ref.subject), session=escape_name(ref.session)
            )
    return sorted(first.values(), key=lambda ref: ref.edf), doubles


def _files(ref: RecordingRef) -> list[Path]:
    """Return all files of a recording, the EDF file first."""
    return [path for path in (ref.edf, ref.annotations, *ref.others) if path is not None]


def _file_name(recording: str) -> str:
    """Return the name of a recording as output files have it, shortened if it is too long for a file name."""
    name = escape_name(recording)
    if len(name.encode()) <= MAX_NAME_BYTES:
        return name
    return name.encode()[:100].decode(errors="ignore") + "-" + digest(name)


def escape_name(name: str) -> str:
    r"""Return a file name as printable text; other bytes and characters become escapes such as ``\xff``."""
    decoded = os.fsencode(name).decode("utf-8", errors="backslashreplace")
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in decoded)
