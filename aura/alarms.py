"""From probabilities to alarms."""

from aura.events import from_mask
from aura.types import Event, Floats


def events_from_probability(probability: Floats, *, threshold: float, step_s: float) -> tuple[Event, ...]:
    """Turn the probabilities of a recording's windows into alarms.

    Parameters
    ----------
    probability
        (n_windows,) of a seizure in each step, from the first step of the recording on.
    threshold
        From which on a step is an alarm.
    step_s
        Time from one window to the next; a window speaks for its last step.

    Returns
    -------
    tuple of Event
        Sorted and disjoint.

    Examples
    --------
    >>> import numpy as np
    >>> events_from_probability(np.array([0.1, 0.7, 0.8, 0.2]), threshold=0.5, step_s=2.0)
    (Event(onset_s=2.0, duration_s=4.0, kind='seiz', confidence=1.0),)
    """
    return from_mask(probability >= threshold, step_s=step_s)
