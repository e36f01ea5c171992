"""Hold back lines whose time jumps ahead, until the lines after them confirm or contradict it.

If a wrong time were accepted, every later line with the right time would be refused as old. After a gap, however, the
same jump is right. Only the next lines can tell the two cases apart.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

from aura.features.stream import check_interval, check_silence

# Longest time from one line to the next, for beats and for clock ticks. A line that is further ahead must be confirmed,
# so a wrong line costs at most these seconds of right lines.
BEAT_PACE_S, TICK_PACE_S = 5.0, 10.0
# Consecutive lines at the right pace that confirm the time of held lines. Few, since an alarm waits for them.
CONFIRMED_BY = 3
# Lines that can be held back. No window is filled by beats that never follow one another at the pace of a heart.
MAX_HELD = 1000


class Entry(NamedTuple):
    """A line: an RR interval at the time of its second beat, or, without ``rr_ms``, a clock tick."""

    t_s: float
    rr_ms: float | None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What happens to lines after a new line.

    Parameters
    ----------
    accepted
        Lines to process now, in the order of their times.
    refused
        Held lines that are contradicted.
    held
        Whether the new line starts a jump in time that is held back.
    """

    accepted: tuple[Entry, ...] = ()
    refused: tuple[Entry, ...] = ()
    held: bool = False


class Quarantine:
    """Decide which lines of a recording are accepted, and when.

    Examples
    --------
    >>> quarantine = Quarantine()
    >>> quarantine.judge(Entry(1.0, 900.0)).accepted
    (Entry(t_s=1.0, rr_ms=900.0),)
    >>> quarantine.judge(Entry(86_001.9, 900.0))
    Verdict(accepted=(), refused=(), held=True)
    >>> verdict = quarantine.judge(Entry(1.9, 900.0))
    >>> verdict.accepted, verdict.refused
    ((Entry(t_s=1.9, rr_ms=900.0),), (Entry(t_s=86001.9, rr_ms=900.0),))
    """

    def __init__(self) -> None:
        # Time of the last accepted line, and of the last accepted beat.
        self.now_s = 0.0
        self._beat_s = 0.0
        self.held: list[Entry] = []

    def judge(self, entry: Entry) -> Verdict:
        """Judge a line that is later than the last accepted one.

        Raises
        ------
        AuraError
            If the interval or the time is impossible. The state is then unchanged.
        """
        if entry in self.held:
            # A sender that reconnects repeats it.
            return Verdict()
        earlier = [held for held in self.held if held.t_s <= entry.t_s]
        last_s = earlier[-1].t_s if earlier else self.now_s
        if entry.rr_ms is not None:
            beats_s = [held.t_s for held in earlier if held.rr_ms is not None]
            check_interval(entry.t_s, entry.rr_ms, now_s=last_s, beat_s=beats_s[-1] if beats_s else self._beat_s)
        else:
            check_silence(entry.t_s, now_s=last_s)
        contradicted = tuple(self.held[len(earlier) :])
        self.held = earlier
        if entry.rr_ms is None and entry.t_s <= last_s:
            return Verdict(refused=contradicted)
        self.held.append(entry)
        if self._is_held_back():
            starts_jump = not _keeps_pace(last_s, entry)
            oldest = (self.held.pop(0),) if len(self.held) > MAX_HELD else ()
            return Verdict(refused=(*oldest, *contradicted), held=starts_jump)
        accepted, self.held = tuple(self.held), []
        for line in accepted:
            self._accept(line)
        return Verdict(accepted, contradicted)

    def state(self) -> dict[str, Any]:
        """Return the whole state as values that JSON can hold."""
        return {"now_s": self.now_s, "beat_s": self._beat_s, "held": self.held}

    def restore(self, state: dict[str, Any]) -> None:
        """Restore a state that `state` returned."""
        self.now_s, self._beat_s = state["now_s"], state["beat_s"]
        self.held = [Entry(t_s, rr_ms) for t_s, rr_ms in state["held"]]

    def _is_held_back(self) -> bool:
        """Return whether the held lines, including the newest, wait for more lines."""
        if _keeps_pace(self.now_s, self.held[0]):
            return False
        last = self.held[-CONFIRMED_BY - 1 :]
        return len(last) <= CONFIRMED_BY or not all(_keeps_pace(a.t_s, b) for a, b in pairwise(last))

    def _accept(self, entry: Entry) -> None:
        self.now_s = entry.t_s
        if entry.rr_ms is not None:
            self._beat_s = entry.t_s


def _keeps_pace(before_s: float, entry: Entry) -> bool:
    """Return whether a line follows the previous line at the pace of a heart, or of a sender's clock."""
    return entry.t_s - before_s <= (TICK_PACE_S if entry.rr_ms is None else BEAT_PACE_S)
