"""Prepare, featurize and train in a row, as child runs of one run."""

from aura.config.schema import Config
from aura.execution import telemetry
from aura.stages import featurize, prepare, train
from aura.tracking import runs


@telemetry.measured("main")
def run(config: Config) -> None:
    """Go all the way from EDF files to a registered detector."""
    train.trial_of(config)
    with runs.stage_run("main", config):
        for stage in (prepare, featurize, train):
            stage.run(config)
