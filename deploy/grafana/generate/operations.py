"""The dashboard of operations, from Prometheus: stages, detectors at work, hosts."""

from collections.abc import Mapping
from typing import Any

from grafana_foundation_sdk.builders import prometheus, stat, table, timeseries
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from deploy.grafana.generate.panels import HALF, THIRD, WIDTH, build, letter, link_to_boards, place, start_board

SOURCE = models.DataSourceRef(type_val="prometheus", uid="aura-prometheus")
HEIGHT = 8
RUN_LABELS = "stage, dataset, partition, instance, state"
# Column of the table of last runs, its unit in Grafana, and its query.
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
    """Make the dashboard."""
    board = start_board("aura-operations", "Aura: operations", "Stages, detectors at work, hosts.", "browser")
    board = board.time("now-6h", "now").refresh("30s").link(link_to_boards())
    for panel in (*_stages(), *_detectors(), *_hosts()):
        board = board.with_panel(panel)
    return build(board)


def _stages() -> list[Any]:
    """Panels of what the stages pushed."""
    now = {
        "stages at work": 'count(aura_stage_duration_seconds{state="running"}) or vector(0)',
        "stages that failed": "count(aura_stage_failure_info) or vector(0)",
        "items waiting": "sum(aura_stage_items_waiting) or vector(0)",
        "alerts": 'count(ALERTS{alertstate="firing"}) or vector(0)',
    }
    targets = [
        _query(number, expression).legend_format(legend).instant()
        for number, (legend, expression) in enumerate(now.items())
    ]
    by = "partition, reason, dataset, stage, state"
    return [
        place(stat.Panel(), "Now", "Alerts are those of deploy/prometheus/rules.", SOURCE, targets, 4),
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
    """Make a table with a row per run that the push gateway holds."""
    queries = {name: query.format(by=f"sum by ({RUN_LABELS}) ") for name, _, query in RUNS}
    panel = _table(
        "Last runs", "Of each stage, corpus and share: the last success, and what came after it.", queries, WIDTH
    )
    for name, unit, _ in RUNS:
        panel = panel.override_by_name(name, _unit(unit))
    return panel


def _detectors() -> list[Any]:
    """Panels of what Prometheus scraped from the served model and from live."""
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
    """Panels of what the node exporters report."""
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


def _series(
    title: str,
    description: str,
    queries: Mapping[str, str],
    unit: str,
    width: int,
    *,
    highest: float | None = None,
) -> Any:
    """Make a chart of values over time, from zero on; queries by the legend of their lines."""
    panel = timeseries.Panel().unit(unit).line_width(1).fill_opacity(0).min(0)
    if highest is not None:
        panel = panel.max(highest)
    targets = [
        _query(number, expression).legend_format(legend).range()
        for number, (legend, expression) in enumerate(queries.items())
    ]
    return place(panel, title, description, SOURCE, targets, HEIGHT, width)


def _table(title: str, description: str, queries: Mapping[str, str], width: int) -> Any:
    """Make a table of current values: the labels that the queries share, and a column per query."""
    targets = [
        _query(number, expression).instant().format(PromQueryFormat.TABLE)
        for number, expression in enumerate(queries.values())
    ]
    panel = place(table.Panel(), title, description, SOURCE, targets, HEIGHT, width)
    # Grafana calls the column of a single query Value, without a letter.
    names = {f"Value #{letter(number)}": name for number, name in enumerate(queries)}
    names["Value"] = next(iter(queries))
    columns = {"excludeByName": {"Time": True, "__name__": True}, "indexByName": {}, "renameByName": names}
    for name, options in (("merge", {}), ("organize", columns)):
        panel = panel.with_transformation(models.DataTransformerConfig(id_val=name, options=options))
    return panel


def _query(number: int, expression: str) -> prometheus.Dataquery:
    return prometheus.Dataquery().expr(expression).ref_id(letter(number)).datasource(SOURCE)


def _unit(unit: str) -> list[models.DynamicConfigValue]:
    return [models.DynamicConfigValue(id_val="unit", value=unit)]
