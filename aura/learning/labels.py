"""Label windows for training by their overlap with seizures: for detection, or for forecasting."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from aura.core.arrays import Floats, Ints, copy_numbers
from aura.core.errors import InvalidInput, check_number, check_range
from aura.core.events import Event, check_events, unite
from aura.formats.vocabulary import is_seizure

INTERICTAL = 0
# Windows to detect: ictal ones, or preictal ones in forecasting.
TARGET = 1
LEFT_OUT = -1
NO_EVENT = -1
ROUNDING = 1e-9
Span = tuple[float, float]


@dataclass(frozen=True, slots=True, eq=False)
class Labels:
    """Labels of the windows of a recording.

    Parameters
    ----------
    label
        (n_windows,) `TARGET`, `INTERICTAL` or `LEFT_OUT`.
    event
        (n_windows,) number of the seizure whose preictal, ictal or postictal time a window is in, or `NO_EVENT`.
        Seizures whose times overlap share the number of the first, so that a split can keep an event together.
    """

    label: Ints
    event: Ints


def describe_task(labels: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of labels that define what is detected, without those that only concern training."""
    return {key: value for key, value in labels.items() if key not in ("min_overlap", "postictal_s")}


class Labelling(Protocol):
    """A way to label windows; each YAML file of conf/labels names one."""

    def __call__(self, end_s: Floats, *, step_s: float, seizures: Sequence[Event]) -> Labels:
        """Label the last step of each window; only the seizures among the events count."""

    def targets(self, seizures: Sequence[Event]) -> tuple[Event, ...]:
        """Return the stretches in which an alarm is true."""


@dataclass(frozen=True)
class Detection:
    """Label windows as ictal or interictal.

    Parameters
    ----------
    min_overlap
        Share of its last step that must be ictal for a window to be ictal, from 0.01 to 1.
    postictal_s
        Length of the postictal time after each seizure in seconds. Postictal windows are left out, and so are windows
        that are ictal for less than ``min_overlap``.

    Examples
    --------
    >>> detection = Detection(min_overlap=0.5, postictal_s=1.0)
    >>> detection(np.array([1.0, 2.0, 3.0, 4.0]), step_s=1.0, seizures=[Event(1, 1)])
    Labels(label=array([ 0,  1, -1,  0]), event=array([-1,  0,  0, -1]))
    """

    min_overlap: float
    postictal_s: float

    def __post_init__(self) -> None:
        """Validate."""
        check_range("min_overlap", self.min_overlap, 0.01, 1)
        check_range("postictal_s", self.postictal_s, 0, 86_400)

    def __call__(self, end_s: Floats, *, step_s: float, seizures: Sequence[Event]) -> Labels:
        """Label windows."""
        end_s = _check_ends(end_s)
        united = _seizures(seizures, step_s)
        ictal = [(s.onset_s, s.end_s) for s in united]
        touched = [(s.onset_s, s.end_s + self.postictal_s) for s in united]
        label = np.where(_share(end_s, step_s, touched) > ROUNDING, LEFT_OUT, INTERICTAL)
        # Up to the rounding of sums.
        label[_share(end_s, step_s, ictal) >= self.min_overlap - ROUNDING] = TARGET
        return Labels(label.astype(np.int64), _event(end_s, step_s, touched))

    def targets(self, seizures: Sequence[Event]) -> tuple[Event, ...]:
        """Return the stretches in which an alarm is true: the seizures."""
        return check_events("seizures", seizures)


@dataclass(frozen=True)
class Forecasting:
    """Label windows as preictal or interictal (Winterhalder 2003, doi:10.1016/S1525-5050(03)00105-7).

    A forecast at time t says that a seizure begins in the occurrence period after the prediction horizon: between
    ``t + horizon_s`` and ``t + horizon_s + occurrence_s``. Windows for which this is true are preictal.

    Parameters
    ----------
    horizon_s
        Seizure prediction horizon in seconds, the time to act; windows in it are left out.
    occurrence_s
        Seizure occurrence period in seconds.
    postictal_s
        Length of the postictal time after each seizure in seconds; both are left out, also before another seizure.
    min_overlap
        Share of its last step that must be preictal for a window to be preictal, from 0.01 to 1.

    Examples
    --------
    >>> forecasting = Forecasting(horizon_s=1.0, occurrence_s=2.0, postictal_s=1.0, min_overlap=0.5)
    >>> forecasting(np.arange(1.0, 9.0), step_s=1.0, seizures=[Event(4, 1)])
    Labels(label=array([ 0,  1,  1, -1, -1, -1,  0,  0]), event=array([-1,  0,  0,  0,  0,  0, -1, -1]))
    """

    horizon_s: float
    occurrence_s: float
    postictal_s: float
    min_overlap: float

    def __post_init__(self) -> None:
        """Validate."""
        check_range("horizon_s", self.horizon_s, 0, 86_400)
        check_range("occurrence_s", self.occurrence_s, 1, 7 * 86_400)
        check_range("postictal_s", self.postictal_s, 0, 86_400)
        check_range("min_overlap", self.min_overlap, 0.01, 1)

    def __call__(self, end_s: Floats, *, step_s: float, seizures: Sequence[Event]) -> Labels:
        """Label windows."""
        end_s = _check_ends(end_s)
        united = _seizures(seizures, step_s)
        preictal = [self._preictal(s) for s in united]
        after = [(s.onset_s, s.end_s + self.postictal_s) for s in united]
        whole = [(begin, end) for (begin, _), (_, end) in zip(preictal, after, strict=True)]
        label = np.where(_share(end_s, step_s, whole) > ROUNDING, LEFT_OUT, INTERICTAL)
        label[_share(end_s, step_s, preictal) >= self.min_overlap - ROUNDING] = TARGET
        label[_share(end_s, step_s, after) > ROUNDING] = LEFT_OUT
        return Labels(label.astype(np.int64), _event(end_s, step_s, whole))

    def targets(self, seizures: Sequence[Event]) -> tuple[Event, ...]:
        """Return the stretches in which an alarm is true: preictal time, united where it overlaps."""
        spans = (self._preictal(s) for s in check_events("seizures", seizures))
        return unite((Event(begin, end - begin, "preictal") for begin, end in spans), duration_s=float("inf"))

    def _preictal(self, seizure: Event) -> Span:
        end_s = seizure.onset_s - self.horizon_s
        return end_s - self.occurrence_s, end_s


def _check_ends(end_s: object) -> Floats:
    """Return the ends of windows as an array."""
    ends_s = copy_numbers("end_s", end_s)
    if ends_s.ndim != 1:
        raise InvalidInput(f"end_s has the shape {ends_s.shape}; allowed is (n_windows,)")
    return ends_s


def _seizures(events: Sequence[Event], step_s: float) -> tuple[Event, ...]:
    """Return the seizures among the events, sorted and disjoint."""
    check_number("step_s", step_s, "seconds above 0")
    if not step_s > 0:
        raise InvalidInput(f"step_s={step_s}; allowed are seconds above 0")
    events = check_events("seizures", events)
    for event in events:
        if not (math.isfinite(event.onset_s) and math.isfinite(event.duration_s) and event.duration_s >= 0):
            raise InvalidInput(
                f"seizures has {event}; an event has an onset and a duration of at least 0, both in seconds"
            )
    return unite((event for event in events if is_seizure(event.kind)), duration_s=float("inf"))


def _event(end_s: Floats, step_s: float, spans: Sequence[Span]) -> Ints:
    """Return for each step the number of the span that touches it; overlapping spans share the first number."""
    event = np.full(len(end_s), NO_EVENT)
    until_s, first = -np.inf, NO_EVENT
    for number, (begin_s, stop_s) in enumerate(spans):
        first = first if begin_s < until_s else number
        until_s = stop_s
        touched = slice(*np.searchsorted(end_s, (begin_s + ROUNDING, stop_s + step_s - ROUNDING)))
        event[touched] = np.where(event[touched] == NO_EVENT, first, event[touched])
    return event.astype(np.int64)


def _share(end_s: Floats, step_s: float, spans: Sequence[Span]) -> Floats:
    """Return the share of each step that the spans cover; overlaps count once."""
    if not spans:
        return np.zeros(len(end_s))
    starts, stops = (np.array(edge) for edge in zip(*sorted(spans), strict=True))
    stops = np.maximum.accumulate(stops)
    starts = np.maximum(starts, np.concatenate(([-np.inf], stops[:-1])))
    covered_s = np.concatenate(([0.0], np.cumsum(stops - starts)))
    # Seconds covered up to a time: constant between the spans, rising by one second per second inside them.
    edges = np.column_stack((starts, stops)).ravel()
    levels = np.column_stack((covered_s[:-1], covered_s[1:])).ravel()
    share: Floats = (np.interp(end_s, edges, levels) - np.interp(end_s - step_s, edges, levels)) / step_s
    return share
