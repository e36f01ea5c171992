"""Cut the parts of an ECG that a page shows: every sample around the events, up to a fixed number of samples."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from aura.core.arrays import Floats, Int16s, Ints
from aura.core.events import Event, unite
from aura.core.recordings import Ecg
from aura.ecg.envelope import runs_between

# Time shown before and after each event.
MARGIN_S = 10.0
# Of longer events, only this much is shown.
MAX_EVENT_S = 600.0
# Most samples of a page. As 16-bit numbers in base64 they take 6.7 MB of the file.
MAX_SAMPLES = 2_500_000


@dataclass(frozen=True, slots=True, eq=False)
class Excerpts:
    """Unchanged samples of an ECG around events.

    Parameters
    ----------
    stretches
        Stretches that are shown, sorted and disjoint.
    n_shown, n_events
        Number of events that are shown, and of all events.
    digital
        (n_samples,) the samples of all runs, one run after the other, as `aura.core.recordings.Ecg` holds them.
    onset_s, length
        (n_runs,) time of the first sample, and number of samples, of each run without a gap.
    """

    stretches: tuple[Event, ...]
    n_shown: int
    n_events: int
    digital: Int16s
    onset_s: Floats
    length: Ints


def cut_excerpts(ecg: Ecg, reference: Sequence[Event], detected: Sequence[Event]) -> Excerpts:
    """Cut the ECG around events.

    If not all events fit into `MAX_SAMPLES`, reference events come first, then detected ones by confidence. Samples are
    never thinned out: an event is shown with all its samples or not at all. Without any event, the first seconds of the
    recording are shown.

    Parameters
    ----------
    ecg
        The recording.
    reference, detected
        Annotated and detected events, in any order.
    """
    by_rank = [*reference, *sorted(detected, key=lambda event: -event.confidence)]
    wanted = [_add_margin(event) for event in by_rank] or [Event(0.0, MARGIN_S)]

    def shown(n: int) -> tuple[Event, ...]:
        return unite(wanted[:n], duration_s=ecg.duration_s)

    def n_samples(n: int) -> int:
        return int(sum(stretch.duration_s for stretch in shown(n)) * ecg.fs_hz)

    n = bisect_right(range(1, len(wanted) + 1), MAX_SAMPLES, key=n_samples)
    stretches = shown(n)
    runs = [run for stretch in stretches for run in runs_between(ecg, stretch.onset_s, stretch.end_s)]
    return Excerpts(
        stretches,
        min(n, len(by_rank)),
        len(by_rank),
        np.concatenate([ecg.digital[:0], *(ecg.digital[first:stop] for first, stop, _ in runs)]),
        np.array([onset_s for _, _, onset_s in runs], dtype=np.float64),
        np.array([stop - first for first, stop, _ in runs], dtype=np.int64),
    )


def select_within(t_s: Floats, stretches: Sequence[Event]) -> Floats:
    """Return the sorted times that lie within sorted, disjoint stretches."""
    edges = np.array([(stretch.onset_s, stretch.end_s) for stretch in stretches]).reshape(-1, 2)
    first, stop = np.searchsorted(t_s, edges[:, 0], "left"), np.searchsorted(t_s, edges[:, 1], "right")
    return np.concatenate([t_s[:0], *(t_s[a:b] for a, b in zip(first, stop, strict=True))])


def _add_margin(event: Event) -> Event:
    """Return an event, or the beginning of a long one, with the time shown before and after it."""
    return Event(event.onset_s - MARGIN_S, min(event.duration_s, MAX_EVENT_S) + 2 * MARGIN_S)
