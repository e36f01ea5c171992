"""Train a seizure detector."""

from aura.config import knobs
from aura.config.stage import Stage
from aura.stages._roots import check_root_unless_prepared

STAGE = Stage(
    name="train",
    help="train, test, log and register a seizure detector",
    module=f"{__name__}.run",
    shorthand=("dataset.root",),
    knobs=knobs.TRAIN,
    uses=knobs.TRAIN_USES,
    logs=knobs.TRAIN_LOGS,
    order=40,
    keys=("train", "scoring.max_false_alarms_per_24h", "tracking", "seed"),
    check=check_root_unless_prepared,
)
