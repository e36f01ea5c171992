"""Export the annotations made in PostgreSQL and Grafana as files."""

from dataclasses import dataclass

from aura.config.stage import Stage


@dataclass(frozen=True)
class ExportConfig:
    """Settings of the export: the dataset, the output folder, the format, and the address of Grafana."""

    dataset: str | None
    output: str
    format: str
    grafana: str | None


STAGE = Stage(
    name="export-annotations",
    help="export annotations made in PostgreSQL and Grafana as files to train on: url=...",
    module=f"{__name__}.run",
    order=100,
    sections={"export": ExportConfig},
    shorthand=("database.url", "export.dataset", "export.output", "export.format", "export.grafana"),
    has_corpus=False,
)
