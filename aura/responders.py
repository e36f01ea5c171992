"""Whose heart says that a seizure is there: responders (Jeppesen 2020)."""

from collections.abc import Sequence

import numpy as np

from aura.types import Event, Floats, RRSeries

RESPONDER_BPM = 50.0
# The rise is that of means of 10 s, from the onset to a while after the end, over the minutes before.
MEAN_S, AFTER_S, BEFORE_S, MARGIN_S = 10.0, 30.0, 300.0, 30.0
MIN_BEATS = 5


def rises_bpm(rr: RRSeries, seizures: Sequence[Event]) -> Floats:
    """How far the heart rate rises in each seizure.

    Parameters
    ----------
    rr
        RR intervals of the recording.
    seizures
        Its seizures.

    Returns
    -------
    (n_seizures,) Floats
        Highest mean heart rate of 10 s between the onset and 30 s after the end, over the mean of the 5 min that end
        30 s before the onset; NaN where there are not enough beats to say.

    Examples
    --------
    >>> rr_ms = np.concatenate((np.full(400, 1000.0), np.full(200, 500.0)))
    >>> rises_bpm(RRSeries(np.cumsum(rr_ms) / 1000, rr_ms, 500.0), [Event(400.0, 60.0)])
    array([60.])
    """
    bpm = 60_000.0 / rr.rr_ms
    return np.array([_rise_bpm(rr.t_s, bpm, seizure) for seizure in seizures], dtype=np.float64)


def _rise_bpm(t_s: Floats, bpm: Floats, seizure: Event) -> float:
    """Rise of the heart rate in one seizure; beats are found by bisection, as a week has a million of them."""
    before_s = np.array([-MARGIN_S - BEFORE_S, -MARGIN_S]) + seizure.onset_s
    before = bpm[slice(*np.searchsorted(t_s, before_s, "right"))]
    if len(before) < MIN_BEATS:
        return float("nan")
    ends_s = np.arange(seizure.onset_s + MEAN_S, max(seizure.end_s + AFTER_S, seizure.onset_s + MEAN_S) + 1)
    first, stop = (np.searchsorted(t_s, edges_s, "right") for edges_s in (ends_s - MEAN_S, ends_s))
    means = [bpm[a:b].mean() for a, b in zip(first, stop, strict=True) if b - a >= MIN_BEATS]
    return float(max(means) - before.mean()) if means else float("nan")
