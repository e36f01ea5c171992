"""The dashboards of recordings, and the alerts, from PostgreSQL."""

import json
from typing import Any

import yaml
from grafana_foundation_sdk.builders import common, dashboard, stat, statetimeline, table, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models.common import GraphThresholdsStyleMode

from deploy.grafana.generate import queries
from deploy.grafana.generate.panels import ORIGIN, WIDTH, build, letter, link_to_boards, place, start_board

SOURCE = models.DataSourceRef(type_val="grafana-postgresql-datasource", uid="aura")


class Sql:
    """A query for Grafana's PostgreSQL data source, which the SDK does not cover."""

    def __init__(self, sql: str, ref: str = "A", form: str = "table") -> None:
        self.sql, self.ref, self.form = sql, ref, form

    def build(self) -> "Sql":
        """Return itself: the SDK expects a builder."""
        return self

    def to_json(self) -> dict[str, object]:
        """Return the query as the dashboard holds it."""
        return {
            "datasource": SOURCE,
            "editorMode": "code",
            "format": self.form,
            "rawQuery": True,
            "rawSql": self.sql,
            "refId": self.ref,
        }


def dashboards() -> dict[str, models.Dashboard]:
    """Make all dashboards, by the names of their files."""
    return {
        "corpus": build(_corpus()),
        "recording": build(_recording()),
        "models": build(_models()),
        "imports": build(_imports()),
    }


def _board(uid: str, title: str, description: str) -> dashboard.Dashboard:
    """Start a dashboard in UTC: recordings have clocks of their own, whose times are stored as UTC."""
    return start_board(uid, title, description, "utc").link(link_to_boards().include_vars(True))


def _variable(name: str, *, several: bool = False, hint: str = "") -> dashboard.QueryVariable:
    """Make a variable whose options are queried from the database."""
    variable = (
        dashboard.QueryVariable(name)
        .label(name)
        .description(hint)
        .datasource(SOURCE)
        .query(queries.VARIABLES[name])
        .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
    )
    if several:
        everything = models.VariableOption(selected=True, text="All", value="$__all")
        variable = variable.multi(True).include_all(True).current(everything)
    return variable


def _series(title: str, description: str, sql: str, unit: str, height: int = 7, form: str = "table") -> Any:
    """Make a chart of values over time."""
    panel = timeseries.Panel().unit(unit).line_width(1).fill_opacity(0).span_nulls(False)
    return place(panel, title, description, SOURCE, [Sql(sql, form=form)], height)


def _table(title: str, description: str, sql: str, height: int, width: int = WIDTH) -> Any:
    """Make a table of rows of the database."""
    return place(table.Panel(), title, description, SOURCE, [Sql(sql)], height, width)


def _corpus() -> dashboard.Dashboard:
    """Make the dashboard of the corpus: totals, and the recordings to look at first."""
    to_recording = (
        "/d/aura-recording?var-dataset=${__data.fields.dataset:percentencode}"
        "&var-subject=${__data.fields.subject:percentencode}"
        "&var-recording=${__data.fields.recording_id}&${model:queryparam}"
        "&from=${__data.fields.from_ms}&to=${__data.fields.to_ms}"
    )
    link = dashboard.DashboardLink("Look at this recording").url(to_recording)
    hidden = [models.DynamicConfigValue(id_val="custom.hidden", value=True)]
    look = _table(
        "What deserves a look",
        "Most detections first, then the surest, then the worst signal. A click opens the recording.",
        queries.RECORDINGS,
        14,
    ).data_links([link])
    for name in ("recording_id", "from_ms", "to_ms"):
        look = look.override_by_name(name, hidden)
    return (
        _board("aura-corpus", "Aura: corpus", "Subjects, hours, seizures, quality.")
        .with_variable(_variable("dataset", several=True))
        .with_variable(_variable("model", hint="Whose detections are counted."))
        .with_panel(place(stat.Panel(), "Corpus", "Of the chosen datasets.", SOURCE, [Sql(queries.CORPUS)], 4, 18))
        .with_panel(
            place(stat.Panel(), "Seizures", "By the corpus's own annotations.", SOURCE, [Sql(queries.N_SEIZURES)], 4, 6)
        )
        .with_panel(look)
        .with_panel(_table("Subjects", "Recordings and hours of each.", queries.PER_SUBJECT, 10))
    )


def _with_recording(board: dashboard.Dashboard) -> dashboard.Dashboard:
    """Add the variables that choose a recording."""
    return (
        board.with_variable(_variable("dataset"))
        .with_variable(_variable("subject"))
        .with_variable(_variable("recording", hint="Open it from the corpus, which sets the time range as well."))
    )


def _recording() -> dashboard.Dashboard:
    """Make the dashboard of one recording, over time."""
    lanes = [Sql(sql, ref=letter(number)) for number, sql in enumerate(queries.LANES)]
    limit = models.DataTransformerConfig(
        id_val="configFromData",
        options={"configRefId": "B", "mappings": [{"fieldName": "threshold", "handlerKey": "threshold1"}]},
    )
    probability = _series(
        "Probability and score",
        "Highest of each pixel; an alarm is raised where the score is above the threshold.",
        queries.PROBABILITY,
        "short",
    )
    return (
        _with_recording(
            _board(
                "aura-recording",
                "Aura: recording",
                "Drag over a chart with Ctrl held, and add an annotation with the tag seiz or bckg, and recording:NAME "
                "where others were recorded at the same time: python -m aura export-annotations makes files of them.",
            )
        )
        .with_variable(_variable("model"))
        .annotation(_annotations("Annotated", queries.REFERENCE_REGIONS, "green"))
        .annotation(_annotations("Detected", queries.DETECTED_REGIONS, "orange"))
        .with_panel(
            place(
                statetimeline.Panel().merge_values(False).row_height(0.8),
                "Events",
                "What the corpus, people and the detector say.",
                SOURCE,
                lanes,
                7,
            )
        )
        .with_panel(_series("Heart rate", "From beat to beat.", queries.HEART_RATE, "short"))
        .with_panel(_series("RR intervals", "As detected, not cleaned.", queries.RR, "ms"))
        .with_panel(
            probability.with_target(Sql(queries.THRESHOLD, ref="B"))
            .with_transformation(limit)
            .thresholds_style(common.GraphThresholdsStyleConfig().mode(GraphThresholdsStyleMode.LINE))
            .min(0)
            .max(1)
        )
        .with_panel(
            _series(
                "ECG", "Zoom in to two hours or less: lowest and highest value of each pixel.", queries.ECG, "mV", 9
            )
        )
    )


def _models() -> dashboard.Dashboard:
    """Make the dashboard that compares detectors on one recording."""
    return (
        _with_recording(_board("aura-models", "Aura: models on one recording", "What each detector says of it."))
        .annotation(_annotations("Annotated", queries.REFERENCE_REGIONS, "green"))
        .with_panel(
            _table(
                "Counts",
                "Overlap alone counts here; evaluate scores by the rules of SzCORE.",
                queries.COMPARISON,
                7,
            )
        )
        .with_panel(_series("Score", "Highest of each pixel.", queries.PROBABILITIES, "short", 12, "time_series"))
    )


def _imports() -> dashboard.Dashboard:
    """Make the dashboard of imports and failures."""
    return (
        _board("aura-imports", "Aura: imports", "What was imported, and what was not.")
        .time("now-30d", "now")
        .with_panel(_table("Datasets", "And when each was imported last.", queries.IMPORTS, 7, 12))
        .with_panel(_table("Tables", "Rows as the planner estimates them.", queries.SIZES, 7, 12))
        .with_panel(_series("Recordings imported", "By our clock.", queries.IMPORTED, "short"))
        .with_panel(_table("Failures by reason", "Of prepare and of import.", queries.REASONS, 7))
        .with_panel(_table("Failures", "One sentence each.", queries.FAILURES, 12))
    )


def _annotations(name: str, sql: str, colour: str) -> dashboard.AnnotationQuery:
    """Make annotations that are drawn over all charts."""
    query = dashboard.AnnotationQuery().name(name).datasource(SOURCE).enable(True).hide(False).icon_color(colour)
    target: Any = Sql(sql, ref="Anno")
    return query.target(target)


def alerts() -> dict[str, object]:
    """Return the alert rules, in the format of Grafana's provisioning."""
    rules = [
        _rule("aura-failed", "More than a tenth of the recordings failed", queries.FAILED_SHARE, 0.1),
        _rule("aura-no-beats", "Recordings with hardly a beat", queries.EMPTY, 0),
    ]
    return {
        "apiVersion": 1,
        "groups": [{"orgId": 1, "name": "aura", "folder": "Aura", "interval": "10m", "rules": rules}],
    }


def _rule(uid: str, title: str, sql: str, above: float) -> dict[str, object]:
    """Make a rule that fires while a number is above a limit."""
    condition = {
        "type": "threshold",
        "refId": "B",
        "expression": "A",
        "conditions": [{"evaluator": {"type": "gt", "params": [above]}}],
        "datasource": {"type": "__expr__", "uid": "__expr__"},
    }
    minutes = {"from": 600, "to": 0}
    model = json.loads(json.dumps(Sql(sql), cls=JSONEncoder))
    return {
        "uid": uid,
        "title": title,
        "condition": "B",
        "data": [
            {"refId": "A", "datasourceUid": SOURCE.uid, "relativeTimeRange": minutes, "model": model},
            {"refId": "B", "datasourceUid": "__expr__", "relativeTimeRange": minutes, "model": condition},
        ],
        "noDataState": "OK",
        "execErrState": "Error",
        "for": "0s",
        "annotations": {"summary": f"{title}; see the dashboard Aura: imports"},
        "labels": {"project": "aura"},
    }


def alerts_text() -> str:
    """Return the text of the file of alerts."""
    text: str = yaml.safe_dump(alerts(), sort_keys=False)
    return f"# {ORIGIN}\n{text}"
