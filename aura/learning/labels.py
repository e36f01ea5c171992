"""What a window is to teach, by overlap on the recording's clock: detection of seizures, or forecasting."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from aura.core.arrays import Floats, Ints
from aura.core.errors import AuraError
from aura.core.events import Event, unite
from aura.formats.vocabulary import is_seizure

INTERICTAL = 0
# What is to be found: ictal windows, or preictal ones where seizures are forecast.
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
        (n_windows,) number of the seizure that a window belongs to, from its preictal to its postictal time, or
        `NO_EVENT`. Seizures whose times overlap share the number of the first, so that windows with the same number
        can stay together in a split.
    """

    label: Ints
    event: Ints


def task(labels: Mapping[str, Any]) -> dict[str, Any]:
    """What is to be found, by a configuration of labels: all of it but what is only about teaching."""
    return {key: value for key, value in labels.items() if key not in ("min_overlap", "postictal_s")}


class Labelling(Protocol):
    """A way to label windows; the YAML files of conf/labels name one."""

    def __call__(self, end_s: Floats, *, step_s: float, seizures: Sequence[Event]) -> Labels:
        """Label windows by their ends and steps; of the events only the seizures count."""

    def targets(self, seizures: Sequence[Event]) -> tuple[Event, ...]:
        """Stretches in which an alarm is right."""


@dataclass(frozen=True)
class Detection:
    """Ictal windows against interictal ones.

    Parameters
    ----------
    min_overlap
        Share of its last step that has to be ictal for a window to be, above 0 and up to 1.
    postictal_s
        Length of the postictal time after each seizure, which is left out, as steps are that are ictal for less.

    Examples
    --------
    >>> detection = Detection(min_overlap=0.5, postictal_s=1.0)
    >>> detection(np.array([1.0, 2.0, 3.0, 4.0]), step_s=1.0, seizures=[Event(1, 1)])
    Labels(label=array([ 0,  1, -1,  0]), event=array([-1,  0,  0, -1]))
    """

    min_overlap: float
    postictal_s: float

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        _check("min_overlap", self.min_overlap, 0.01, 1)
        _check("postictal_s", self.postictal_s, 0, 86_400)

    def __call__(self, end_s: Floats, *, step_s: float, seizures: Sequence[Event]) -> Labels:
        """Label windows."""
        united = _seizures(seizures, step_s)
        ictal = [(s.onset_s, s.end_s) for s in united]
        touched = [(s.onset_s, s.end_s + self.postictal_s) for s in united]
        label = np.where(_share(end_s, step_s, touched) > ROUNDING, LEFT_OUT, INTERICTAL)
        # Half of a step can be less by the rounding of a sum.
        label[_share(end_s, step_s, ictal) >= self.min_overlap - ROUNDING] = TARGET
        return Labels(label.astype(np.int64), _event(end_s, step_s, touched))

    def targets(self, seizures: Sequence[Event]) -> tuple[Event, ...]:
        """Stretches in which an alarm is right: the seizures."""
        return tuple(seizures)


@dataclass(frozen=True)
class Forecasting:
    """Preictal windows against interictal ones (Winterhalder 2003, doi:10.1016/S1525-5050(03)00105-7).

    A forecast at time t says that a seizure begins in the occurrence period after the prediction horizon: between
    ``t + horizon_s`` and ``t + horizon_s + occurrence_s``. Windows for which that is so are preictal.

    Parameters
    ----------
    horizon_s
        Seizure prediction horizon, the time there is to act; windows in it are left out.
    occurrence_s
        Seizure occurrence period.
    postictal_s
        Length of the postictal time after each seizure; it and the seizure are left out, also before the next one.
    min_overlap
        Share of its last step that has to be preictal for a window to be, above 0 and up to 1.

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
        """Refuse what cannot be meant."""
        _check("horizon_s", self.horizon_s, 0, 86_400)
        _check("occurrence_s", self.occurrence_s, 1, 7 * 86_400)
        _check("postictal_s", self.postictal_s, 0, 86_400)
        _check("min_overlap", self.min_overlap, 0.01, 1)

    def __call__(self, end_s: Floats, *, step_s: float, seizures: Sequence[Event]) -> Labels:
        """Label windows."""
        united = _seizures(seizures, step_s)
        preictal = [self._preictal(s) for s in united]
        after = [(s.onset_s, s.end_s + self.postictal_s) for s in united]
        whole = [(begin, end) for (begin, _), (_, end) in zip(preictal, after, strict=True)]
        label = np.where(_share(end_s, step_s, whole) > ROUNDING, LEFT_OUT, INTERICTAL)
        label[_share(end_s, step_s, preictal) >= self.min_overlap - ROUNDING] = TARGET
        label[_share(end_s, step_s, after) > ROUNDING] = LEFT_OUT
        return Labels(label.astype(np.int64), _event(end_s, step_s, whole))

    def targets(self, seizures: Sequence[Event]) -> tuple[Event, ...]:
        """Stretches in which an alarm is right: the preictal ones, united where they overlap."""
        spans = (self._preictal(s) for s in seizures)
        return unite((Event(begin, end - begin, "preictal") for begin, end in spans), duration_s=float("inf"))

    def _preictal(self, seizure: Event) -> Span:
        end_s = seizure.onset_s - self.horizon_s
        return end_s - self.occurrence_s, end_s


def _check(key: str, value: float, low: float, high: float) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise AuraError(f"labels.{key}={value!r} is no number; allowed is {low:g} to {high:g}")
    if not low <= value <= high:
        raise AuraError(f"labels.{key}={value} is out of range; allowed is {low:g} to {high:g}")


def _seizures(events: Sequence[Event], step_s: float) -> tuple[Event, ...]:
    """Seizures of all that is annotated, sorted and disjoint."""
    if not step_s > 0:
        raise AuraError(f"step_s={step_s}; allowed are seconds above 0")
    for event in events:
        if not (math.isfinite(event.onset_s) and math.isfinite(event.duration_s) and event.duration_s >= 0):
            raise AuraError(f"an event has an onset and a duration of at least 0, both in seconds; there is {event}")
    return unite((event for event in events if is_seizure(event.kind)), duration_s=float("inf"))


def _event(end_s: Floats, step_s: float, spans: Sequence[Span]) -> Ints:
    """Number of the first span of those that overlap, for each step that one of them touches."""
    event = np.full(len(end_s), NO_EVENT)
    until_s, first = -np.inf, NO_EVENT
    for number, (begin_s, stop_s) in enumerate(spans):
        first = first if begin_s < until_s else number
        until_s = stop_s
        touched = slice(*np.searchsorted(end_s, (begin_s + ROUNDING, stop_s + step_s - ROUNDING)))
        event[touched] = np.where(event[touched] == NO_EVENT, first, event[touched])
    return event.astype(np.int64)


def _share(end_s: Floats, step_s: float, spans: Sequence[Span]) -> Floats:
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
