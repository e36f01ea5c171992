"""The page that compares what was measured: one HTML file, its pictures drawn into it."""

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

from aura.benchmarking.tables import STAGES, WHAT, Tables
from aura.reports.colours import BLUE, GREEN, GREY, ORANGE, PURPLE, YELLOW
from aura.reports.page import page_style

HERE = Path(__file__).parent
# By number of workers, so that one colour means the same in all pictures; then they begin again.
COLOURS = (BLUE, ORANGE, GREEN, PURPLE, YELLOW)
HATCHES = ("", "///", "...", "xxx", "---")
MARKERS = dict(zip(STAGES, "os^D", strict=True))
# Setups that are drawn, the newest; all are in the tables.
N_DRAWN = 6
# Stands for the colour of the text of the page, be it light or dark.
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


def page(tables: Tables) -> str:
    """Draw what was measured.

    Returns
    -------
    str
        HTML that needs nothing else, and asks nobody for anything.
    """
    costs = tables.costs
    workers = sorted(costs["workers"].unique())
    colours = {n: i % len(COLOURS) for i, n in enumerate(workers)}
    # One scale for all, so that setups can be compared.
    top_s = float(costs["wall_s"].max()) if len(costs) else 1.0
    drawn = [
        {"number": row["setup"], "facts": row, "pictures": _pictures(tables, int(row["setup"]), colours, top_s)}
        for row in tables.setups.head(N_DRAWN).to_dict("records")
    ]
    environment = Environment(loader=FileSystemLoader(HERE), autoescape=select_autoescape())
    html: str = environment.get_template("report.html").render(
        style=page_style(),
        drawn=drawn,
        setups=tables.setups.to_dict("records"),
        # The newest first here as well.
        costs=costs.sort_values("setup", key=_newest(tables), kind="stable").to_dict("records"),
        slopes=tables.slopes.sort_values("setup", key=_newest(tables), kind="stable").to_dict("records"),
        compared=_compared(tables),
        failures=tables.failures.to_dict("records"),
    )
    return html


def _pictures(tables: Tables, setup: int, colours: dict[int, int], top_s: float) -> list[dict[str, str]]:
    """Pictures of a setup, each with what it says in words."""
    costs = tables.costs[tables.costs["setup"] == setup]
    if not len(costs):
        return []
    hours = float(costs["recorded_h"].max())
    largest = costs[costs["recorded_h"] == hours]
    pictures = [
        {"svg": _bars(largest, colours, hours, top_s), "words": f"Time of each stage, {hours:g} recorded hours"}
    ]
    slopes = tables.slopes[tables.slopes["setup"] == setup]
    if len(slopes):
        for kind, what in (("wall", "Time by the clock"), ("cpu", "CPU time")):
            pictures.append(
                {"svg": _lines(costs, slopes, colours, kind, what), "words": f"{what} against recorded hours"}
            )
    return pictures


def _bars(costs: pd.DataFrame, colours: dict[int, int], hours: float, top_s: float) -> str:
    """Time per stage, a bar for each number of workers: the picture of one against several."""
    with mpl.rc_context(STYLE):
        figure, axes = _figure()
        stages = [stage for stage in STAGES if (costs["stage"] == stage).any()]
        workers = sorted(costs["workers"].unique())
        width = 0.8 / len(workers)
        for i, n in enumerate(workers):
            own = costs[costs["workers"] == n].set_index("stage")["wall_s"].reindex(stages)
            at = np.arange(len(stages)) + (i - (len(workers) - 1) / 2) * width
            colour, hatch = COLOURS[colours[n]], HATCHES[colours[n]]
            # The hatching takes the colour of the edge, which is not drawn.
            bars = axes.bar(
                at, own, 0.94 * width, label=_workers(n), color=colour, hatch=hatch, edgecolor="white", linewidth=0
            )
            axes.bar_label(bars, [f"{s:.3g}" if np.isfinite(s) else "" for s in own], padding=2, fontsize=8)
        axes.set_xticks(np.arange(len(stages)), stages)
        axes.set(ylim=(0, 1.15 * top_s), ylabel="seconds by the clock")
        axes.set_title(f"Time per stage, {hours:g} h recorded", loc="left", fontsize=10)
        axes.grid(axis="y", alpha=0.25, color=GREY)
        axes.set_axisbelow(True)
        axes.legend(frameon=False, loc="upper left", fontsize=8)
        return _svg(figure)


def _lines(costs: pd.DataFrame, slopes: pd.DataFrame, colours: dict[int, int], kind: str, what: str) -> str:
    """Cost against size, both on logarithms, a line for each stage and number of workers, its slope in the legend."""
    with mpl.rc_context(STYLE):
        figure, axes = _figure()
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
            said = " / ".join(f"{value:.2f}" for value in own[f"{kind}_exponent"])
            axes.plot([], [], color=GREY, marker=MARKERS[stage], linestyle="", label=f"{stage}, slope {said}")
        axes.set(xscale="log", yscale="log", xlabel="recorded hours", ylabel="seconds")
        axes.set_xticks(hours, [f"{h:g}" for h in hours])
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter("{x:g}")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_minor_locator(NullLocator())
        # Above the lines there has to be room for the legend.
        low_s, high_s = axes.get_ylim()
        axes.set_ylim(low_s, high_s * (high_s / low_s) ** 0.7)
        axes.set_title(f"{what} against size", loc="left", fontsize=10)
        axes.grid(alpha=0.25, color=GREY)
        axes.legend(
            frameon=False, loc="upper left", fontsize=8, title=" / ".join(map(_workers, workers)), title_fontsize=8
        )
        return _svg(figure)


def _compared(tables: Tables) -> list[dict[str, object]]:
    """Time of each kind in the newest setup, and what the others took of it; nothing where there is one setup."""
    order = tables.setups["setup"].tolist()
    if len(order) < 2 or not len(tables.costs):
        return []
    wide = tables.costs.pivot_table("wall_s", WHAT, "setup", observed=True).reindex(columns=order)
    # What one alone has done compares nothing.
    wide = wide[wide.notna().sum(axis=1) > 1]
    return [
        {"what": dict(zip(WHAT, key, strict=True)), "wall_s": values.tolist()}
        for key, values in zip(wide.index, wide.to_numpy(), strict=True)
    ]


def _newest(tables: Tables) -> Callable[[pd.Series], pd.Series]:
    """Sort by setup, in the order of the table of them."""
    order = {setup: i for i, setup in enumerate(tables.setups["setup"])}
    return lambda setups: setups.map(order)


def _workers(n: int) -> str:
    return "1 worker" if n == 1 else f"{n} workers"


def _figure() -> tuple[Figure, Axes]:
    figure = Figure(figsize=(5.4, 3.6), layout="constrained")
    return figure, figure.subplots()


def _svg(figure: Figure) -> str:
    """The picture as a part of a page, in the colour of its text."""
    drawn = io.StringIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    figure.savefig(drawn, format="svg", transparent=True, metadata=nothing)
    # Before it stand declarations that have no place in HTML.
    svg = drawn.getvalue()
    return svg[svg.index("<svg") :].replace(INK, "currentColor")
