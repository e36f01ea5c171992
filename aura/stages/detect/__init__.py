"""Find seizures in EDF files."""

from dataclasses import dataclass

from aura.config.stage import Stage


@dataclass(frozen=True)
class DetectConfig:
    """The recordings, the model, and the place and the format of the annotations."""

    edf: str | None
    model: str | None
    output: str
    format: str


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
)
