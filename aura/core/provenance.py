"""Provenance of a result: the detector and its training data. Every result is written with its provenance."""

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from aura.core.errors import AuraError

# Files that MLflow writes beside a model.
MLMODEL, REGISTERED_META = "MLmodel", "registered_model_meta"
MAX_BYTES, MAX_TEXT = 1_000_000, 200
SYNTHETIC_WARNING = (
    "this model was trained on synthetic data; its detections in recordings of people have not been validated"
)
UNKNOWN_WARNING = "the training data of this model are not recorded"
UNCONFIRMED_WARNING = "this model claims that it was trained on recordings of people; no tracking server confirms it"


@dataclass(frozen=True, slots=True)
class Origin:
    """The corpus and the software that a detector was trained with.

    Parameters
    ----------
    corpus
        Name of the corpus; empty if it is not recorded.
    synthetic
        Whether the corpus is synthetic; None if it is not recorded.
    software, date
        Version of Aura and day of the training; empty if they are not recorded.
    """

    corpus: str = ""
    synthetic: bool | None = None
    software: str = ""
    date: str = ""

    def __post_init__(self) -> None:
        """Raise for a text that does not fit on one line in the header of a file."""
        for name in ("corpus", "software", "date"):
            value = getattr(self, name)
            if not isinstance(value, str) or len(value) > MAX_TEXT or not value.isprintable():
                raise AuraError(f"origin.{name} is not a short text on one line")
        if not isinstance(self.synthetic, bool | None):
            raise AuraError(f"origin.synthetic={self.synthetic!r}; allowed are true, false and null")

    def __str__(self) -> str:
        """Return the training corpus in words."""
        if not self.corpus:
            return "an unknown corpus"
        kind = {True: "the synthetic corpus", False: "the corpus", None: "the corpus"}[self.synthetic]
        return f"{kind} {self.corpus}"


@dataclass(frozen=True, slots=True)
class Provenance:
    """The detector that made a result, the day and the software.

    Parameters
    ----------
    model, version
        Registered name and version. A detector that is not registered has its address as its name, and no version.
    run_id
        MLflow run that trained the detector; empty if the tracking server does not confirm the run.
    origin
        Corpus and software that the detector was trained with.
    threshold
        Score at which the detector raises an alarm.
    software, date
        Version of Aura that made the result, and the day of the result.
    is_confirmed
        Whether the detector was read from the tracking server. If not, its origin is unconfirmed.
    """

    model: str
    version: str
    run_id: str
    origin: Origin
    threshold: float
    software: str
    date: str
    is_confirmed: bool = True

    @property
    def name(self) -> str:
        """Name and version of the detector."""
        return f"{self.model} version {self.version}" if self.version else self.model

    @property
    def address(self) -> str:
        """MLflow address of this version; the name of the detector if it is not registered."""
        return f"models:/{self.model}/{self.version}" if self.version else self.model

    def __str__(self) -> str:
        """Return the provenance on one line."""
        run = f" (run {self.run_id})" if self.run_id else ""
        trained = "trained" if self.is_confirmed else "by its own claim trained"
        return (
            f"model {self.name}{run}, {trained} on {self.origin}, threshold {self.threshold:.4g}; "
            f"{self.software}, {self.date}"
        )

    @property
    def synthetic_training(self) -> bool | None:
        """Whether the detector was trained on synthetic data; None if unrecorded, or if "no" is unconfirmed."""
        return None if not self.is_confirmed and self.origin.synthetic is False else self.origin.synthetic

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON, columns and comments.

        A value that is not recorded is None. The threshold of a detector that never raises an alarm is also None, since
        JSON has no infinity.
        """
        return {
            "model": self.model,
            "version": self.version or None,
            "run": self.run_id or None,
            "training_corpus": self.origin.corpus or None,
            "synthetic_training": self.synthetic_training,
            "training_software": self.origin.software or None,
            "training_date": self.origin.date or None,
            "threshold": self.threshold if math.isfinite(self.threshold) else None,
            "software": self.software,
            "date": self.date,
        }

    def warning(self, *, synthetic_data: bool) -> str | None:
        """Return the warning that a result on synthetic or real data needs; None if it needs none."""
        if self.origin.synthetic is None:
            return UNKNOWN_WARNING
        if self.synthetic_training is None:
            return UNCONFIRMED_WARNING
        return SYNTHETIC_WARNING if self.origin.synthetic and not synthetic_data else None


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """Metadata that MLflow writes beside a model: the run and day of logging, and the registered version."""

    run_id: str
    date: str
    model: str
    version: str

    @classmethod
    def read(cls, folder: Path) -> "ModelFolder":
        """Read the metadata in a folder; unexpected values are left out, since the files are not trusted.

        Raises
        ------
        AuraError
            If the folder holds no MLflow model.
        """
        if not (folder / MLMODEL).is_file():
            raise AuraError(f"it has no file {MLMODEL}")
        logged, registered = _read_yaml(folder / MLMODEL), _read_yaml(folder / REGISTERED_META)
        return cls(
            run_id=_match(r"[0-9a-f]{32}", logged.get("run_id")),
            date=_match(r"\d{4}-\d\d-\d\d.*", logged.get("utc_time_created"))[:10],
            model=_match(r"[^/:]{1,256}", registered.get("model_name")),
            version=_match(r"\d{1,9}", registered.get("model_version")),
        )


def _read_yaml(path: Path) -> dict[str, Any]:
    """Read plain values from a YAML file; empty if the file is missing."""
    if not path.is_file():
        return {}
    if path.stat().st_size > MAX_BYTES:
        raise AuraError(f"{path.name} has more than {MAX_BYTES} bytes")
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise AuraError(f"{path.name} is not valid YAML") from error
    return values if isinstance(values, dict) else {}


def _match(pattern: str, value: object) -> str:
    """Return a text or whole number that matches the pattern; an empty text for anything else."""
    text = str(value) if isinstance(value, str | int) else ""
    return text if text.isprintable() and re.fullmatch(pattern, text) else ""
