"""Detect seizures in one EDF file, as a container of the SzCORE benchmark."""

from aura.config.stage import Stage

STAGE = Stage(
    name="szcore",
    help="write events.tsv for one EDF in a container of the SzCORE benchmark: environment INPUT and OUTPUT",
    module=f"{__name__}.run",
    order=130,
    keys=("detect.model",),
    is_measured=False,
)
