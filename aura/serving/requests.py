"""What may be asked of a served model, and how: rows of RR intervals, checked before anything is computed."""

from typing import Any

import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema

from aura.core.errors import AuraError
from aura.core.series import MAX_DURATION_S, RRSeries
from aura.detection.detector import first_s
from aura.features import FeatureSpec

# Of one request: a week of one person, or a day of seven. More would keep all others waiting.
MAX_ROWS, MAX_WINDOWS, MAX_RECORDINGS = 1_000_000, 1_000_000, 1000
# A multiple is one to within this.
STEP_TOLERANCE = 1e-6
# Times of so many intervals, this much further apart than these are long, are no seconds.
MANY, APART = 10, 100.0
# A row after the other, or a column after the other: the words are those of pandas' DataFrame.to_dict.
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
    # Null is the step of the model.
    params=ParamSchema([ParamSpec("step_s", "double", None), ParamSpec("orient", "string", ORIENTS[0])]),
)


class Refused(MlflowException):  # type: ignore[misc]
    """A request that cannot be answered: HTTP 400 with a sentence, and a kind to count by."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message, error_code=INVALID_PARAMETER_VALUE)
        self.kind = kind


def longer_step_s(step_s: float, spec: FeatureSpec) -> float:
    """Check the step that is asked for: a multiple of that of the model, up to its shortest window."""
    own_s, times = spec.step_s, step_s / spec.step_s
    # Longer ones would leave out beats.
    shortest_s = min(length_s for _, lengths_s in spec.lengths_s for length_s in lengths_s)
    if not (1 <= times <= shortest_s / own_s and abs(times - round(times)) < STEP_TOLERANCE):
        raise Refused(
            "bad_step",
            f"step_s={step_s:g}; allowed are multiples of {own_s:g}, the model's own, up to its shortest window, "
            f"{shortest_s:g}",
        )
    return round(times) * own_s


def orient_of(params: dict[str, Any]) -> str:
    """Check how the answer is to be written."""
    orient: str | None = params.get("orient")
    if orient is None:
        return ORIENTS[0]
    if orient not in ORIENTS:
        raise Refused("bad_orient", f"orient={orient!r}; allowed are {' and '.join(ORIENTS)}")
    return orient


def series_of(rows: pd.DataFrame, *, step_s: float) -> list[tuple[str | None, RRSeries]]:
    """RR series of each recording of a request, which is not too large to be answered.

    Parameters
    ----------
    rows
        A row per RR interval, as `SIGNATURE` says.
    step_s
        Time from one window of the answer to the next.

    Raises
    ------
    Refused
        For what is no RR series, and for too much.
    """
    if len(rows) > MAX_ROWS:
        raise Refused("too_many_rows", f"{len(rows)} rows are too many for one request; allowed are {MAX_ROWS}")
    series = _series(rows)
    if len(series) > MAX_RECORDINGS:
        raise Refused(
            "too_many_recordings",
            f"{len(series)} recordings are too many for one request; allowed are {MAX_RECORDINGS}",
        )
    n_windows = sum((rr.duration_s - first_s(rr)) / step_s for _, rr in series)
    if n_windows > MAX_WINDOWS:
        raise Refused(
            "too_many_windows",
            f"{n_windows:.0f} windows, one each {step_s:g} s, are too many for one request; allowed are {MAX_WINDOWS}",
        )
    return series


def _series(rows: pd.DataFrame) -> list[tuple[str | None, RRSeries]]:
    """RR series of each recording."""
    if not len(rows):
        raise Refused("no_rows", "there is no row; give at least one RR interval as t_s (s) and rr_ms (ms)")
    if "recording" not in rows.columns or rows["recording"].isna().all():
        groups: list[tuple[str | None, pd.DataFrame]] = [(None, rows)]
    else:
        if not rows["recording"].map(lambda name: isinstance(name, str)).all():
            raise Refused(
                "bad_recording", "recording is missing or no text in some rows; give it in all rows or in none"
            )
        groups = [(str(name), group) for name, group in rows.groupby("recording", sort=False)]
    return [(name, _one_series(name, group)) for name, group in groups]


def _one_series(name: str | None, rows: pd.DataFrame) -> RRSeries:
    """Check the rows of one recording."""
    t_s, rr_ms = rows["t_s"].to_numpy(np.float64), rows["rr_ms"].to_numpy(np.float64)
    # The recording is over with its last beat, as far as is known.
    last_s = t_s.max(initial=0.0) if np.isfinite(t_s).all() else 0.0
    try:
        rr = RRSeries(t_s, rr_ms, min(last_s, MAX_DURATION_S))
        if len(t_s) >= MANY and np.median(np.diff(t_s)) > APART * np.median(rr_ms) / 1000:
            raise AuraError("t_s has to be in seconds; most intervals are far from the one before them")
    except AuraError as error:
        message = str(error) if name is None else f"recording {name!r}: {error}"
        raise Refused("no_rr_series", message) from error
    return rr
