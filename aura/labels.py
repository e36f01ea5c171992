"""Which windows are ictal, by overlap on the recording's clock."""

from collections.abc import Sequence

import numpy as np

from aura.types import Event, Floats, Ints

INTERICTAL = 0
ICTAL = 1
LEFT_OUT = -1
ROUNDING = 1e-9


def label(end_s: Floats, *, step_s: float, seizures: Sequence[Event], min_overlap: float, postictal_s: float) -> Ints:
    """Label each window by what happens in its last step.

    Parameters
    ----------
    end_s
        (n_windows,) ends of the windows in seconds.
    step_s
        Time from one window to the next; the part of a window that it alone speaks for.
    seizures
        Sorted and disjoint.
    min_overlap
        Share of the step that has to be ictal for the window to be, above 0 and up to 1.
    postictal_s
        Length of the postictal time after each seizure, which is neither ictal nor interictal.

    Returns
    -------
    (n_windows,) Ints
        `ICTAL`, `INTERICTAL`, or `LEFT_OUT`: a step that is postictal, or ictal for less than ``min_overlap``.

    Examples
    --------
    >>> label(np.array([1.0, 2.0, 3.0, 4.0]), step_s=1.0, seizures=[Event(1, 1)], min_overlap=0.5, postictal_s=1.0)
    array([ 0,  1, -1,  0])
    """
    ictal = _share(end_s, step_s, [(s.onset_s, s.end_s) for s in seizures])
    touched = _share(end_s, step_s, [(s.onset_s, s.end_s + postictal_s) for s in seizures])
    # A seizure that ends with a step may reach into the next by the rounding of a sum, and half of a step be less.
    labels = np.where(touched > ROUNDING, LEFT_OUT, INTERICTAL)
    labels[ictal >= min_overlap - ROUNDING] = ICTAL
    return labels.astype(np.int64)


def _share(end_s: Floats, step_s: float, spans: Sequence[tuple[float, float]]) -> Floats:
    """Share of each step that the spans cover, a time covered twice counted once."""
    if not spans:
        return np.zeros(len(end_s))
    starts, stops = (np.array(edge) for edge in zip(*sorted(spans), strict=True))
    stops = np.maximum.accumulate(stops)
    starts = np.maximum(starts, np.concatenate(([-np.inf], stops[:-1])))
    covered_s = np.concatenate(([0.0], np.cumsum(stops - starts)))
    # Seconds covered up to a time: flat between the spans, rising by one second a second inside them.
    edges = np.column_stack((starts, stops)).ravel()
    levels = np.column_stack((covered_s[:-1], covered_s[1:])).ravel()
    share: Floats = (np.interp(end_s, edges, levels) - np.interp(end_s - step_s, edges, levels)) / step_s
    return share
