"""Write a part of the database into one file."""

from dataclasses import dataclass

from aura.config.stage import Stage


@dataclass(frozen=True)
class DumpConfig:
    """Settings of the dump: the dataset and its subjects, the file, and whether names become pseudonyms."""

    dataset: str | None
    subjects: str | None
    output: str
    pseudonyms: bool


STAGE = Stage(
    name="dump",
    help="write a part of the database into one file to hand over: url=... output=FILE",
    module=f"{__name__}.run",
    order=110,
    sections={"dump": DumpConfig},
    shorthand=("database.url", "dump.dataset", "dump.subjects", "dump.output", "dump.pseudonyms"),
    has_corpus=False,
)
