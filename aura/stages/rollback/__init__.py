"""Make the previous champion the champion again."""

from aura.config.stage import Stage

STAGE = Stage(
    name="rollback",
    help="make the previous champion the champion again: model_name=aura-seizure-detector-ours",
    module=f"{__name__}.run",
    order=65,
    knobs={"dataset": "dataset", "model_name": "tracking.model_name"},
    keys=("dataset.name", "tracking.model_name"),
    is_measured=False,
)
