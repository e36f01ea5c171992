"""The pictures of a run. Colours are those of Okabe and Ito, which people with any colour vision can tell apart."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.metrics import precision_recall_curve

from aura.training import ScoredRecording
from aura.types import Bools, Floats

BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#888888"


def false_alarm_curve(test: pd.DataFrame, train: pd.DataFrame, *, sensitivity: float, false_alarms: float) -> Figure:
    """Event sensitivity against false alarms per 24 h, with the operating point on the test subjects.

    Parameters
    ----------
    test, train
        Curves by `aura.training.event_curve`.
    sensitivity, false_alarms
        Of the test subjects at the chosen threshold.
    """
    figure, axes = _figure(6.4, 4.4)
    for curve, colour, style, name in (
        (train, GREY, "--", "training subjects, out of fold"),
        (test, BLUE, "-", "test subjects"),
    ):
        axes.plot(curve["false_alarms_per_24h"], curve["sensitivity"], style, color=colour, label=name)
    point = f"threshold chosen on training subjects: {sensitivity:.0%} at {false_alarms:.1f}"
    axes.plot([false_alarms], [sensitivity], "o", color=ORANGE, markersize=9, label=point)
    axes.set_xscale("symlog", linthresh=1)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set(xlim=(0, None), ylim=(0, 1.02), xlabel="false alarms per 24 h", ylabel="event sensitivity")
    axes.legend(loc="upper left", fontsize=8)
    return figure


def precision_recall(is_target: Bools, probability: Floats) -> Figure:
    """Precision against recall over windows of the test subjects."""
    figure, axes = _figure(5.2, 4.4)
    precision, recall, _ = precision_recall_curve(is_target, probability)
    axes.plot(recall, precision, color=BLUE, label="test subjects")
    share = is_target.mean()
    axes.axhline(share, color=GREY, linestyle="--", label=f"chance: the share of such windows, {share:.1%}")
    axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="recall (windows)", ylabel="precision (windows)")
    axes.legend(loc="upper right", fontsize=8)
    return figure


def feature_importance(names: Sequence[str], importance: Floats) -> Figure:
    """How much each feature lowers the impurity of the forest's leaves, the largest first."""
    order = np.argsort(importance)
    figure, axes = _figure(6.4, 0.22 * len(names) + 1)
    axes.barh([names[i] for i in order], importance[order], color=BLUE)
    axes.set(xlabel="mean decrease in impurity")
    axes.tick_params(axis="y", labelsize=7)
    axes.margins(y=0.01)
    return figure


def timelines(
    recordings: Sequence[ScoredRecording], heart_rate_bpm: Sequence[Floats | None], threshold: float
) -> Figure:
    """Heart rate, probability, and reference against detected events of a few recordings.

    Parameters
    ----------
    recordings
        One panel each.
    heart_rate_bpm
        Of each recording's windows, where it is among the features.
    threshold
        Drawn as a line.
    """
    figure = Figure(figsize=(10, 2.6 * len(recordings)), layout="constrained")
    panels = figure.subplots(len(recordings), 1, squeeze=False)[:, 0]
    for axes, scored, bpm in zip(panels, recordings, heart_rate_bpm, strict=True):
        _timeline(axes, scored, bpm, threshold)
    panels[-1].set_xlabel("time in the recording (min)")
    panels[0].legend(loc="lower right", bbox_to_anchor=(1, 1.02), ncols=4, fontsize=8, frameon=False)
    return figure


def _timeline(axes: Axes, scored: ScoredRecording, bpm: Floats | None, threshold: float) -> None:
    minutes = np.arange(1, len(scored.probability) + 1) * scored.step_s / 60
    axes.plot(minutes, scored.probability, color=BLUE, linewidth=0.8, label="probability")
    axes.axhline(threshold, color=BLUE, linewidth=0.8, linestyle=":", label=f"threshold {threshold:.2f}")
    kind = next((event.kind for event in scored.targets if event.kind != "seiz"), "seizure")
    spans = ((scored.targets, GREEN, f"{kind} (reference)", -0.12), (scored.alarms(threshold), ORANGE, "alarm", -0.24))
    for events, colour, name, bottom in spans:
        bars = [(e.onset_s / 60, max(e.duration_s / 60, 0.04)) for e in events]
        axes.broken_barh(bars, (bottom, 0.1), color=colour, label=name)
    for target in scored.targets:
        axes.axvspan(target.onset_s / 60, target.end_s / 60, color=GREEN, alpha=0.15, linewidth=0)
    axes.set(xlim=(0, scored.duration_s / 60), ylim=(-0.28, 1.02), ylabel="probability", yticks=[0, 0.5, 1])
    axes.set_title(scored.recording, loc="left", fontsize=9)
    if bpm is not None:
        right = axes.twinx()
        right.plot(minutes, bpm, color=GREY, linewidth=0.8)
        right.set_ylabel("heart rate (bpm)", color=GREY)


def _figure(width: float, height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots()
    axes.grid(alpha=0.3)
    return figure, axes
