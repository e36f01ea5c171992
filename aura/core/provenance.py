"""The detector that made a result, and what it was trained on; every result is written with it."""

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
    "this model was trained on synthetic data; what it finds in recordings of people has not been validated"
)
UNKNOWN_WARNING = "it is not recorded what this model was trained on"
UNCONFIRMED_WARNING = (
    "it is not confirmed that this model was trained on recordings of people: only its own folder says so"
)


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
        """Raise for a text that would not stay on its line in the header of a file."""
        for name in ("corpus", "software", "date"):
            value = getattr(self, name)
            if not isinstance(value, str) or len(value) > MAX_TEXT or not value.isprintable():
                raise AuraError(f"origin.{name} is not a short text on one line")
        if not isinstance(self.synthetic, bool | None):
            raise AuraError(f"origin.synthetic={self.synthetic!r}; allowed are true, false and null")

    def __str__(self) -> str:
        """Return it in words."""
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
        MLflow run that trained the detector; empty if the tracking server does not confirm it.
    origin
        What it was trained on.
    threshold
        Score at which it raises an alarm.
    software, date
        Version of Aura that made the result, and the day.
    is_confirmed
        Whether the detector was read from the tracking server. If not, its origin is its own claim.
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
        """Address of this version for MLflow; the name if it is not registered."""
        return f"models:/{self.model}/{self.version}" if self.version else self.model

    def __str__(self) -> str:
        """Return it on one line."""
        run = f" (run {self.run_id})" if self.run_id else ""
        trained = "trained" if self.is_confirmed else "by its own claim trained"
        return (
            f"model {self.name}{run}, {trained} on {self.origin}, threshold {self.threshold:.4g}; "
            f"{self.software}, {self.date}"
        )

    @property
    def synthetic_training(self) -> bool | None:
        """Whether it was trained on synthetic data; None if this is not recorded, or denied without proof."""
        return None if not self.is_confirmed and self.origin.synthetic is False else self.origin.synthetic

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON, columns and comments.

        A value is None if it is not recorded. The threshold of a detector that never raises an alarm is None as well,
        since JSON has no infinity.
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
        """Return the warning for results on such data; None if there is none."""
        if self.origin.synthetic is None:
            return UNKNOWN_WARNING
        if self.synthetic_training is None:
            return UNCONFIRMED_WARNING
        return SYNTHETIC_WARNING if self.origin.synthetic and not synthetic_data else None


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """What MLflow wrote beside a model: the run that logged it, the day, and the registered version."""

    run_id: str
    date: str
    model: str
    version: str

    @classmethod
    def read(cls, folder: Path) -> "ModelFolder":
        """Read it from a folder; the files may come from a stranger, so unexpected values are left out.

        Raises
        ------
        AuraError
            If the folder holds no MLflow model.
        """
        if not (folder / MLMODEL).is_file():
            raise AuraError(f"it has no file {MLMODEL}")
        logged, registered = _yaml(folder / MLMODEL), _yaml(folder / REGISTERED_META)
        return cls(
            run_id=_matching(r"[0-9a-f]{32}", logged.get("run_id")),
            date=_matching(r"\d{4}-\d\d-\d\d.*", logged.get("utc_time_created"))[:10],
            model=_matching(r"[^/:]{1,256}", registered.get("model_name")),
            version=_matching(r"\d{1,9}", registered.get("model_version")),
        )


def _yaml(path: Path) -> dict[str, Any]:
    """Read plain values from a file of MLflow; empty if the file is missing."""
    if not path.is_file():
        return {}
    if path.stat().st_size > MAX_BYTES:
        raise AuraError(f"{path.name} has more than {MAX_BYTES} bytes")
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise AuraError(f"{path.name} is not valid YAML") from error
    return values if isinstance(values, dict) else {}


def _matching(pattern: str, value: object) -> str:
    """Return a text or whole number that matches the pattern; an empty text for anything else."""
    text = str(value) if isinstance(value, str | int) else ""
    return text if text.isprintable() and re.fullmatch(pattern, text) else ""
