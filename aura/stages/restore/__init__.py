"""Fill an empty database from a dump."""

from dataclasses import dataclass

from aura.config.stage import Stage


@dataclass(frozen=True)
class RestoreConfig:
    """Settings of restore: the file that dump wrote."""

    dump: str | None


STAGE = Stage(
    name="restore",
    help="fill an empty database from a file that dump wrote: url=... dump=FILE",
    module=f"{__name__}.run",
    order=120,
    sections={"restore": RestoreConfig},
    shorthand=("database.url", "restore.dump"),
    has_corpus=False,
)
