"""Prepare, featurize and train in a row, as child runs of one run."""

from aura.assembly import build_recipe
from aura.config.schema import Config
from aura.stages import featurize, prepare, train
from aura.tracking import runs


def run(config: Config) -> None:
    """Prepare, featurize and train."""
    build_recipe(config)
    with runs.stage_run("main", config):
        for stage in (prepare, featurize, train):
            stage.STAGE.run(config)
