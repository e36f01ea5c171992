"""Compute the features of RR intervals."""

from aura.config.stage import Stage

STAGE = Stage(
    name="featurize",
    help="compute a row of features per window of RR intervals",
    module=f"{__name__}.run",
    order=30,
    keys=("dataset.root", "features", "windows", "partition"),
    is_partitionable=True,
)
