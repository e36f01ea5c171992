"""Find seizures in EDF files."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from aura.config.stage import Stage
from aura.core.errors import AuraError

if TYPE_CHECKING:
    from aura.config.schema import Config


@dataclass(frozen=True)
class DetectConfig:
    """The recordings, the model, and the place and the format of the annotations."""

    edf: str | None
    model: str | None
    output: str
    format: str


def check_files(config: "Config") -> None:
    """Raise AuraError for a format that does not exist, or input and output that cannot be used."""
    from aura.formats.detections import FORMATS

    wanted = config.section(DetectConfig)
    if wanted.edf is None:
        raise AuraError("edf is missing; write edf=recording.edf, or edf=FOLDER")
    if wanted.format not in FORMATS:
        raise AuraError(f"detect.format={wanted.format}; allowed are {', '.join(FORMATS)}")
    edf, output = Path(wanted.edf), Path(wanted.output)
    try:
        if not edf.exists():
            raise AuraError(f"edf={edf} does not exist")
        is_file = edf.is_file()
    except OSError as error:
        raise AuraError(f"edf={edf} cannot be read: {error.strerror}") from error
    if is_file and edf.suffix.lower() != ".edf":
        raise AuraError(f"edf={edf} is not an .edf file; allowed are such a file, or a folder of them{_advise(edf)}")
    if output.exists() and not output.is_dir():
        raise AuraError(f"output={output} is not a folder")


def _advise(file: Path) -> str:
    """Return how to convert a file of another kind, as the end of a sentence."""
    from aura.corpora import other_files

    advice = other_files.advice([other_files.kind_of(file.name)])
    return f"; {advice}" if advice else ""


STAGE = Stage(
    name="detect",
    help="find seizures with a registered model: edf=FILE, or edf=FOLDER",
    module=f"{__name__}.run",
    order=70,
    sections={"detect": DetectConfig},
    shorthand=("detect.edf", "detect.model", "detect.output", "detect.format"),
    # The folder of the recordings is that of edf=, whichever corpus is chosen.
    overrides=("dataset.root=.",),
    has_corpus=False,
    check=check_files,
)
