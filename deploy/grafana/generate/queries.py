"""What the dashboards ask the database, in Grafana's SQL: variables and macros are filled in there.

A name of a variable is quoted as text by ``:sqlstring``; whatever stands in an address, it stays one value.
"""

import re
from collections.abc import Mapping

# Counted in bins of the width of a pixel, from a moment that all share.
BIN = "date_bin('$__interval', {ts}, TIMESTAMPTZ '2000-01-01 00:00:00+00') AS time"
RECORDING = "recording_id = ${recording:sqlstring}"
MODEL = "model_id = ${model:sqlstring}"
# Each dataset that is chosen.
DATASETS = "dataset IN (${dataset:sqlstring})"
DETECTED = f"{RECORDING} AND {MODEL}"


def expand(sql: str, values: Mapping[str, str], begin: str, end: str, interval: str) -> str:
    """Give a query as Grafana's PostgreSQL data source sends it, to ask it without one.

    Parameters
    ----------
    sql
        With variables and macros.
    values
        Of the variables.
    begin, end
        Of the time range.
    interval
        Width of a pixel, such as ``1m``.
    """
    sql = re.sub(r"\$\{(\w+):sqlstring\}", lambda found: "'" + values[found[1]].replace("'", "''") + "'", sql)
    sql = re.sub(r"\$__timeFilter\(([\w.]+)\)", rf"\1 BETWEEN '{begin}' AND '{end}'", sql)
    sql = sql.replace("$__timeFrom()", f"'{begin}'").replace("$__timeTo()", f"'{end}'")
    return sql.replace("$__interval", interval)


def binned(table: str, columns: str, *, where: str = RECORDING, ts: str = "ts") -> str:
    """Aggregate a table of a recording over time."""
    return (
        f"SELECT {BIN.format(ts=ts)}, {columns} FROM {table} "
        f"WHERE {where} AND $__timeFilter({ts}) GROUP BY 1 ORDER BY 1"
    )


def lane(table: str, name: str, value: str, *, where: str) -> str:
    """Stretches of a table as a lane of a state timeline: at each time at which one begins or ends, all that go on."""
    return (
        f"WITH stretch AS (SELECT onset_at, end_at, {value} AS value FROM {table} "
        f"WHERE {where} AND onset_at < $__timeTo() AND end_at > $__timeFrom()), "
        "edge AS (SELECT onset_at AS time, value, 1 AS step FROM stretch "
        "UNION ALL SELECT end_at, value, -1 FROM stretch), "
        "state AS (SELECT time, value, sum(coalesce(sum(step), 0)) OVER (PARTITION BY value ORDER BY time) AS n "
        "FROM (SELECT DISTINCT time FROM edge) a CROSS JOIN (SELECT DISTINCT value FROM edge) b "
        "LEFT JOIN edge USING (time, value) GROUP BY 1, 2) "
        f"SELECT time, string_agg(value, ', ' ORDER BY value) FILTER (WHERE n > 0) AS \"{name}\" "
        "FROM state GROUP BY 1 ORDER BY 1"
    )


def regions(table: str, text: str, *, where: str) -> str:
    """Stretches of a table as annotations of a dashboard."""
    return (
        f"SELECT onset_at AS time, end_at AS timeend, {text} AS text, kind AS tags FROM {table} "
        f"WHERE {where} AND onset_at < $__timeTo() AND end_at > $__timeFrom() ORDER BY 1"
    )


HEART_RATE = binned("heart_rate", 'min(bpm) AS "lowest", avg(bpm) AS "mean", max(bpm) AS "highest"')
RR = binned("rr", 'min(rr_ms) AS "shortest", avg(rr_ms) AS "mean", max(rr_ms) AS "longest"')
# A day has two million rows, and shows nothing of a heart.
ECG = binned(
    "ecg",
    'min(low_mv) AS "lowest", max(high_mv) AS "highest"',
    where=f"{RECORDING} AND TIMESTAMPTZ $__timeTo() - TIMESTAMPTZ $__timeFrom() <= interval '2 hours'",
)
PROBABILITY = binned("prediction", 'max(probability) AS "probability", max(score) AS "score"', where=DETECTED)
THRESHOLD = f'SELECT threshold AS "threshold" FROM model WHERE {MODEL}'
SEIZURES = "kind = 'seiz'"
LANES = (
    lane("annotation", "reference", "'seizure'", where=f"{RECORDING} AND annotator = 'reference' AND {SEIZURES}"),
    lane(
        "annotation", "annotated", "kind || ' (' || annotator || ')'", where=f"{RECORDING} AND annotator <> 'reference'"
    ),
    lane("detection", "detected", "'seizure'", where=f"{DETECTED} AND {SEIZURES}"),
    lane("detection", "not assessed", "'not assessed'", where=f"{DETECTED} AND kind = 'not_assessed'"),
    lane("quality", "ECG quality", "kind", where=RECORDING),
)
REFERENCE_REGIONS = regions("annotation", "annotator || ': ' || kind", where=RECORDING)
DETECTED_REGIONS = regions(
    "detection", "'detected, confidence ' || round(confidence::numeric, 2)", where=f"{DETECTED} AND {SEIZURES}"
)

VARIABLES = {
    "dataset": "SELECT DISTINCT dataset FROM recording ORDER BY 1",
    "subject": f"SELECT DISTINCT subject FROM recording WHERE {DATASETS} ORDER BY 1",
    "recording": "SELECT name AS __text, recording_id AS __value FROM recording "
    f"WHERE {DATASETS} AND subject IN (${{subject:sqlstring}}) ORDER BY 1",
    "model": "SELECT name || ' ' || left(run_id, 8) AS __text, model_id AS __value FROM model ORDER BY model_id DESC",
}

CORPUS = (
    'SELECT count(*) AS "recordings", count(DISTINCT (dataset, subject)) AS "subjects", '
    'sum(duration_s) / 3600 AS "hours", 100 * sum(usable_share * duration_s) / nullif(sum(duration_s), 0) '
    f'AS "usable ECG (%)", count(*) FILTER (WHERE annotated) AS "annotated" FROM recording WHERE {DATASETS}'
)
N_SEIZURES = (
    'SELECT count(*) AS "seizures" FROM annotation JOIN recording USING (recording_id) '
    f"WHERE {DATASETS} AND annotator = 'reference' AND {SEIZURES}"
)
# What deserves a look most stands first: most detections, then the surest, then the worst signal. What makes the link
# is text, as numbers come to it as they are shown.
RECORDINGS = (
    'SELECT r.recording_id::text, r.dataset AS "dataset", r.subject AS "subject", r.name AS "recording", '
    'r.start_at AS "start", r.duration_s / 3600 AS "hours", '
    'CASE WHEN r.annotated THEN coalesce(a.n, 0) END AS "annotated", coalesce(d.n, 0) AS "detected", '
    'd.surest AS "highest confidence", coalesce(d.blind_s, 0) / 60 AS "not assessed (min)", '
    '100 * r.usable_share AS "usable ECG (%)", (1000 * extract(epoch FROM r.start_at))::bigint::text AS from_ms, '
    "(1000 * extract(epoch FROM r.end_at))::bigint::text AS to_ms "
    "FROM recording r "
    "LEFT JOIN (SELECT recording_id, count(*) AS n FROM annotation "
    f"WHERE annotator = 'reference' AND {SEIZURES} GROUP BY 1) a USING (recording_id) "
    f"LEFT JOIN (SELECT recording_id, count(*) FILTER (WHERE {SEIZURES}) AS n, "
    f"max(confidence) FILTER (WHERE {SEIZURES}) AS surest, "
    f"sum(extract(epoch FROM end_at - onset_at)) FILTER (WHERE NOT {SEIZURES}) AS blind_s "
    f"FROM detection WHERE {MODEL} GROUP BY 1) d USING (recording_id) "
    f"WHERE {DATASETS} ORDER BY coalesce(d.n, 0) DESC, d.surest DESC NULLS LAST, r.usable_share LIMIT 1000"
)
PER_SUBJECT = (
    'SELECT dataset AS "dataset", subject AS "subject", count(*) AS "recordings", sum(duration_s) / 3600 AS "hours", '
    '100 * sum(usable_share * duration_s) / nullif(sum(duration_s), 0) AS "usable ECG (%)" '
    f"FROM recording WHERE {DATASETS} GROUP BY 1, 2 ORDER BY 1, 2 LIMIT 1000"
)

# A detection is right where it overlaps a seizure; SzCORE's tolerances are left to evaluate.
COMPARISON = (
    'SELECT m.name AS "model", left(m.run_id, 8) AS "run", '
    "coalesce(m.training_corpus, 'unknown') || CASE WHEN m.synthetic_training THEN ' (synthetic)' ELSE '' END "
    'AS "trained on", m.threshold AS "threshold", '
    'count(d.onset_at) AS "detected", '
    "count(d.onset_at) FILTER (WHERE EXISTS (SELECT FROM annotation a WHERE a.recording_id = d.recording_id "
    "AND a.annotator = 'reference' AND a.kind = 'seiz' AND a.onset_at < d.end_at AND a.end_at > d.onset_at)) "
    'AS "of them overlapping a seizure", '
    "(SELECT count(*) FROM annotation a WHERE a.recording_id = ${recording:sqlstring} AND a.annotator = 'reference' "
    "AND a.kind = 'seiz' AND NOT EXISTS (SELECT FROM detection o WHERE o.recording_id = a.recording_id "
    "AND o.model_id = m.model_id AND o.kind = 'seiz' AND o.onset_at < a.end_at AND o.end_at > a.onset_at)) "
    'AS "seizures missed" FROM model m '
    "JOIN (SELECT DISTINCT model_id FROM detection WHERE recording_id = ${recording:sqlstring}) u USING (model_id) "
    "LEFT JOIN detection d ON d.model_id = m.model_id AND d.recording_id = ${recording:sqlstring} AND d.kind = 'seiz' "
    "GROUP BY m.model_id ORDER BY m.model_id"
)
PROBABILITIES = (
    f"SELECT {BIN.format(ts='p.ts')}, m.name || ' ' || left(m.run_id, 8) AS metric, max(p.score) AS \"score\" "
    "FROM prediction p JOIN model m USING (model_id) WHERE p.recording_id = ${recording:sqlstring} "
    "AND $__timeFilter(p.ts) GROUP BY 1, 2 ORDER BY 1"
)

IMPORTS = (
    'SELECT dataset AS "dataset", count(*) AS "recordings", max(imported_at) AS "last import", '
    'sum(n_beats) AS "beats" FROM recording GROUP BY 1 ORDER BY 1'
)
IMPORTED = (
    f'SELECT {BIN.format(ts="imported_at")}, count(*) AS "imported" FROM recording '
    "WHERE $__timeFilter(imported_at) GROUP BY 1 ORDER BY 1"
)
REASONS = (
    'SELECT dataset AS "dataset", stage AS "stage", reason AS "reason", count(*) AS "recordings" '
    "FROM failure GROUP BY 1, 2, 3 ORDER BY 4 DESC"
)
FAILURES = (
    'SELECT dataset AS "dataset", recording AS "recording", stage AS "stage", reason AS "reason", '
    'message AS "message", failed_at AS "when" FROM failure ORDER BY failed_at DESC LIMIT 1000'
)
# Estimates of the planner: to count rows takes seconds.
SIZES = (
    'SELECT relname AS "table", greatest(reltuples, 0)::bigint AS "rows (about)", '
    "pg_total_relation_size(oid) AS \"bytes\" FROM pg_class WHERE relnamespace = 'public'::regnamespace "
    "AND relkind = 'r' ORDER BY 3 DESC"
)
FAILED_SHARE = (
    "SELECT f.n::float / nullif(f.n + r.n, 0) AS value FROM (SELECT count(*) AS n FROM failure "
    "WHERE reason <> 'not_in_layout') f, (SELECT count(*) AS n FROM recording) r"
)
# No heart is as slow as that: what was read is no ECG.
EMPTY = "SELECT count(*) FILTER (WHERE n_beats < 20 * usable_share * duration_s / 60)::float AS value FROM recording"
