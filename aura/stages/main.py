"""Prepare, featurize and train in a row, as child runs of one run."""

from aura import metrics, tracking
from aura.config import Config
from aura.stages import featurize, prepare, train


@metrics.measured("main")
def run(config: Config) -> None:
    """Go all the way from EDF files to a registered detector."""
    train.trial_of(config)
    with tracking.stage_run("main", config):
        for stage in (prepare, featurize, train):
            stage.run(config)
