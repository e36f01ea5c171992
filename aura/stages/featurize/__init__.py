"""Compute the features of RR intervals."""

from aura.config import knobs
from aura.config.stage import Stage
from aura.stages._roots import check_root_unless_prepared

STAGE = Stage(
    name="featurize",
    help="compute a row of features per window of RR intervals",
    module=f"{__name__}.run",
    shorthand=("dataset.root",),
    knobs=knobs.FEATURIZE,
    uses=knobs.FEATURIZE_USES,
    logs=knobs.FEATURIZE_LOGS,
    order=30,
    keys=("features", "windows", "partition"),
    is_partitionable=True,
    check=check_root_unless_prepared,
)
