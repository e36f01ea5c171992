"""Grafana's dashboard of operations, made with its foundation SDK; ``make dashboards`` writes it to deploy/grafana."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from grafana_foundation_sdk.builders import dashboard, prometheus, stat, table, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

FILE = Path(__file__).parents[2] / "deploy" / "grafana" / "dashboards" / "operations.json"
SOURCE = models.DataSourceRef(type_val="prometheus", uid="aura-prometheus")
WIDTH, HALF, THIRD = 24, 12, 8
HEIGHT = 8
OF_A_RUN = "stage, dataset, partition, instance, state"
# Column of the last runs, its unit in Grafana, and what it shows.
RUNS = (
    ("ended", "dateTimeFromNow", "1000 * {by}(aura_stage_end_timestamp_seconds)"),
    ("duration", "s", "{by}(aura_stage_duration_seconds)"),
    ("processor time", "s", "{by}(aura_stage_cpu_seconds)"),
    ("peak memory", "bytes", "{by}(aura_stage_memory_peak_bytes)"),
    ("read", "bytes", "{by}(aura_stage_read_bytes)"),
    ("written", "bytes", "{by}(aura_stage_written_bytes)"),
    ("recordings done", "none", '{by}(aura_stage_recordings{{outcome="done"}})'),
    ("recordings failed", "none", '{by}(aura_stage_recordings{{outcome="failed"}})'),
    ("windows", "none", "{by}(aura_stage_windows)"),
    ("alarms", "none", "{by}(aura_stage_alarms)"),
)


def operations() -> models.Dashboard:
    """Give the dashboard."""
    board = (
        dashboard.Dashboard("Aura: operations")
        .uid("aura-operations")
        .description("Stages, detectors at work, hosts. Made by aura/monitoring/dashboard.py; change it there.")
        .tags(["aura"])
        .timezone("browser")
        .time("now-6h", "now")
        .refresh("30s")
        .tooltip(models.DashboardCursorSync.CROSSHAIR)
        .link(
            dashboard.DashboardLink("Aura").type(models.DashboardLinkType.DASHBOARDS).tags(["aura"]).as_dropdown(True)
        )
    )
    for panel in (*_stages(), *_detectors(), *_hosts()):
        board = board.with_panel(panel)
    made = board.build()
    for number, one in enumerate(made.panels or (), start=1):
        one.id_val = number
    return made


def _stages() -> list[Any]:
    """What the stages have pushed."""
    now = {
        "stages at work": 'count(aura_stage_duration_seconds{state="running"}) or vector(0)',
        "stages that failed": "count(aura_stage_failure_info) or vector(0)",
        "items waiting": "sum(aura_stage_items_waiting) or vector(0)",
        "alerts": 'count(ALERTS{alertstate="firing"}) or vector(0)',
    }
    by = "partition, reason, dataset, stage, state"
    return [
        _placed(stat.Panel(), "Now", "Alerts are those of deploy/prometheus/rules.", now, WIDTH, 4, instant=True),
        _runs(),
        _table(
            "Recordings that failed, by reason",
            "Of each stage's last runs; failures.parquet in its folder has a sentence for each.",
            {"recordings": f'sum by ({by}) (aura_stage_recordings{{outcome="failed"}})'},
            HALF,
        ),
        _table(
            "Alerts that fire",
            "Since when; the rule itself says what to do.",
            {"since": '1000 * (ALERTS_FOR_STATE and ignoring(alertstate) ALERTS{alertstate="firing"})'},
            HALF,
        ).override_by_name("since", _unit("dateTimeFromNow")),
        _series(
            "Items waiting",
            "Recordings, or subjects to synthesize, that a stage at work has not done yet.",
            {"{{stage}} {{dataset}} {{partition}}": "sum by (stage, dataset, partition) (aura_stage_items_waiting)"},
            "none",
            THIRD,
        ),
        _series(
            "Duration",
            "Of a run at work until now, of one that ended in all.",
            {"{{stage}} {{partition}} {{state}}": "max by (stage, partition, state) (aura_stage_duration_seconds)"},
            "s",
            THIRD,
        ),
        _series(
            "Peak memory",
            "Of all processes of a run; what they share counts in each.",
            {"{{stage}} {{partition}} {{state}}": "max by (stage, partition, state) (aura_stage_memory_peak_bytes)"},
            "bytes",
            THIRD,
        ),
    ]


def _runs() -> Any:
    """One row per run that is known to the gateway."""
    queries = {name: query.format(by=f"sum by ({OF_A_RUN}) ") for name, _, query in RUNS}
    panel = _table(
        "Last runs", "Of each stage, corpus and share: the last success, and what came after it.", queries, WIDTH
    )
    for name, unit, _ in RUNS:
        panel = panel.override_by_name(name, _unit(unit))
    return panel


def _detectors() -> list[Any]:
    """What Prometheus has scraped from the served model and from live."""
    return [
        _series(
            "Requests per second",
            "Of live: lines. What MLflow itself refuses, as no JSON or no such columns, is not among them.",
            {"{{job}} {{outcome}}": "job:aura_requests:rate5m"},
            "reqps",
            THIRD,
        ),
        _series(
            "Time to answer",
            "Half of the answers, and 99 of 100, took no longer; without MLflow's reading and writing of JSON.",
            {
                "{{job}} half": "job:aura_request_duration_seconds:p50_5m",
                "{{job}} 99 %": "job:aura_request_duration_seconds:p99_5m",
            },
            "s",
            THIRD,
        ),
        _series(
            "Refused and failed within an hour",
            "By kind.",
            {
                "{{job}} {{outcome}} {{reason}}": "sum by (job, outcome, reason) "
                '(increase(aura_requests_total{outcome!="answered"}[1h]))'
            },
            "none",
            THIRD,
        ),
        _series(
            "Windows without a probability",
            "Share of the windows of half an hour.",
            {"{{job}}": "job:aura_windows_without_probability:ratio30m"},
            "percentunit",
            THIRD,
        ),
        _series(
            "Alarms per 24 h of recording",
            "Of the last day; the served model raises none, live does.",
            {"{{job}}": "job:aura_alarms_per_24h:ratio1d"},
            "none",
            THIRD,
        ),
        _table(
            "Detectors at work",
            "Which, and in how many processes.",
            {"processes": "count by (job, model, version, run_id, step_s) (aura_model_info)"},
            THIRD,
        ),
    ]


def _hosts() -> list[Any]:
    """What the node exporters say."""
    disk = 'device!~"(loop|ram|dm-|sr|fd).*"'
    return [
        _series(
            "Processors busy",
            "Share of all.",
            {"{{instance}}": "instance:node_cpu_busy:ratio5m"},
            "percentunit",
            THIRD,
            highest=1,
        ),
        _series(
            "Memory available",
            "What can be had without swapping.",
            {"{{instance}}": "instance:node_memory_available:ratio"},
            "percentunit",
            THIRD,
            highest=1,
        ),
        _series(
            "Disk free",
            "Share of each file system.",
            {"{{instance}} {{mountpoint}}": "instance:node_filesystem_available:ratio"},
            "percentunit",
            THIRD,
            highest=1,
        ),
        _series(
            "Disk traffic",
            "Of all disks.",
            {
                "{{instance}} read": f"sum by (instance) (rate(node_disk_read_bytes_total{{{disk}}}[5m]))",
                "{{instance}} written": f"sum by (instance) (rate(node_disk_written_bytes_total{{{disk}}}[5m]))",
            },
            "Bps",
            HALF,
        ),
        _series(
            "Network traffic",
            "To and from other machines.",
            {
                "{{instance}} received": 'sum by (instance) (rate(node_network_receive_bytes_total{device!="lo"}[5m]))',
                "{{instance}} sent": 'sum by (instance) (rate(node_network_transmit_bytes_total{device!="lo"}[5m]))',
            },
            "Bps",
            HALF,
        ),
    ]


def _placed(
    panel: Any, title: str, description: str, queries: Mapping[str, str], width: int, height: int, *, instant: bool
) -> Any:
    """Give a panel what all have, and its queries, by what their values are called."""
    panel = panel.title(title).description(description).datasource(SOURCE).height(height).span(width)
    for number, (name, expression) in enumerate(queries.items()):
        query = prometheus.Dataquery().expr(expression).legend_format(name).ref_id(_letter(number)).datasource(SOURCE)
        panel = panel.with_target(query.instant() if instant else query.range())
    return panel


def _series(
    title: str,
    description: str,
    queries: Mapping[str, str],
    unit: str,
    width: int,
    *,
    highest: float | None = None,
) -> Any:
    """Values over time, from zero on."""
    panel = timeseries.Panel().unit(unit).line_width(1).fill_opacity(0).min(0)
    if highest is not None:
        panel = panel.max(highest)
    return _placed(panel, title, description, queries, width, HEIGHT, instant=False)


def _table(title: str, description: str, queries: Mapping[str, str], width: int) -> Any:
    """Values of now, a column per query, beside the labels that they have in common."""
    panel = _placed(table.Panel(), title, description, {}, width, HEIGHT, instant=True)
    for number, expression in enumerate(queries.values()):
        query = prometheus.Dataquery().expr(expression).ref_id(_letter(number)).datasource(SOURCE)
        panel = panel.with_target(query.instant().format(PromQueryFormat.TABLE))
    # One alone has no letter.
    names = {f"Value #{_letter(number)}": name for number, name in enumerate(queries)}
    names["Value"] = next(iter(queries))
    tidy = {"excludeByName": {"Time": True, "__name__": True}, "indexByName": {}, "renameByName": names}
    for name, options in (("merge", {}), ("organize", tidy)):
        panel = panel.with_transformation(models.DataTransformerConfig(id_val=name, options=options))
    return panel


def _unit(unit: str) -> list[models.DynamicConfigValue]:
    return [models.DynamicConfigValue(id_val="unit", value=unit)]


def _letter(number: int) -> str:
    return chr(ord("A") + number)


def text() -> str:
    """Give what stands in the file."""
    return json.dumps(operations(), cls=JSONEncoder, indent=2, sort_keys=True) + "\n"


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
    print(f"written: {FILE.name}", file=sys.stderr)
