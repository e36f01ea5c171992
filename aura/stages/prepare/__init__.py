"""Detect the beats of recordings."""

from aura.config.stage import Stage

STAGE = Stage(
    name="prepare",
    help="read the ECG of each recording, and detect its beats",
    module=f"{__name__}.run",
    order=20,
    keys=("dataset.root", "dataset.channels", "prepare", "partition"),
    is_partitionable=True,
)
