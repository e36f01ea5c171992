"""The report that compares measurements: one HTML file with its pictures inside."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from jinja2 import Environment, FileSystemLoader, select_autoescape
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from aura.benchmarking.tables import STAGES, WORK, Tables
from aura.core.wording import counted
from aura.reports.colours import BLUE, GREEN, GREY, ORANGE, PURPLE, YELLOW
from aura.reports.page import page_style

HERE = Path(__file__).parent
# Colours of the numbers of workers, the same in all pictures; they repeat if there are more.
COLOURS = (BLUE, ORANGE, GREEN, PURPLE, YELLOW)
HATCHES = ("", "///", "...", "xxx", "---")
MARKERS = dict(zip(STAGES, "os^D", strict=True))
# Newest setups that are drawn; the tables have all.
N_DRAWN = 6
# Placeholder for the text colour of the page, light or dark.
INK = "#010203"
STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "aura",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    **{f"{name}.color": INK for name in ("text", "xtick", "ytick")},
    **{f"axes.{name}": INK for name in ("edgecolor", "labelcolor", "titlecolor")},
}


def draw_report(tables: Tables) -> str:
    """Draw the report.

    Returns
    -------
    str
        HTML that needs no other file and no network.
    """
    costs = tables.costs
    workers = sorted(costs["workers"].unique())
    colours = {n: i % len(COLOURS) for i, n in enumerate(workers)}
    # One scale for all setups, so that they can be compared.
    top_s = float(costs["wall_s"].max()) if len(costs) else 1.0
    drawn = [
        {"number": row["setup"], "facts": row, "pictures": _draw_pictures(tables, int(row["setup"]), colours, top_s)}
        for row in tables.setups.head(N_DRAWN).to_dict("records")
    ]
    environment = Environment(loader=FileSystemLoader(HERE), autoescape=select_autoescape())
    environment.globals["counted"] = counted
    html: str = environment.get_template("report.html").render(
        style=page_style(),
        drawn=drawn,
        setups=tables.setups.to_dict("records"),
        # The newest setup first, as above.
        costs=costs.sort_values("setup", key=_order_by_age(tables), kind="stable").to_dict("records"),
        slopes=tables.slopes.sort_values("setup", key=_order_by_age(tables), kind="stable").to_dict("records"),
        compared=_compare_setups(tables),
        failures=tables.failures.to_dict("records"),
    )
    return html


def _draw_pictures(tables: Tables, setup: int, colours: dict[int, int], top_s: float) -> list[dict[str, str]]:
    """Draw the pictures of a setup, each with a description in words."""
    costs = tables.costs[tables.costs["setup"] == setup]
    if not len(costs):
        return []
    hours = float(costs["recorded_h"].max())
    largest = costs[costs["recorded_h"] == hours]
    pictures = [
        {"svg": _draw_bars(largest, colours, hours, top_s), "words": f"Time of each stage, {hours:g} recorded hours"}
    ]
    slopes = tables.slopes[tables.slopes["setup"] == setup]
    if len(slopes):
        for kind, title in (("wall", "Elapsed time"), ("cpu", "CPU time")):
            pictures.append(
                {"svg": _draw_lines(costs, slopes, colours, kind, title), "words": f"{title} by recorded hours"}
            )
    return pictures


def _draw_bars(costs: pd.DataFrame, colours: dict[int, int], hours: float, top_s: float) -> str:
    """Draw the time of each stage, with a bar for each number of workers."""
    with mpl.rc_context(STYLE):
        figure, axes = _new_figure()
        stages = [stage for stage in STAGES if (costs["stage"] == stage).any()]
        workers = sorted(costs["workers"].unique())
        width = 0.8 / len(workers)
        for i, n in enumerate(workers):
            own = costs[costs["workers"] == n].set_index("stage")["wall_s"].reindex(stages)
            at = np.arange(len(stages)) + (i - (len(workers) - 1) / 2) * width
            colour, hatch = COLOURS[colours[n]], HATCHES[colours[n]]
            # The hatching takes the colour of the edge, which itself has no width.
            bars = axes.bar(
                at,
                own,
                0.94 * width,
                label=counted(n, "worker"),
                color=colour,
                hatch=hatch,
                edgecolor="white",
                linewidth=0,
            )
            axes.bar_label(bars, [f"{s:.3g}" if np.isfinite(s) else "" for s in own], padding=2, fontsize=8)
        axes.set_xticks(np.arange(len(stages)), stages)
        axes.set(ylim=(0, 1.15 * top_s), ylabel="elapsed time (s)")
        axes.set_title(f"Time per stage, {hours:g} h recorded", loc="left", fontsize=10)
        axes.grid(axis="y", alpha=0.25, color=GREY)
        axes.set_axisbelow(True)
        axes.legend(frameon=False, loc="upper left", fontsize=8)
        return _to_svg(figure)


def _draw_lines(costs: pd.DataFrame, slopes: pd.DataFrame, colours: dict[int, int], kind: str, title: str) -> str:
    """Draw cost over size on logarithmic axes: a line for each stage and number of workers, slopes in the legend."""
    with mpl.rc_context(STYLE):
        figure, axes = _new_figure()
        workers = sorted(slopes["workers"].unique())
        hours = sorted(costs["recorded_h"].unique())
        for stage in STAGES:
            own = slopes[slopes["stage"] == stage].sort_values("workers")
            if not len(own):
                continue
            for n in own["workers"]:
                line = costs[(costs["stage"] == stage) & (costs["workers"] == n)].sort_values("recorded_h")
                style = MARKERS[stage] + ("-" if n == workers[0] else "--")
                axes.plot(line["recorded_h"], line[f"{kind}_s"], style, color=COLOURS[colours[n]], linewidth=1.2)
            exponents = " / ".join(f"{value:.2f}" for value in own[f"{kind}_exponent"])
            axes.plot([], [], color=GREY, marker=MARKERS[stage], linestyle="", label=f"{stage}, slope {exponents}")
        axes.set(xscale="log", yscale="log", xlabel="recorded hours", ylabel="seconds")
        axes.set_xticks(hours, [f"{h:g}" for h in hours])
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter("{x:g}")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_minor_locator(NullLocator())
        # Above the lines there has to be room for the legend.
        low_s, high_s = axes.get_ylim()
        axes.set_ylim(low_s, high_s * (high_s / low_s) ** 0.7)
        axes.set_title(f"{title} by size", loc="left", fontsize=10)
        axes.grid(alpha=0.25, color=GREY)
        axes.legend(
            frameon=False,
            loc="upper left",
            fontsize=8,
            title=" / ".join(counted(n, "worker") for n in workers),
            title_fontsize=8,
        )
        return _to_svg(figure)


def _compare_setups(tables: Tables) -> list[dict[str, object]]:
    """Compare the times of the setups, newest first; empty if there is only one."""
    order = tables.setups["setup"].tolist()
    if len(order) < 2 or not len(tables.costs):
        return []
    wide = tables.costs.pivot_table("wall_s", WORK, "setup", observed=True).reindex(columns=order)
    # Work that only one setup has done cannot be compared.
    wide = wide[wide.notna().sum(axis=1) > 1]
    return [
        {"work": dict(zip(WORK, key, strict=True)), "wall_s": values.tolist()}
        for key, values in zip(wide.index, wide.to_numpy(), strict=True)
    ]


def _order_by_age(tables: Tables) -> Callable[[pd.Series], pd.Series]:
    """Return a sort key that orders setups as their table does: newest first."""
    order = {setup: i for i, setup in enumerate(tables.setups["setup"])}
    return lambda setups: setups.map(order)


def _new_figure() -> tuple[Figure, Axes]:
    figure = Figure(figsize=(5.4, 3.6), layout="constrained")
    return figure, figure.subplots()


def _to_svg(figure: Figure) -> str:
    """Return a picture as SVG to embed in a page, in the text colour of the page."""
    drawn = io.StringIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    figure.savefig(drawn, format="svg", transparent=True, metadata=nothing)
    # The XML declarations before it do not belong into HTML.
    svg = drawn.getvalue()
    return svg[svg.index("<svg") :].replace(INK, "currentColor")
