"""Search configurations for the best seizure detector."""

from dataclasses import dataclass, field
from typing import Annotated, Any

from aura.config import knobs
from aura.config.scope import LOGGED, PRIVATE
from aura.config.stage import Stage
from aura.core.ranges import Range
from aura.stages._roots import check_root_unless_prepared


@dataclass(frozen=True)
class SweepConfig:
    """Settings of the search: number of trials, objectives, space, first trials, and name and storage of the study."""

    n_trials: Annotated[int, Range(1, 1_000_000)] = field(metadata=LOGGED)
    max_windows: Annotated[int | None, Range(1_000, 1_000_000_000)] = field(metadata=LOGGED)
    objectives: list[str] = field(metadata=LOGGED)
    space: dict[str, Any] | None = field(metadata=LOGGED)
    enqueue: list[Any] = field(metadata=LOGGED)
    warm_start: str | None = field(metadata=LOGGED)
    warm_start_trials: Annotated[int | None, Range(1, 1_000_000)] = field(metadata=LOGGED)
    study: str | None = field(metadata=LOGGED)
    storage: str | None = field(metadata=PRIVATE)


STAGE = Stage(
    name="sweep",
    help="search configurations; several processes can share a search",
    module=f"{__name__}.run",
    shorthand=("dataset.root",),
    knobs=knobs.SWEEP,
    uses=(*knobs.TRAIN_USES, "sweep", "sampler", "pruner"),
    logs=("dataset.name", "sweep.*", "sampler", "pruner", "seed"),
    keys=("sampler", "pruner"),
    order=50,
    sections={"sweep": SweepConfig},
    check=check_root_unless_prepared,
)
