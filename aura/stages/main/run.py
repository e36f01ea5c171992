"""Prepare, featurize and train in a row, as child runs of one run."""

from collections.abc import Sequence

from aura.assembly import build_recipe
from aura.config.schema import Config
from aura.stages import featurize, prepare
from aura.stages.main import STAGE
from aura.stages.train import STAGE as TRAIN
from aura.stages.train.registration import run_together
from aura.tracking import runs


def run(config: Config, *, registers: bool = True) -> None:
    """Prepare, featurize and train; ``registers`` is that of train."""
    build_recipe(config)
    with runs.stage_run("main", config):
        for stage in (prepare, featurize):
            stage.STAGE.run(config)
        TRAIN.run(config, registers=registers)


def run_jobs(configs: Sequence[Config]) -> None:
    """Run the jobs of a multirun, and register the best."""
    run_together(STAGE, configs)
