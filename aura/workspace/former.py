"""Names that folders had in earlier versions, when the name held the root of the corpus and import paths."""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from aura.core.files import digest

FORMAT = 5
DATASET = ("layouts", "channels", "unit", "edf", "pseudonyms", "min_seizure_s", "words", "timezone")
QUALITY = ("flat_mv", "max_mv", "min_agreement")
LAYOUTS, BEAT_DETECTORS = "aura.datasets", "aura.beats.detectors"


def prepared_digest(settings: Mapping[str, Any], root: Path) -> str:
    """Return the digest that the name of a prepared folder had.

    Parameters
    ----------
    settings
        See `aura.assembly.prepared_settings`: ``dataset``, ``quality``, ``detector`` and ``made_by``, with short names.
    root
        Folder of the corpus.
    """
    dataset, quality = settings["dataset"], settings["quality"]
    second = quality["second_detector"]
    return digest(
        FORMAT,
        {
            **{name: dataset[name] for name in DATASET},
            "layouts": [name if "." in name else f"{LAYOUTS}.{name}" for name in dataset["layouts"]],
            "root": str(root.resolve()),
        },
        {**{name: quality[name] for name in QUALITY}, "second_detector": None if second is None else _detector(second)},
        _detector(settings["detector"]),
        settings["made_by"],
    )


def rename(former: Path, folder: Path) -> None:
    """Give a folder its present name, if it still has its former one."""
    if former.is_dir() and not folder.exists():
        # Another process may have renamed it meanwhile.
        with suppress(OSError):
            former.rename(folder)


def _detector(saved: Mapping[str, Any]) -> dict[str, Any]:
    """Return a beat detector as configurations held it, by its import path of then."""
    parameters = {key: value for key, value in saved.items() if key != "name"}
    return {"_target_": f"{BEAT_DETECTORS}.{saved['name']}", **parameters}
