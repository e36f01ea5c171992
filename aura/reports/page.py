"""The page of a recording: one HTML file to look at, to step through, and to annotate in, drawn with Bokeh."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
from bokeh.embed import file_html
from bokeh.events import SelectionGeometry
from bokeh.layouts import gridplot
from bokeh.models import (
    AdaptiveTicker,
    BoxSelectTool,
    BoxZoomTool,
    ColumnDataSource,
    CompositeTicker,
    CustomJS,
    CustomJSTickFormatter,
    DataRange1d,
    InlineStyleSheet,
    PanTool,
    Range1d,
    ResetTool,
    Span,
    WheelZoomTool,
)
from bokeh.plotting import figure
from bokeh.resources import INLINE
from jinja2 import Environment, FileSystemLoader, select_autoescape

from aura.core.arrays import Floats, Singles
from aura.core.events import Event
from aura.core.files import digest
from aura.core.recordings import Ecg
from aura.core.series import RRSeries
from aura.reports.colours import BLUE, GREEN, GREY, ORANGE, PURPLE, css_variables
from aura.reports.excerpts import LONGEST_S, Excerpts, cut_excerpts, select_within
from aura.reports.gaps import find_gaps

HERE = Path(__file__).parent
# Heart rate is the median of so long.
HEART_RATE_S = 10.0
ROWS = ("detected", "reference", "not assessed", "ECG quality")


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """What the page shows.

    Parameters
    ----------
    name, duration_s, start
        Of the recording; ``start`` on the wall clock, where it is known.
    rr
        RR intervals.
    step_s, score, threshold
        (n_steps,) what is compared with the threshold, each step of ``step_s``.
    found, not_assessed
        By the detector.
    reference
        As annotated; None where nobody has.
    faults
        Stretches without a usable ECG, by kind.
    normal_share
        Share of the RR intervals that are normal.
    doubt
        As `describe_doubt` gives it.
    ecg
        None where it cannot be shown.
    model
        Name and version of the detector.
    provenance, warning
        The detector on one line, and the warning that goes with its results, where there is one.
    """

    name: str
    duration_s: float
    start: datetime | None
    rr: RRSeries
    step_s: float
    score: Floats
    threshold: float
    found: Sequence[Event]
    not_assessed: Sequence[Event]
    reference: Sequence[Event] | None
    faults: Sequence[Event]
    normal_share: float
    doubt: str | None
    ecg: Ecg | None
    model: str
    provenance: str
    warning: str | None


def describe_doubt(normal_share: float, remarks: str) -> str | None:
    """Say in one sentence that the heartbeats of a recording are doubtful; None where they are not.

    Parameters
    ----------
    normal_share, remarks
        Of the table of recordings.

    Examples
    --------
    >>> describe_doubt(0.724, "gaps;doubtful_beats")  # doctest: +NORMALIZE_WHITESPACE
    'heartbeats are doubtful: only 72 % of the intervals between them are normal, as when other waves are counted as
    beats; look at the ECG before you trust this result'
    >>> describe_doubt(0.724, "gaps")
    """
    if "doubtful_beats" not in remarks.split(";"):
        return None
    return (
        f"heartbeats are doubtful: only {100 * normal_share:.0f} % of the intervals between them are normal, as when "
        "other waves are counted as beats; look at the ECG before you trust this result"
    )


def page(recording: Recording) -> str:
    """Draw a recording.

    Returns
    -------
    str
        HTML that needs nothing else, and asks nobody for anything.
    """
    shared = Range1d(0, recording.duration_s, bounds=(-0.02 * recording.duration_s, 1.02 * recording.duration_s))
    panels = [_overview(recording), _heart_rate(recording), _intervals(recording), _score(recording)]
    ecg = recording.ecg
    excerpts = None if ecg is None else cut_excerpts(ecg, recording.reference or (), recording.found)
    if ecg is not None and excerpts is not None:
        panels.append(_ecg(ecg, excerpts, recording.rr.t_s))
    moved = CustomJS(code="window.aura.moved()")
    for edge in ("start", "end"):
        shared.js_on_change(edge, moved)
    start = {"start_s": _start_s(recording)}
    formatter = CustomJSTickFormatter(args=start, code="return window.auraTime(tick, start_s)")
    # Seconds, minutes and hours are counted by sixty.
    parts = ((10, [1, 2, 5], 0.01, 0.5), (60, [1, 2, 5, 10, 20, 30], 1, 1800), (24, [1, 2, 4, 6, 12], 3600, None))
    ticker = CompositeTicker(
        tickers=[
            AdaptiveTicker(base=base, mantissas=mantissas, min_interval=low, max_interval=high, num_minor_ticks=0)
            for base, mantissas, low, high in parts
        ],
        # On a phone there is no room for more labels.
        desired_num_ticks=4,
        num_minor_ticks=0,
    )
    for panel in panels:
        panel.x_range = shared
        panel.xaxis.ticker = ticker
        panel.xaxis.formatter = formatter
        panel.min_border_left = 70
        if isinstance(panel.y_range, DataRange1d):
            # What is looked at fills the chart.
            panel.window_axis = "x"
        panel.background_fill_alpha = panel.border_fill_alpha = 0
    panels[-1].xaxis.axis_label = "time of day" if recording.start else "time from the start (h:min:s)"
    data = {
        "name": recording.name,
        "duration_s": recording.duration_s,
        "start": recording.start.isoformat() if recording.start else None,
        "model": recording.model,
        "beats": hashlib.sha256(recording.rr.t_s.tobytes()).hexdigest()[:16],
        "made_on": _made_on(recording),
        "found": [_plain(event) for event in recording.found],
        "reference": [_plain(event) for event in recording.reference or ()],
        "not_assessed": [_plain(event) for event in recording.not_assessed],
        "colours": {"detected": ORANGE, "marked": PURPLE},
        "ecg": None if ecg is None or excerpts is None else _ecg_scale(ecg, excerpts),
    }
    events = [*recording.found, *(recording.reference or ())]
    template = _templates().get_template("page.html")
    variables = {
        "recording": recording,
        "excerpts": excerpts,
        "cut_min": LONGEST_S / 60 if any(event.duration_s > LONGEST_S for event in events) else None,
        # It stands within a script.
        "data": json.dumps(data).replace("<", "\\u003c"),
        "style": page_style(),
        "code": (HERE / "page.js").read_text(encoding="utf-8"),
    }
    # One set of tools for all.
    charts = gridplot([[panel] for panel in panels], sizing_mode="stretch_width", toolbar_location="above")
    charts.toolbar.stylesheets = [InlineStyleSheet(css="@media print { :host { display: none; } }")]
    html: str = file_html(
        charts,
        INLINE,
        title=recording.name,
        template=template,
        template_variables=variables,
    )
    return html


def index(recordings: pd.DataFrame, failures: pd.DataFrame, provenance: str, warning: str | None) -> str:
    """List recordings with links to their pages.

    Parameters
    ----------
    recordings
        In the order to list them: ``recording``, ``hours``, ``seizures``, ``annotated``, ``not_assessed_s``,
        ``max_score``, ``file``, ``normal_share``, ``remarks``; ``annotated`` is missing where nobody has.
    failures
        What could not be looked at: ``message``.
    provenance, warning
        As of a `Recording`.
    """
    rows = recordings.astype("object").where(recordings.notna(), None).to_dict("records")
    for row in rows:
        row["doubt"] = describe_doubt(row["normal_share"], row["remarks"])
    variables = {
        "rows": rows,
        "failures": failures["message"].tolist(),
        "provenance": provenance,
        "warning": warning,
    }
    return _templates().get_template("index.html").render(style=page_style(), **variables)


def page_style() -> str:
    """Return the style sheet of all pages."""
    return css_variables() + (HERE / "page.css").read_text(encoding="utf-8")


def _templates() -> Environment:
    return Environment(loader=FileSystemLoader(HERE), autoescape=select_autoescape())


def _start_s(recording: Recording) -> float:
    """Time of day at which the recording begins."""
    start = recording.start
    return 0.0 if start is None else start.hour * 3600 + start.minute * 60 + start.second + start.microsecond / 1e6


def _panel(title: str, height: int, **more: object) -> figure:
    """An empty chart that is dragged and zoomed along time."""
    zoom = WheelZoomTool(dimensions="width")
    tools = [PanTool(dimensions="width"), zoom, BoxZoomTool(dimensions="width"), ResetTool()]
    select = BoxSelectTool(dimensions="width", persistent=True, description="Drag to choose a stretch")
    panel = figure(
        height=height, sizing_mode="stretch_width", tools=[*tools, select], output_backend="canvas", title=title, **more
    )
    panel.toolbar.active_drag, panel.toolbar.active_scroll = select, zoom
    panel.toolbar.logo = None
    panel.js_on_event(
        SelectionGeometry,
        CustomJS(code="if (cb_obj.final) window.aura.choose(cb_obj.origin, cb_obj.geometry.x0, cb_obj.geometry.x1)"),
    )
    panel.grid.grid_line_color, panel.grid.grid_line_alpha = GREY, 0.25
    return panel


def _line(panel: figure, columns: Mapping[str, Floats | Singles], colour: str) -> None:
    """Draw ``y`` over ``x``; what is not chosen does not fade."""
    panel.line("x", "y", source=ColumnDataSource(dict(columns)), color=colour, nonselection_alpha=1.0)


def _overview(recording: Recording) -> figure:
    """Rows of stretches: what a person can change first, then what is known."""
    panel = _panel("Events", 150, y_range=list(reversed(ROWS)), name="overview")
    bands = (
        ("detected", recording.found, ORANGE, " "),
        ("reference", recording.reference or (), GREEN, "/"),
        ("not assessed", recording.not_assessed, GREY, "x"),
        ("ECG quality", recording.faults, BLUE, "."),
    )
    for row, events, colour, hatch in bands:
        source = ColumnDataSource(
            {
                "left": [event.onset_s for event in events],
                "right": [event.end_s for event in events],
                "row": [row] * len(events),
                # page.js colours what a person marked differently.
                "colour": [colour] * len(events),
            },
            name=row,
        )
        panel.hbar(
            y="row",
            left="left",
            right="right",
            height=0.7,
            source=source,
            fill_color="colour",
            fill_alpha=0.7,
            line_color="colour",
            # Of a seizure in a day nothing would be left.
            line_width=2,
            hatch_pattern=hatch,
            hatch_color="white",
            nonselection_fill_alpha=0.7,
            nonselection_hatch_alpha=1.0,
        )
    return panel


def _heart_rate(recording: Recording) -> figure:
    """Median heart rate of each 10 s."""
    rr = recording.rr
    edges = np.arange(0, recording.duration_s + HEART_RATE_S, HEART_RATE_S)
    first = np.searchsorted(rr.t_s, edges)
    bpm = [60_000 / np.median(rr.rr_ms[a:b]) if b - a > 1 else np.nan for a, b in pairwise(first)]
    panel = _panel("Heart rate (1/min)", 160)
    source = {"x": (edges[:-1] + HEART_RATE_S / 2).astype(np.float32), "y": np.array(bpm, dtype=np.float32)}
    _line(panel, source, BLUE)
    return panel


def _intervals(recording: Recording) -> figure:
    """RR tachogram, interrupted where there is no interval."""
    t_s, rr_ms = recording.rr.t_s, recording.rr.rr_ms
    gaps = find_gaps(t_s)
    source: dict[str, Floats | Singles] = {
        # In single precision, times at the end of a week are up to 31 ms off.
        "x": np.insert(t_s, gaps, t_s[gaps - 1] + 0.001),
        "y": np.insert(rr_ms, gaps, np.nan).astype(np.float32),
    }
    panel = _panel("RR interval (ms)", 160)
    _line(panel, source, GREY)
    return panel


def _score(recording: Recording) -> figure:
    """What is compared with the threshold, and the threshold."""
    source = {
        "x": ((np.arange(len(recording.score)) + 1) * recording.step_s).astype(np.float32),
        "y": recording.score.astype(np.float32),
    }
    # Against a baseline it can be negative.
    lowest = float(np.nanmin(recording.score)) if np.isfinite(recording.score).any() else 0.0
    panel = _panel("Score (dashed: threshold)", 160, y_range=(min(lowest, 0.0) - 0.02, 1.02))
    _line(panel, source, ORANGE)
    if np.isfinite(recording.threshold):
        panel.add_layout(Span(location=recording.threshold, dimension="width", line_dash="dashed", line_color=ORANGE))
    return panel


def _ecg(ecg: Ecg, excerpts: Excerpts, beats_s: Floats) -> figure:
    """The ECG around each event, and the beats found in it.

    The file holds the samples as the converter gave them. page.js turns those in view into a line: of a recording at
    250 Hz, 2 bytes for each sample instead of 12, and a short line to draw.
    """
    where = "around events" if excerpts.n_events else "at the start, as there is no event"
    if excerpts.n_shown < excerpts.n_events:
        where = f"around {excerpts.n_shown} of {excerpts.n_events} events"
    panel = _panel(f"ECG (mV) {where}; triangles: beats", 200, name="ecg")
    drawn = ColumnDataSource({"x": [], "y": []}, name="ecg drawn")
    panel.line("x", "y", source=drawn, color=BLUE, nonselection_alpha=1.0)
    models = {
        "samples": ColumnDataSource({"digital": excerpts.digital.astype("<i2", casting="safe")}, name="ecg samples"),
        "runs": ColumnDataSource({"onset_s": excerpts.onset_s, "length": excerpts.length}, name="ecg runs"),
    }
    # Its arguments are part of the document, where page.js finds them by name.
    follow = CustomJS(args=models, code="window.aura.moved()")
    for name in ("inner_width", "inner_height"):
        panel.js_on_change(name, follow)
    shown_s = select_within(beats_s, excerpts.stretches)
    top_mv = (
        float(np.percentile(excerpts.digital, 99.5)) * ecg.mv_per_step + ecg.zero_mv if len(excerpts.digital) else 1
    )
    marks = ColumnDataSource({"x": shown_s, "y": np.full(len(shown_s), top_mv * 1.15, dtype=np.float32)})
    panel.scatter("x", "y", source=marks, marker="inverted_triangle", size=5, color=GREY, nonselection_alpha=1.0)
    return panel


def _ecg_scale(ecg: Ecg, excerpts: Excerpts) -> dict[str, object]:
    """What the samples of the excerpts mean, and which times they cover."""
    return {
        "fs_hz": ecg.fs_hz,
        "mv_per_step": ecg.mv_per_step,
        "zero_mv": ecg.zero_mv,
        "stretches": [[stretch.onset_s, stretch.end_s] for stretch in excerpts.stretches],
    }


def _made_on(recording: Recording) -> str:
    """Digest of the recording and of all that this detector reported: edits made on this page belong to it."""
    # Another machine may compute another last digit.
    score = np.round(recording.score, 3) + 0.0
    return digest(
        [recording.name, recording.duration_s, str(recording.start)],
        hashlib.sha256(recording.rr.t_s.tobytes()).hexdigest(),
        [recording.model, round(recording.threshold, 6), hashlib.sha256(score.tobytes()).hexdigest()],
        [[round(event.onset_s, 3), round(event.end_s, 3)] for event in recording.found],
    )


def _plain(event: Event) -> dict[str, float]:
    return {"onset_s": event.onset_s, "end_s": event.end_s, "confidence": event.confidence}
