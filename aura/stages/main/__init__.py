"""Prepare, featurize and train in a row."""

from aura.config import knobs
from aura.config.stage import Stage
from aura.stages._roots import check_root

STAGE = Stage(
    name="main",
    help="prepare, featurize and train in a row, as child runs of one run",
    module=f"{__name__}.run",
    shorthand=("dataset.root",),
    knobs=knobs.TRAIN,
    uses=knobs.TRAIN_USES,
    logs=("dataset.name",),
    order=150,
    keys=("train", "tracking", "seed"),
    check=check_root,
)
