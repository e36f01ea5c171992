"""Where the stages keep what they make: a folder per specification, so that nothing stale is ever read."""

import hashlib
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

import numpy as np

from aura.config.schema import Config
from aura.core.arrays import Floats
from aura.core.events import Event
from aura.core.files import digest
from aura.core.parquet import read_meta, read_table
from aura.core.series import RRSeries
from aura.corpora.names import key_from_environment
from aura.synthetic.corpus import MANIFEST

# Raise when what a stage writes changes its meaning: the old files are then made anew.
FORMAT = 5


def prepared_folder(config: Config) -> Path:
    """Folder of the RR series of a corpus."""
    return Path(config.workspace) / config.dataset.name / f"prepared-{_prepared_digest(config)}"


def features_folder(config: Config) -> Path:
    """Folder of the feature tables of a corpus."""
    made_by = [version(name) for name in ("hrv-analysis", "nolds")] if config.features.engine == "hrv_analysis" else []
    key = digest(_prepared_digest(config), config.feature_spec.to_dict(), made_by)
    return Path(config.workspace) / config.dataset.name / f"features-{key}"


def read_rr(folder: Path, recording: str) -> tuple[RRSeries, tuple[Event, ...], Floats]:
    """RR intervals of a prepared recording, its seizures, and how far the heart rate rose in each."""
    frame, meta = read_table(folder / "rr" / f"{recording}.parquet")
    rr = RRSeries(frame["t_s"].to_numpy(copy=True), frame["rr_ms"].to_numpy(copy=True), meta["recording"]["duration_s"])
    seizures = tuple(Event(onset_s, duration_s) for onset_s, duration_s in meta["seizures"] or ())
    return rr, seizures, np.array(meta["rises_bpm"] or (), dtype=np.float64)


def is_synthetic(config: Config) -> bool:
    """Whether the corpus is one that ``synthesize`` made, or a part of one."""
    root = Path(config.dataset.root).resolve()
    return config.dataset.synthesis is not None or any((one / MANIFEST).is_file() for one in (root, *root.parents))


def channels_digest(config: Config) -> str:
    """Name for the channels of single subjects; only those subjects are prepared anew when they change."""
    return digest([asdict(one) for one in config.dataset.subject_channels])


def is_prepared(config: Config) -> bool:
    """Whether prepare has left its table with these settings, and a whole file of each recording."""
    meta = read_meta(prepared_folder(config) / "recordings.parquet")
    return (
        meta is not None and meta["channels"] == channels_digest(config) and is_complete(prepared_folder(config), "rr")
    )


def is_complete(folder: Path, kind: str) -> bool:
    """Whether a stage has left a table of some recordings in a folder, and a whole file of each of them."""
    table = folder / "recordings.parquet"
    if read_meta(table) is None:
        return False
    recordings, _ = read_table(table)
    files = [folder / kind / f"{recording}.parquet" for recording in recordings["recording"]]
    return bool(files) and all(read_meta(path) is not None for path in files)


def _prepared_digest(config: Config) -> str:
    root = str(Path(config.dataset.root).resolve())
    # Another key of the pseudonyms makes other names.
    key = hashlib.sha256(b"folder" + key_from_environment()).hexdigest() if config.dataset.pseudonyms else None
    dataset = {**asdict(config.dataset), "root": root, "pseudonyms": key}
    for elsewhere in ("synthesis", "name", "subject_channels"):
        dataset.pop(elsewhere)
    made_by = [version(name) for name in ("sleepecg", "neurokit2")]
    return digest(FORMAT, dataset, asdict(config.quality), config.detector, made_by)
