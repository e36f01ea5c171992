"""Names of the folders of a workspace: the kind of result, a digest of its settings, and a digest of its corpus."""

from pathlib import Path

from aura.core.files import digest

PREPARED, FEATURES = "prepared", "features"


def folder_name(kind: str, settings: str, root: Path) -> str:
    """Return the name of a folder: two corpora of the same name never share a folder."""
    return f"{kind}-{settings}-{_digest_root(root)}"


def has_prepared(folder: Path, root: Path) -> bool:
    """Return whether a folder of the workspace holds recordings of a corpus that were prepared with any settings.

    A folder of an earlier version, whose name tells no root, counts as well.
    """
    names = [path.name for path in folder.glob(f"{PREPARED}-*")]
    return any(name.endswith(f"-{_digest_root(root)}") or name.count("-") == 1 for name in names)


def _digest_root(root: Path) -> str:
    return digest(str(root.resolve()))
