"""Train a seizure detector."""

from aura.config.stage import Stage

STAGE = Stage(
    name="train",
    help="train, test, log and register a seizure detector",
    module=f"{__name__}.run",
    order=40,
    keys=("dataset.root", "train", "scoring.max_false_alarms_per_24h", "tracking", "seed"),
)
