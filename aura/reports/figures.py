"""The figures of a run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from sklearn.calibration import calibration_curve
from sklearn.metrics import precision_recall_curve

from aura.core.arrays import Bools, Floats
from aura.core.events import Event
from aura.core.figure_text import as_label
from aura.core.series import RRSeries
from aura.evaluation.results import ScoredRecording
from aura.evaluation.scoring import FALSE_ALARM_RATE
from aura.learning.labels import LEFT_OUT, TARGET
from aura.reports.colours import BLUE, GREEN, GREY, ORANGE
from aura.reports.gaps import find_gaps

N_BINS = 10


@dataclass(frozen=True, slots=True, eq=False)
class Panel:
    """A recording to draw, or a part of it around an event."""

    title: str
    scored: ScoredRecording
    alarms: Sequence[Event]
    rr: RRSeries
    from_s: float
    to_s: float


def draw_false_alarm_curve(
    test: pd.DataFrame, train: pd.DataFrame, scores: Mapping[str, float], max_false_alarms_per_24h: float
) -> Figure:
    """Draw event sensitivity over false alarms per 24 h, with the operating point on the test subjects.

    Parameters
    ----------
    test, train
        Curves that `aura.evaluation.operating_point.compute_event_curve` returns.
    scores
        Scores of the test subjects at the chosen threshold, with their intervals.
    max_false_alarms_per_24h
        Limit for which the threshold was chosen.
    """
    figure, axes = _new_figure(6.4, 4.4)
    for curve, colour, style, name in (
        (train, GREY, "--", "training subjects, out of fold"),
        (test, BLUE, "-", "test subjects"),
    ):
        axes.plot(curve[FALSE_ALARM_RATE], curve["sensitivity"], style, color=colour, label=name)
    x, y = scores[f"event_{FALSE_ALARM_RATE}"], scores["event_sensitivity"]
    reach = [
        [[max(value - scores[f"{name}_low"], 0)], [max(scores[f"{name}_high"] - value, 0)]]
        for name, value in ((f"event_{FALSE_ALARM_RATE}", x), ("event_sensitivity", y))
    ]
    point = f"threshold chosen on training subjects: {y:.0%} at {x:.1f}, with 95 % intervals"
    axes.errorbar([x], [y], xerr=reach[0], yerr=reach[1], fmt="o", color=ORANGE, markersize=8, capsize=3, label=point)
    axes.axvline(max_false_alarms_per_24h, color=GREY, linewidth=0.8, linestyle=":", label="limit for the choice")
    axes.set_xscale("symlog", linthresh=1)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set(
        xlim=(0, None), ylim=(0, 1.02), xlabel="false alarms per 24 h of assessed time", ylabel="event sensitivity"
    )
    axes.legend(loc="upper left", fontsize=8)
    return figure


def draw_subjects(subjects: pd.DataFrame) -> Figure:
    """Draw detected and missed events, and false alarms per 24 h, of each test subject."""
    # With more than 350 subjects the rows get closer, since pictures above 65 535 pixels cannot be drawn.
    figure = Figure(figsize=(7.5, min(0.28 * len(subjects) + 1.6, 100.0)), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    found, missed = subjects["found"], subjects["ref_events"] - subjects["found"]
    # Rows by position, since two long names can have the same label.
    rows = np.arange(len(subjects))
    left.barh(rows, found, color=GREEN, label="detected")
    left.barh(rows, missed, left=found, color="white", edgecolor=GREEN, hatch="///", label="missed")
    left.set(xlabel="events")
    left.set_yticks(rows, [as_label(name) for name in subjects["subject"]])
    left.legend(fontsize=8)
    right.barh(rows, subjects[f"event_{FALSE_ALARM_RATE}"], color=ORANGE)
    right.set(xlabel="false alarms per 24 h of assessed time")
    for axes in (left, right):
        axes.grid(alpha=0.3, axis="x")
        axes.tick_params(axis="y", labelsize=7)
    left.invert_yaxis()
    return figure


def draw_calibration(recordings: Sequence[ScoredRecording]) -> Figure:
    """Draw the observed frequency of targets over the predicted probability, for windows of the test subjects."""
    probability, is_target = _select_windows(recordings)
    figure, axes = _new_figure(5.2, 4.4)
    observed, predicted = calibration_curve(is_target, probability, n_bins=N_BINS, strategy="quantile")
    top = max(float(predicted.max()), float(observed.max()), 1e-3) * 1.05
    axes.plot([0, top], [0, top], color=GREY, linestyle="--", label="perfect calibration")
    axes.plot(predicted, observed, "o-", color=BLUE, label="test subjects, deciles of windows")
    axes.set(xlim=(0, top), ylim=(0, top), xlabel="predicted probability", ylabel="observed frequency")
    axes.legend(loc="upper left", fontsize=8)
    return figure


def draw_latency(seizures: pd.DataFrame) -> Figure:
    """Draw the latency of detected events: the time from onset to alarm."""
    latency_s = seizures.loc[seizures["found"], "latency_s"]
    figure, axes = _new_figure(5.2, 3.4)
    if len(latency_s):
        axes.hist(latency_s, bins=20, color=BLUE)
        axes.axvline(latency_s.median(), color=ORANGE, label=f"median {latency_s.median():.0f} s")
        axes.legend(fontsize=8)
        axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set(xlabel="latency (s)", ylabel=f"events ({len(latency_s)} of {len(seizures)} detected)")
    return figure


def draw_precision_recall(recordings: Sequence[ScoredRecording]) -> Figure:
    """Draw precision over recall, for windows of the test subjects."""
    probability, is_target = _select_windows(recordings)
    figure, axes = _new_figure(5.2, 4.4)
    precision, recall, _ = precision_recall_curve(is_target, probability)
    axes.plot(recall, precision, color=BLUE, label="test subjects")
    share = is_target.mean()
    axes.axhline(share, color=GREY, linestyle="--", label=f"chance: share of target windows, {share:.1%}")
    axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="recall (windows)", ylabel="precision (windows)")
    axes.legend(loc="upper right", fontsize=8)
    return figure


def draw_importance(importance: pd.DataFrame) -> Figure:
    """Draw the importance of each feature, as `aura.learning.importance.compute_importance` returns it."""
    figure, axes = _new_figure(6.4, 0.22 * len(importance) + 1)
    axes.barh(importance["feature"], importance["importance"], xerr=importance["spread"], color=BLUE, ecolor=GREY)
    axes.set(xlabel="loss of average precision when permuted, test subjects")
    axes.tick_params(axis="y", labelsize=7)
    axes.margins(y=0.01)
    axes.invert_yaxis()
    return figure


def draw_timelines(panels: Sequence[Panel]) -> Figure:
    """Draw heart rate, score, reference events and alarms, a panel for each recording.

    The heart rate has a gap where the ECG is unusable or the beats are doubtful.
    """
    figure = Figure(figsize=(10, 2.6 * max(len(panels), 0.5)), layout="constrained")
    if not panels:
        figure.text(0.5, 0.5, "nothing to show: no false alarm and no missed event", ha="center", va="center")
    else:
        rows = figure.subplots(len(panels), 1, squeeze=False)[:, 0]
        for axes, panel in zip(rows, panels, strict=True):
            _draw_timeline(axes, panel)
        rows[-1].set_xlabel("time in the recording (min)")
        rows[0].legend(loc="lower right", bbox_to_anchor=(1, 1.02), ncols=4, fontsize=8, frameon=False)
    return figure


def _draw_timeline(axes: Axes, panel: Panel) -> None:
    scored = panel.scored
    minutes = np.arange(1, len(scored.score) + 1) * scored.step_s / 60
    axes.plot(minutes, scored.score, color=BLUE, linewidth=0.8, label="score")
    axes.axhline(scored.threshold, color=BLUE, linewidth=0.8, linestyle=":", label="threshold")
    kind = next((event.kind for event in scored.targets if event.kind != "seiz"), "seizure")
    top = max(float(np.nanmax(scored.score, initial=0.0)), min(scored.threshold, 1.0), 0.01) * 1.1
    for events, colour, name, bottom in (
        (scored.targets, GREEN, f"{kind} (reference)", -0.12),
        (panel.alarms, ORANGE, "alarm", -0.24),
    ):
        bars = [(e.onset_s / 60, max(e.duration_s / 60, 0.04)) for e in events]
        axes.broken_barh(bars, (bottom * top, 0.1 * top), color=colour, label=name)
    for target in scored.targets:
        axes.axvspan(target.onset_s / 60, target.end_s / 60, color=GREEN, alpha=0.15, linewidth=0)
    axes.set(xlim=(panel.from_s / 60, panel.to_s / 60), ylim=(-0.28 * top, top), ylabel="score")
    axes.set_title(as_label(panel.title), loc="left", fontsize=9)
    shown = (panel.rr.t_s >= panel.from_s) & (panel.rr.t_s <= panel.to_s)
    t_s, bpm = panel.rr.t_s[shown], 60_000 / panel.rr.rr_ms[shown]
    # The line is interrupted at gaps in the beats.
    gaps = find_gaps(t_s)
    right = axes.twinx()
    right.plot(np.insert(t_s, gaps, np.nan) / 60, np.insert(bpm, gaps, np.nan), color=GREY, linewidth=0.6)
    right.set_ylabel("heart rate (bpm)", color=GREY)
    right.set_ylim(20, 220)


def _select_windows(recordings: Sequence[ScoredRecording]) -> tuple[Floats, Bools]:
    """Return the probability of all windows with a probability and a label, and whether each is a target."""
    probability = np.concatenate([r.probability for r in recordings])
    labels = np.concatenate([r.labels for r in recordings])
    is_used = ~np.isnan(probability) & (labels != LEFT_OUT)
    return probability[is_used], labels[is_used] == TARGET


def _new_figure(width: float, height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots()
    axes.grid(alpha=0.3)
    return figure, axes
