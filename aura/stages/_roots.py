"""Folders that a stage refuses before its libraries are imported, which takes seconds."""

from pathlib import Path
from typing import TYPE_CHECKING

from aura.core.errors import AuraError
from aura.core.paths import CONF
from aura.synthetic.synthesis import MANIFEST

if TYPE_CHECKING:
    from aura.config.schema import Config


def check_root(config: "Config") -> None:
    """Raise AuraError unless the folder of the corpus exists; the message leaves out the rest of its path.

    A path can name people and places.
    """
    root = Path(config.dataset.root)
    try:
        is_folder = root.is_dir()
        is_synthetic = is_folder and (root / MANIFEST).is_file()
    except OSError as error:
        message = f"dataset.root, which ends in {root.name!r}, cannot be read: {error.strerror}"
        raise AuraError(message) from error
    synthetic = config.dataset.synthesis is not None
    if not is_folder:
        is_shipped = synthetic and _is_shipped(config.dataset.root)
        hint = "run `python -m aura synthesize` to make it" if is_shipped else "give an existing folder"
        raise AuraError(f"dataset.root, which ends in {root.name!r}, is not a folder; {hint}")
    if synthetic and not is_synthetic:
        raise AuraError("dataset.root holds no synthetic corpus; for your own recordings add dataset=any")


def check_root_unless_prepared(config: "Config") -> None:
    """Raise as `check_root`, unless the workspace holds prepared recordings of this folder, which are enough."""
    from aura.workspace.folders import has_prepared

    if not has_prepared(Path(config.workspace) / config.dataset.name, Path(config.dataset.root)):
        check_root(config)


def _is_shipped(root: str) -> bool:
    """Return whether the folder is that of the synthetic corpus in conf/."""
    from omegaconf import OmegaConf

    return bool(root == OmegaConf.load(CONF / "dataset" / "synthetic.yaml").root)
