"""Whose heart says that a seizure is there: responders (Jeppesen 2020)."""

from collections.abc import Sequence

import numpy as np

from aura.core.arrays import Floats
from aura.core.events import Event
from aura.core.series import RRSeries

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
    bpm, rises = 60_000.0 / rr.rr_ms, np.full(len(seizures), np.nan)
    sums = np.concatenate(([0.0], np.cumsum(bpm)))
    onsets_s = np.array([seizure.onset_s for seizure in seizures], dtype=np.float64)
    first = np.searchsorted(rr.t_s, onsets_s - MARGIN_S - BEFORE_S, side="right")
    stop = np.searchsorted(rr.t_s, onsets_s - MARGIN_S, side="right")
    for i in np.flatnonzero(stop - first >= MIN_BEATS):
        seizure = seizures[i]
        ends_s = np.arange(seizure.onset_s + MEAN_S, max(seizure.end_s + AFTER_S, seizure.onset_s + MEAN_S) + 1)
        a, b = (np.searchsorted(rr.t_s, times_s, side="right") for times_s in (ends_s - MEAN_S, ends_s))
        enough = b - a >= MIN_BEATS
        if enough.any():
            means = (sums[b] - sums[a])[enough] / (b - a)[enough]
            rises[i] = means.max() - (sums[stop[i]] - sums[first[i]]) / (stop[i] - first[i])
    return rises
