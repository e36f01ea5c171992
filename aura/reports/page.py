"""The page of a recording: one HTML file to view, to step through, and to annotate."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pandas as pd
from bokeh.embed import file_html
from bokeh.layouts import gridplot
from bokeh.models import InlineStyleSheet
from bokeh.resources import INLINE
from jinja2 import Environment, FileSystemLoader, select_autoescape

from aura.core.events import Event
from aura.core.files import digest
from aura.core.recordings import Ecg
from aura.core.wording import counted
from aura.reports.charts import draw_charts
from aura.reports.colours import ORANGE, PURPLE, css_variables
from aura.reports.excerpts import MAX_EVENT_S, Excerpts, cut_excerpts
from aura.reports.page_content import Recording, describe_doubt

HERE = Path(__file__).parent


def draw_page(recording: Recording) -> str:
    """Draw the page of a recording.

    Returns
    -------
    str
        HTML that needs no other file and no network.
    """
    ecg = recording.ecg
    excerpts = None if ecg is None else cut_excerpts(ecg, recording.reference or (), recording.detected)
    is_cut = any(event.duration_s > MAX_EVENT_S for event in recording.events)
    variables = {
        "recording": recording,
        "excerpts": excerpts,
        "cut_min": MAX_EVENT_S / 60 if is_cut else None,
        # Escaped, since it is embedded in a script element.
        "data": json.dumps(_collect_data(recording, excerpts)).replace("<", "\\u003c"),
        "style": page_style(),
        "code": (HERE / "page.js").read_text(encoding="utf-8"),
    }
    # All charts share one toolbar.
    charts = [[chart] for chart in draw_charts(recording, excerpts)]
    grid = gridplot(charts, sizing_mode="stretch_width", toolbar_location="above")
    grid.toolbar.stylesheets = [InlineStyleSheet(css="@media print { :host { display: none; } }")]
    template = _templates().get_template("page.html")
    html: str = file_html(grid, INLINE, title=recording.name, template=template, template_variables=variables)
    return html


def draw_index(recordings: pd.DataFrame, failures: pd.DataFrame, provenance: str, warning: str | None) -> str:
    """Draw the page that lists recordings, with links to their pages.

    Parameters
    ----------
    recordings
        Table in the order of the list: ``recording``, ``hours``, ``seizures``, ``annotated`` (missing if the recording
        is not annotated), ``not_assessed_s``, ``max_score``, ``file``, ``normal_share``, ``remarks``.
    failures
        Table of the files that could not be read: ``message``.
    provenance, warning
        See `Recording`.
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
    environment = Environment(loader=FileSystemLoader(HERE), autoescape=select_autoescape())
    environment.globals["counted"] = counted
    return environment


def _collect_data(recording: Recording, excerpts: Excerpts | None) -> dict[str, object]:
    """Collect the data that page.js needs."""
    return {
        "name": recording.name,
        "duration_s": recording.duration_s,
        "start": recording.start.isoformat() if recording.start else None,
        "model": recording.model,
        "beats": hashlib.sha256(recording.rr.t_s.tobytes()).hexdigest()[:16],
        "made_on": _digest_detections(recording),
        "detected": [_to_plain(event) for event in recording.detected],
        "reference": [_to_plain(event) for event in recording.reference or ()],
        "not_assessed": [_to_plain(event) for event in recording.not_assessed],
        "colours": {"detected": ORANGE, "marked": PURPLE},
        "ecg": None if recording.ecg is None or excerpts is None else _describe_excerpts(recording.ecg, excerpts),
    }


def _describe_excerpts(ecg: Ecg, excerpts: Excerpts) -> dict[str, object]:
    """Describe the scale of the samples of the excerpts, and the times they cover."""
    return {
        "fs_hz": ecg.fs_hz,
        "mv_per_step": ecg.mv_per_step,
        "zero_mv": ecg.zero_mv,
        "stretches": [[stretch.onset_s, stretch.end_s] for stretch in excerpts.stretches],
    }


def _digest_detections(recording: Recording) -> str:
    """Digest the recording and its detections: edits made on this page are stored under the digest."""
    # Rounded, since the last digit may differ between machines.
    score = np.round(recording.score, 3) + 0.0
    return digest(
        [recording.name, recording.duration_s, str(recording.start)],
        hashlib.sha256(recording.rr.t_s.tobytes()).hexdigest(),
        [recording.model, round(recording.threshold, 6), hashlib.sha256(score.tobytes()).hexdigest()],
        [[round(event.onset_s, 3), round(event.end_s, 3)] for event in recording.detected],
    )


def _to_plain(event: Event) -> dict[str, float]:
    return {"onset_s": event.onset_s, "end_s": event.end_s, "confidence": event.confidence}
