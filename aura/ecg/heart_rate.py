"""Rises of the heart rate in seizures; a rise above 50 bpm makes a responder (Jeppesen 2020)."""

from collections.abc import Sequence

import numpy as np

from aura.core.arrays import Floats
from aura.core.events import Event
from aura.core.series import RRSeries

RESPONDER_BPM = 50.0
# The rise is the highest 10-s mean from the onset to 30 s after the end, minus the mean of the minutes before.
MEAN_S, AFTER_S, BEFORE_S, MARGIN_S = 10.0, 30.0, 300.0, 30.0
MIN_BEATS = 5


def measure_rises_bpm(rr: RRSeries, seizures: Sequence[Event]) -> Floats:
    """Measure the rise of the heart rate in each seizure.

    Parameters
    ----------
    rr
        RR intervals of the recording.
    seizures
        Its seizures.

    Returns
    -------
    (n_seizures,) Floats
        Highest 10-s mean heart rate between the onset and 30 s after the end, minus the mean of the 5 min that end 30 s
        before the onset; NaN with fewer than 5 beats in either.

    Examples
    --------
    >>> rr_ms = np.concatenate((np.full(400, 1000.0), np.full(200, 500.0)))
    >>> measure_rises_bpm(RRSeries(np.cumsum(rr_ms) / 1000, rr_ms, 500.0), [Event(400.0, 60.0)])
    array([60.])
    """
    bpm, rises = 60_000.0 / rr.rr_ms, np.full(len(seizures), np.nan)
    sums = np.concatenate(([0.0], np.cumsum(bpm)))
    onsets_s = np.array([seizure.onset_s for seizure in seizures], dtype=np.float64)
    first = np.searchsorted(rr.t_s, onsets_s - MARGIN_S - BEFORE_S, side="right")
    stop = np.searchsorted(rr.t_s, onsets_s - MARGIN_S, side="right")
    for i in np.flatnonzero(stop - first >= MIN_BEATS).tolist():
        seizure = seizures[i]
        ends_s = np.arange(seizure.onset_s + MEAN_S, max(seizure.end_s + AFTER_S, seizure.onset_s + MEAN_S) + 1)
        a, b = (np.searchsorted(rr.t_s, times_s, side="right") for times_s in (ends_s - MEAN_S, ends_s))
        enough = b - a >= MIN_BEATS
        if enough.any():
            means = (sums[b] - sums[a])[enough] / (b - a)[enough]
            rises[i] = means.max() - (sums[stop[i]] - sums[first[i]]) / (stop[i] - first[i])
    return rises
