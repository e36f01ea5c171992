"""The charts of the page of a recording, drawn with Bokeh."""

from collections.abc import Mapping
from itertools import pairwise

import numpy as np
from bokeh.events import SelectionGeometry
from bokeh.models import (
    AdaptiveTicker,
    BoxSelectTool,
    BoxZoomTool,
    ColumnDataSource,
    CompositeTicker,
    CustomJS,
    CustomJSTickFormatter,
    DataRange1d,
    PanTool,
    Range1d,
    ResetTool,
    Span,
    WheelZoomTool,
)
from bokeh.plotting import figure

from aura.core.arrays import Floats, Singles
from aura.core.recordings import Ecg
from aura.reports.colours import BLUE, GREEN, GREY, ORANGE
from aura.reports.excerpts import Excerpts, select_within
from aura.reports.gaps import find_gaps
from aura.reports.page_content import Recording

# Length of the windows over which the median heart rate is taken.
HEART_RATE_S = 10.0
ROWS = ("detected", "reference", "not assessed", "ECG quality")
# Tick steps for seconds, minutes and hours: base, multiples, and the range of steps in seconds.
TICKS = ((10, [1, 2, 5], 0.01, 0.5), (60, [1, 2, 5, 10, 20, 30], 1, 1800), (24, [1, 2, 4, 6, 12], 3600, None))


def draw_charts(recording: Recording, excerpts: Excerpts | None) -> list[figure]:
    """Draw the charts of a recording, which share their time axis.

    Parameters
    ----------
    recording
        The recording.
    excerpts
        Excerpts of its ECG; None if it has none.
    """
    drawings = (_draw_overview, _draw_heart_rate, _draw_intervals, _draw_score)
    charts = [draw(recording) for draw in drawings]
    if recording.ecg is not None and excerpts is not None:
        charts.append(_draw_ecg(recording.ecg, excerpts, recording.rr.t_s))
    _share_time_axis(charts, recording)
    return charts


def _share_time_axis(charts: list[figure], recording: Recording) -> None:
    """Give all charts the same time axis."""
    shared = Range1d(0, recording.duration_s, bounds=(-0.02 * recording.duration_s, 1.02 * recording.duration_s))
    moved = CustomJS(code="window.aura.moved()")
    for edge in ("start", "end"):
        shared.js_on_change(edge, moved)
    start = {"start_s": recording.start_s}
    formatter = CustomJSTickFormatter(args=start, code="return window.auraTime(tick, start_s)")
    ticker = CompositeTicker(
        tickers=[
            AdaptiveTicker(base=base, mantissas=mantissas, min_interval=low, max_interval=high, num_minor_ticks=0)
            for base, mantissas, low, high in TICKS
        ],
        # A phone has no room for more labels.
        desired_num_ticks=4,
        num_minor_ticks=0,
    )
    for chart in charts:
        chart.x_range = shared
        chart.xaxis.ticker = ticker
        chart.xaxis.formatter = formatter
        chart.min_border_left = 70
        if isinstance(chart.y_range, DataRange1d):
            # The visible part of the data fills the chart.
            chart.window_axis = "x"
        chart.background_fill_alpha = chart.border_fill_alpha = 0
    charts[-1].xaxis.axis_label = "time of day" if recording.start else "time from the start (h:min:s)"


def _new_chart(title: str, height: int, **more: object) -> figure:
    """Return an empty chart that is panned and zoomed along time."""
    zoom = WheelZoomTool(dimensions="width")
    tools = [PanTool(dimensions="width"), zoom, BoxZoomTool(dimensions="width"), ResetTool()]
    select = BoxSelectTool(dimensions="width", persistent=True, description="Drag to select a stretch")
    chart = figure(
        height=height, sizing_mode="stretch_width", tools=[*tools, select], output_backend="canvas", title=title, **more
    )
    chart.toolbar.active_drag, chart.toolbar.active_scroll = select, zoom
    chart.toolbar.logo = None
    chart.js_on_event(
        SelectionGeometry,
        CustomJS(code="if (cb_obj.final) window.aura.select(cb_obj.origin, cb_obj.geometry.x0, cb_obj.geometry.x1)"),
    )
    chart.grid.grid_line_color, chart.grid.grid_line_alpha = GREY, 0.25
    return chart


def _draw_line(chart: figure, columns: Mapping[str, Floats | Singles], colour: str) -> None:
    """Draw ``y`` over ``x``; data outside the selection does not fade."""
    chart.line("x", "y", source=ColumnDataSource(dict(columns)), color=colour, nonselection_alpha=1.0)


def _draw_overview(recording: Recording) -> figure:
    """Draw rows of stretches: the detected events, which a person can change, come first."""
    chart = _new_chart("Events", 150, y_range=list(reversed(ROWS)), name="overview")
    bands = (
        ("detected", recording.detected, ORANGE, " "),
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
                # page.js gives events that a person marked another colour.
                "colour": [colour] * len(events),
            },
            name=row,
        )
        chart.hbar(
            y="row",
            left="left",
            right="right",
            height=0.7,
            source=source,
            fill_color="colour",
            fill_alpha=0.7,
            line_color="colour",
            # Without an outline a one-minute seizure vanishes at the scale of a day.
            line_width=2,
            hatch_pattern=hatch,
            hatch_color="white",
            nonselection_fill_alpha=0.7,
            nonselection_hatch_alpha=1.0,
        )
    return chart


def _draw_heart_rate(recording: Recording) -> figure:
    """Draw the median heart rate of each 10 s."""
    rr = recording.rr
    edges = np.arange(0, recording.duration_s + HEART_RATE_S, HEART_RATE_S)
    first = np.searchsorted(rr.t_s, edges)
    bpm = [60_000 / np.median(rr.rr_ms[a:b]) if b - a > 1 else np.nan for a, b in pairwise(first)]
    chart = _new_chart("Heart rate (1/min)", 160)
    source = {"x": (edges[:-1] + HEART_RATE_S / 2).astype(np.float32), "y": np.array(bpm, dtype=np.float32)}
    _draw_line(chart, source, BLUE)
    return chart


def _draw_intervals(recording: Recording) -> figure:
    """Draw the RR tachogram, with gaps where there is no interval."""
    t_s, rr_ms = recording.rr.t_s, recording.rr.rr_ms
    gaps = find_gaps(t_s)
    source: dict[str, Floats | Singles] = {
        # Double precision: in single precision, times at the end of a week are wrong by up to 31 ms.
        "x": np.insert(t_s, gaps, t_s[gaps - 1] + 0.001),
        "y": np.insert(rr_ms, gaps, np.nan).astype(np.float32),
    }
    chart = _new_chart("RR interval (ms)", 160)
    _draw_line(chart, source, GREY)
    return chart


def _draw_score(recording: Recording) -> figure:
    """Draw the score and the threshold."""
    source = {
        "x": ((np.arange(len(recording.score)) + 1) * recording.step_s).astype(np.float32),
        "y": recording.score.astype(np.float32),
    }
    # With a baseline, the score can be negative.
    lowest = float(np.nanmin(recording.score)) if np.isfinite(recording.score).any() else 0.0
    chart = _new_chart("Score (dashed: threshold)", 160, y_range=(min(lowest, 0.0) - 0.02, 1.02))
    _draw_line(chart, source, ORANGE)
    if np.isfinite(recording.threshold):
        chart.add_layout(Span(location=recording.threshold, dimension="width", line_dash="dashed", line_color=ORANGE))
    return chart


def _draw_ecg(ecg: Ecg, excerpts: Excerpts, beats_s: Floats) -> figure:
    """Draw the ECG around each event, with the detected beats.

    The file holds the samples as 16-bit numbers: 2 bytes each instead of the 12 bytes of a point. page.js draws the
    samples in view as a line.
    """
    part = "around events" if excerpts.n_events else "at the start, since there is no event"
    if excerpts.n_shown < excerpts.n_events:
        part = f"around {excerpts.n_shown} of {excerpts.n_events} events"
    chart = _new_chart(f"ECG (mV) {part}; triangles: beats", 200, name="ecg")
    drawn = ColumnDataSource({"x": [], "y": []}, name="ecg drawn")
    chart.line("x", "y", source=drawn, color=BLUE, nonselection_alpha=1.0)
    models = {
        "samples": ColumnDataSource({"digital": excerpts.digital.astype("<i2", casting="safe")}, name="ecg samples"),
        "runs": ColumnDataSource({"onset_s": excerpts.onset_s, "length": excerpts.length}, name="ecg runs"),
    }
    # Its arguments become part of the document, in which page.js finds them by name.
    follow = CustomJS(args=models, code="window.aura.moved()")
    for name in ("inner_width", "inner_height"):
        chart.js_on_change(name, follow)
    shown_s = select_within(beats_s, excerpts.stretches)
    top_mv = (
        float(np.percentile(excerpts.digital, 99.5)) * ecg.mv_per_step + ecg.zero_mv if len(excerpts.digital) else 1
    )
    marks = ColumnDataSource({"x": shown_s, "y": np.full(len(shown_s), top_mv * 1.15, dtype=np.float32)})
    chart.scatter("x", "y", source=marks, marker="inverted_triangle", size=5, color=GREY, nonselection_alpha=1.0)
    return chart
