"""Score a registered seizure detector on a corpus."""

from dataclasses import dataclass

from aura.config import knobs
from aura.config.stage import Stage
from aura.stages._roots import check_root_unless_prepared


@dataclass(frozen=True)
class EvaluateConfig:
    """The model to evaluate."""

    model: str | None


STAGE = Stage(
    name="evaluate",
    help="score a registered model on a corpus: model=models:/NAME@champion",
    module=f"{__name__}.run",
    order=60,
    sections={"evaluate": EvaluateConfig},
    shorthand=("evaluate.model", "dataset.root"),
    knobs={"dataset": "dataset"},
    keys=("scoring",),
    uses=(*knobs.PREPARE_USES, "scoring"),
    logs=("dataset.name", "scoring.*"),
    check=check_root_unless_prepared,
)
