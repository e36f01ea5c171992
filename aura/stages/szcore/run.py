"""Detect seizures in one EDF file, as a container of the SzCORE benchmark (doi:10.1111/epi.18113)."""

import os
import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from aura.config.schema import Config
from aura.core.errors import AuraError
from aura.core.files import write_whole
from aura.formats.detections import FORMATS
from aura.stages import detect
from aura.stages.detect import DetectConfig

# Folders that the benchmark mounts: its recordings, and the detections that it reads.
DATA, OUTPUT = Path("/data"), Path("/output")
FORMAT = "events_tsv"


def run(config: Config) -> None:
    """Detect seizures in the file ``INPUT`` below ``/data``, and write the file ``OUTPUT`` below ``/output``.

    All other output goes to a temporary folder.
    """
    edf, target = DATA / _from_environment("INPUT"), OUTPUT / _from_environment("OUTPUT")
    if not target.parent.is_dir():
        raise AuraError(f"OUTPUT={target.name}: the folder {target.parent} is missing; mount it")
    with TemporaryDirectory() as scratch:
        folder = Path(scratch) / "detections"
        options = replace(config.section(DetectConfig), edf=str(edf), output=str(folder), format=FORMAT)
        changes: dict[str, Any] = {"workspace": scratch, "detect": options}
        detect.STAGE.run(replace(config, **changes))
        (events,) = folder.glob(f"*{FORMATS[FORMAT]}")
        write_whole(target, partial(shutil.copyfile, events))


def _from_environment(name: str) -> str:
    """Return an environment variable that the benchmark sets."""
    value = os.environ.get(name)
    if not value:
        raise AuraError(
            f"the environment variable {name} is empty; INPUT names an EDF below {DATA}, OUTPUT a .tsv below {OUTPUT}"
        )
    return value
