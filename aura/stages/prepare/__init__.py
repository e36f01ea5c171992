"""Detect the beats of recordings."""

from aura.config import knobs
from aura.config.stage import Stage
from aura.stages._roots import check_root

STAGE = Stage(
    name="prepare",
    help="read the ECG of each recording, and detect its beats",
    module=f"{__name__}.run",
    shorthand=("dataset.root",),
    knobs=knobs.PREPARE,
    uses=knobs.PREPARE_USES,
    logs=knobs.PREPARE_LOGS,
    order=20,
    keys=("dataset.channels", "prepare", "partition"),
    is_partitionable=True,
    check=check_root,
)
