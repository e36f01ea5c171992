"""Make the previous champion the champion again."""

from aura.config.schema import Config
from aura.tracking import outages, runs, versions


def run(config: Config) -> None:
    """Exchange the champion and the previous champion of the model of this configuration; logs no run."""
    with outages.explain_outages(is_nested=False):
        runs.connect(config)
        print(f"rollback: {versions.rollback(config.tracking.model_name)}")
