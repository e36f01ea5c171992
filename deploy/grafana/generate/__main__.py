"""Write Grafana's dashboards and alerts to deploy/grafana: ``python -m deploy.grafana.generate``."""

import sys
from pathlib import Path

from deploy.grafana.generate import operations, recordings
from deploy.grafana.generate.panels import to_json

FOLDER = Path(__file__).parents[1]


def files() -> dict[Path, str]:
    """Return the text of each file below deploy/grafana."""
    boards = {**recordings.dashboards(), "operations": operations.operations()}
    texts = {Path("dashboards") / f"{name}.json": to_json(board) for name, board in boards.items()}
    return {**texts, Path("provisioning/alerting/aura.yaml"): recordings.alerts_text()}


def main() -> None:
    """Write the files."""
    for path, text in files().items():
        (FOLDER / path).write_text(text, encoding="utf-8")
        print(f"written: {path}", file=sys.stderr)


if __name__ == "__main__":
    main()
