"""Measure what entry points cost."""

from dataclasses import dataclass

from aura.config.stage import Stage


@dataclass(frozen=True)
class BenchConfig:
    """The entry points to measure, the sizes of the corpus, and the numbers of workers."""

    stages: list[str]
    subjects: list[int]
    workers: list[int]


STAGE = Stage(
    name="bench",
    help="measure the cost of stages by size and workers, and compare with earlier runs: bench.workers=[1,2]",
    module=f"{__name__}.run",
    order=140,
    sections={"bench": BenchConfig},
)
