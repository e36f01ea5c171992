"""Import prepared recordings into PostgreSQL."""

from dataclasses import dataclass

from aura.config.stage import Stage


@dataclass(frozen=True)
class DatabaseConfig:
    """Settings of the import: the database, the model that detects seizures, and how much of the ECG is imported."""

    url: str | None
    model: str | None
    ecg: str


STAGE = Stage(
    name="import",
    help="import prepared recordings into PostgreSQL: url=postgresql://user@host/aura",
    module=f"{__name__}.run",
    order=90,
    sections={"database": DatabaseConfig},
    shorthand=("database.url", "database.model", "database.ecg"),
    keys=("dataset.root",),
)
