"""Requests to a served model: rows of RR intervals, checked before anything is computed."""

from typing import Any

import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema

from aura.core.errors import AuraError
from aura.core.series import MAX_DURATION_S, RRSeries
from aura.detection.detector import first_interval_onset_s
from aura.features import FeatureSpec

# Limits of one request: a week of one person, or a day of seven. Longer requests would block all others.
MAX_ROWS, MAX_WINDOWS, MAX_RECORDINGS = 1_000_000, 1_000_000, 1000
# Tolerance within which a step is a multiple of another.
STEP_TOLERANCE = 1e-6
# If at least MIN_INTERVALS intervals lie MAX_SPREAD times further apart than they are long, `t_s` is not in seconds.
MIN_INTERVALS, MAX_SPREAD = 10, 100.0
# Answers by row or by column, in the words of pandas' DataFrame.to_dict.
ORIENTS = ("records", "list")

SIGNATURE = ModelSignature(
    inputs=Schema(
        [ColSpec("double", "t_s"), ColSpec("double", "rr_ms"), ColSpec("string", "recording", required=False)]
    ),
    outputs=Schema(
        [
            ColSpec("string", "recording", required=False),
            ColSpec("double", "t_s"),
            ColSpec("double", "probability"),
            ColSpec("string", "reason", required=False),
        ]
    ),
    # Null means the step of the model.
    params=ParamSchema([ParamSpec("step_s", "double", None), ParamSpec("orient", "string", ORIENTS[0])]),
)


class Refused(MlflowException):  # type: ignore[misc]
    """A request cannot be answered: HTTP 400 with the reason, and a kind to count by."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message, error_code=INVALID_PARAMETER_VALUE)
        self.kind = kind


def check_step_s(step_s: float, spec: FeatureSpec) -> float:
    """Return the requested step, rounded to a multiple of the step of the model, or raise Refused."""
    own_s, times = spec.step_s, step_s / spec.step_s
    # A step longer than the shortest window would skip beats.
    shortest_s = min(length_s for _, lengths_s in spec.lengths_s for length_s in lengths_s)
    if not (1 <= times <= shortest_s / own_s and abs(times - round(times)) < STEP_TOLERANCE):
        raise Refused(
            "bad_step",
            f"step_s={step_s:g}; allowed are multiples of {own_s:g}, the step of the model, up to {shortest_s:g}, its "
            f"shortest window",
        )
    return round(times) * own_s


def read_orient(params: dict[str, Any]) -> str:
    """Read the orientation of the answer, or raise Refused."""
    orient: str | None = params.get("orient")
    if orient is None:
        return ORIENTS[0]
    if orient not in ORIENTS:
        raise Refused("bad_orient", f"orient={orient!r}; allowed are {' and '.join(ORIENTS)}")
    return orient


def read_series(rows: pd.DataFrame, *, step_s: float) -> list[tuple[str | None, RRSeries]]:
    """Read the RR series of each recording of a request.

    Parameters
    ----------
    rows
        A row per RR interval, with the columns of `SIGNATURE`.
    step_s
        Time from one window of the answer to the next in seconds.

    Raises
    ------
    Refused
        If the rows are not RR series, or too many.
    """
    if len(rows) > MAX_ROWS:
        raise Refused("too_many_rows", f"{len(rows)} rows are too many for one request; allowed are {MAX_ROWS}")
    series = _split_recordings(rows)
    if len(series) > MAX_RECORDINGS:
        raise Refused(
            "too_many_recordings",
            f"{len(series)} recordings are too many for one request; allowed are {MAX_RECORDINGS}",
        )
    n_windows = sum((rr.duration_s - first_interval_onset_s(rr)) / step_s for _, rr in series)
    if n_windows > MAX_WINDOWS:
        raise Refused(
            "too_many_windows",
            f"{n_windows:.0f} windows, one every {step_s:g} s, are too many for one request; allowed are {MAX_WINDOWS}",
        )
    return series


def _split_recordings(rows: pd.DataFrame) -> list[tuple[str | None, RRSeries]]:
    """Split rows into the RR series of each recording."""
    if not len(rows):
        raise Refused("no_rows", "the request has no row; send at least one RR interval as t_s (s) and rr_ms (ms)")
    if "recording" not in rows.columns or rows["recording"].isna().all():
        groups: list[tuple[str | None, pd.DataFrame]] = [(None, rows)]
    else:
        if not rows["recording"].map(lambda name: isinstance(name, str)).all():
            raise Refused(
                "bad_recording", "recording is missing or not a text in some rows; send it in all rows or in none"
            )
        groups = [(str(name), group) for name, group in rows.groupby("recording", sort=False)]
    return [(name, _build_series(name, group)) for name, group in groups]


def _build_series(name: str | None, rows: pd.DataFrame) -> RRSeries:
    """Build the RR series of one recording, or raise Refused."""
    t_s, rr_ms = rows["t_s"].to_numpy(np.float64), rows["rr_ms"].to_numpy(np.float64)
    # The request does not tell how long the recording is, so it ends with its last beat.
    last_s = t_s.max(initial=0.0) if np.isfinite(t_s).all() else 0.0
    try:
        rr = RRSeries(t_s, rr_ms, min(last_s, MAX_DURATION_S))
        if len(t_s) >= MIN_INTERVALS and np.median(np.diff(t_s)) > MAX_SPREAD * np.median(rr_ms) / 1000:
            raise AuraError("t_s must be in seconds; most intervals are far from the previous one")
    except AuraError as error:
        message = str(error) if name is None else f"recording {name!r}: {error}"
        raise Refused("no_rr_series", message) from error
    return rr
