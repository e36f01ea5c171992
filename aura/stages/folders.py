"""Where the stages keep what they make: a folder per specification, so that nothing stale is ever read."""

from dataclasses import asdict
from pathlib import Path

from aura.config import Config
from aura.errors import AuraError
from aura.table import digest

# Raise when what a stage writes changes its meaning: the old files are then made anew.
FORMAT = 1


def prepared_folder(config: Config) -> Path:
    """Folder of the RR series of a corpus."""
    return Path(config.workspace) / config.dataset.name / f"prepared-{_prepared_digest(config)}"


def features_folder(config: Config) -> Path:
    """Folder of the feature tables of a corpus."""
    key = digest(_prepared_digest(config), config.feature_spec.to_dict(), asdict(config.labels))
    return Path(config.workspace) / config.dataset.name / f"features-{key}"


def require(path: Path, stage: str) -> Path:
    """Return a file that an earlier stage writes, or say which stage to run."""
    if not path.is_file():
        raise AuraError(f"nothing to work on: {path} is missing; run `python -m aura {stage}` with the same settings")
    return path


def _prepared_digest(config: Config) -> str:
    return digest(FORMAT, config.dataset.layout, config.dataset.channels, config.detector)
