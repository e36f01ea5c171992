"""What the versions of TUSZ share: annotations beside the recording, and a subject in its name or its folders."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from aura.core.recordings import RecordingRef

MONTAGE = re.compile(r"\d\d_tcp_\w+")
SPLITS = ("train", "dev", "dev_test", "eval")


def index_beside(
    files: Sequence[Path], root: Path, dataset: str, *, layout: str, name: re.Pattern[str], suffixes: Sequence[str]
) -> Iterator[RecordingRef]:
    """Find the EDF files that have a standard name of this TUSZ version, or its annotations beside them.

    Parameters
    ----------
    files
        EDF and annotation files.
    root
        Any folder above them.
    dataset
        Name of the corpus.
    layout
        Name of the layout.
    name
        Pattern of standard names, with the group ``subject``.
    suffixes
        Suffixes of annotation files, the preferred one first.

    Yields
    ------
    RecordingRef
        The subject is empty if neither a standard name nor the folders (SUBJECT or SUBJECT/SESSION) tell it.
    """
    by_key = {(path.parent, path.stem, path.suffix.lower()): path for path in files}
    for edf in files:
        if edf.suffix.lower() != ".edf":
            continue
        beside = [by_key[key] for suffix in suffixes if (key := (edf.parent, edf.stem, suffix)) in by_key]
        standard = name.fullmatch(edf.stem)
        if not beside and not standard:
            continue
        folders = [part for part in edf.relative_to(root).parent.parts if not MONTAGE.fullmatch(part)]
        subject, session = (*folders, "", "")[:2] if len(folders) < 2 else folders[-2:]
        if standard:
            subject, session, recording = standard["subject"], folders[-1] if folders else "", edf.stem
        else:
            recording = "_".join(part for part in (subject, session, edf.stem) if part)
        yield RecordingRef(
            dataset=dataset,
            subject=subject,
            session=session,
            recording=recording,
            edf=edf,
            annotations=beside[0] if beside else None,
            split=next((part for part in (root.name, *folders) if part in SPLITS), None),
            layout=layout,
            others=tuple(beside[1:]),
        )
