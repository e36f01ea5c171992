"""Folders of empty files, and what discovery makes of a folder."""

from pathlib import Path

from aura.config.compose import compose
from aura.corpora.discovery import Corpus, find_recordings

LAYOUTS = compose().dataset.layouts


def touch_files(root: Path, *names: str) -> list[Path]:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return [root / name for name in names]


def find_all(root: Path, layouts: list[str] = LAYOUTS) -> Corpus:
    corpus = find_recordings(root, layouts, "any")
    accounted = {
        path for one in corpus.refs for path in (one.edf, one.annotations, *one.others) if path is not None
    } | {path for reject in corpus.rejects for path in (reject.path, *reject.others)}
    suffixes = (".edf", ".tse_bi", ".tse", ".csv_bi", "_events.tsv")
    everything = {
        path
        for path in root.rglob("*")
        if path.name.lower().endswith(suffixes)
        and not any(part.startswith(".") for part in path.relative_to(root).parts)
    }
    assert everything <= accounted
    return corpus
