"""Make the synthetic corpus."""

from aura.config.stage import Stage

STAGE = Stage(
    name="synthesize",
    help="make the synthetic corpus",
    module=f"{__name__}.run",
    shorthand=("dataset.root",),
    order=10,
    keys=("dataset.synthesis",),
)
