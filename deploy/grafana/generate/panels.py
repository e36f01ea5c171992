"""Parts that all dashboards share, on top of Grafana's foundation SDK."""

import json
from collections.abc import Iterable
from typing import Any

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard as models

# Columns of a dashboard.
WIDTH, HALF, THIRD = 24, 12, 8
ORIGIN = "Made by deploy/grafana/generate; change it there."


def start_board(uid: str, title: str, description: str, timezone: str) -> dashboard.Dashboard:
    """Start an empty dashboard."""
    return (
        dashboard.Dashboard(title)
        .uid(uid)
        .description(f"{description} {ORIGIN}")
        .tags(["aura"])
        .timezone(timezone)
        .tooltip(models.DashboardCursorSync.CROSSHAIR)
    )


def link_to_boards() -> dashboard.DashboardLink:
    """Make the menu of all dashboards of Aura."""
    return dashboard.DashboardLink("Aura").type(models.DashboardLinkType.DASHBOARDS).tags(["aura"]).as_dropdown(True)


def place(
    panel: Any,
    title: str,
    description: str,
    source: models.DataSourceRef,
    targets: Iterable[Any],
    height: int,
    width: int = WIDTH,
) -> Any:
    """Give a panel its texts, data source, queries and size."""
    panel = panel.title(title).description(description).datasource(source).height(height).span(width)
    for target in targets:
        panel = panel.with_target(target)
    return panel


def build(board: dashboard.Dashboard) -> models.Dashboard:
    """Build a dashboard, and number its panels: annotations refer to these numbers."""
    built = board.build()
    for number, panel in enumerate(built.panels or (), start=1):
        panel.id_val = number
    return built


def letter(number: int) -> str:
    """Return the name of the n-th query of a panel: A, B, ..."""
    return chr(ord("A") + number)


def to_json(board: models.Dashboard) -> str:
    """Return the text of a dashboard's file."""
    return json.dumps(board, cls=JSONEncoder, indent=2, sort_keys=True) + "\n"
