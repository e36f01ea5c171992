"""Hold back lines whose time jumps ahead, until the lines after them confirm or contradict it.

A wrong time is accepted for ever: every later line with the right time would then be refused as old. After a gap the
same jump is right. Only the next lines can tell the two apart.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

from aura.features.stream import check_interval, check_silence

# A heart at work, and the clock of a sender that has lost it, let no more time pass from line to line. Whatever is
# further ahead has to be confirmed, so that a wrong line costs no more than so many seconds of right ones.
BEAT_PACE_S, TICK_PACE_S = 5.0, 10.0
# Lines in a row, each at the right pace, that confirm the time of what is held back. Few, as an alarm waits for them.
CONFIRMED_BY = 3
# Lines that can be held back. So many beats, none of which follows another at the pace of a heart, fill no window.
MAX_HELD = 1000


class Entry(NamedTuple):
    """A line: an RR interval by the time of its second beat, or, without ``rr_ms``, a clock tick."""

    t_s: float
    rr_ms: float | None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of lines once another one has come.

    Parameters
    ----------
    accepted
        Lines to take now, in the order of their times.
    refused
        Lines that were held back and are contradicted.
    held
        Whether the new line begins a jump that is held back.
    """

    accepted: tuple[Entry, ...] = ()
    refused: tuple[Entry, ...] = ()
    held: bool = False


class Quarantine:
    """Decide which lines of a recording are taken, and when.

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
        # Time of the last line that was accepted, and of the last beat among them.
        self.now_s = 0.0
        self._beat_s = 0.0
        self.held: list[Entry] = []

    def judge(self, entry: Entry) -> Verdict:
        """Take a line that is later than the last accepted one.

        Raises
        ------
        AuraError
                For an interval or a time that cannot be; nothing is changed by it.
        """
        if entry in self.held:
            # A sender that comes back says it again.
            return Verdict()
        earlier = [one for one in self.held if one.t_s <= entry.t_s]
        last_s = earlier[-1].t_s if earlier else self.now_s
        if entry.rr_ms is not None:
            beats_s = [one.t_s for one in earlier if one.rr_ms is not None]
            check_interval(entry.t_s, entry.rr_ms, now_s=last_s, beat_s=beats_s[-1] if beats_s else self._beat_s)
        else:
            check_silence(entry.t_s, now_s=last_s)
        contradicted = tuple(self.held[len(earlier) :])
        self.held = earlier
        if entry.rr_ms is None and entry.t_s <= last_s:
            return Verdict(refused=contradicted)
        self.held.append(entry)
        if self._is_held_back():
            begins = not _keeps_pace(last_s, entry)
            too_many = (self.held.pop(0),) if len(self.held) > MAX_HELD else ()
            return Verdict(refused=(*too_many, *contradicted), held=begins)
        accepted, self.held = tuple(self.held), []
        for one in accepted:
            self._accept(one)
        return Verdict(accepted, contradicted)

    def state(self) -> dict[str, Any]:
        """All that it remembers, as JSON can hold it."""
        return {"now_s": self.now_s, "beat_s": self._beat_s, "held": self.held}

    def restore(self, state: dict[str, Any]) -> None:
        """Remember what another one remembered."""
        self.now_s, self._beat_s = state["now_s"], state["beat_s"]
        self.held = [Entry(t_s, rr_ms) for t_s, rr_ms in state["held"]]

    def _is_held_back(self) -> bool:
        """Whether what is held back, with the line that has just come, is to wait for more."""
        if _keeps_pace(self.now_s, self.held[0]):
            return False
        last = self.held[-CONFIRMED_BY - 1 :]
        return len(last) <= CONFIRMED_BY or not all(_keeps_pace(one.t_s, other) for one, other in pairwise(last))

    def _accept(self, entry: Entry) -> None:
        self.now_s = entry.t_s
        if entry.rr_ms is not None:
            self._beat_s = entry.t_s


def _keeps_pace(before_s: float, entry: Entry) -> bool:
    """Whether a line follows the one before it at the pace of a heart, or of a sender's clock."""
    return entry.t_s - before_s <= (TICK_PACE_S if entry.rr_ms is None else BEAT_PACE_S)
