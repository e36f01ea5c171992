"""A detector that takes beats as they come: the features, probabilities and alarms of the whole recording, at once."""

import json
import math
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any

import pandas as pd

from aura.core.errors import AuraError
from aura.detection.alarm_stream import AlarmStream
from aura.detection.detector import SeizureDetector, reasons
from aura.detection.quarantine import CONFIRMED_BY, Entry, Quarantine
from aura.features import FeatureStream

Line = dict[str, Any]
# What a beat may say of itself.
KEYS = ("t_s", "rr_ms")
# Lines that can be said again: more than an hour of them, at one a second.
KEPT = 5000


class Live:
    """Takes the RR intervals of one recording one by one, and gives a line for each step and each alarm.

    Parameters
    ----------
    detector
        What finds seizures.
    """

    def __init__(self, detector: SeizureDetector) -> None:
        self._detector = detector
        self._stream = FeatureStream(detector.spec)
        self._alarms = AlarmStream(detector.alarms, threshold=detector.threshold, step_s=detector.spec.step_s)
        self._quarantine = Quarantine()
        # Time of the last interval that was accepted; None before there is any.
        self.after_s: float | None = None
        # Number of the last line given, and of the last one before the answer to the line that was taken last.
        self.n = self.before_n = 0
        self._given: deque[Line] = deque(maxlen=KEPT)

    def take(self, text: str) -> list[Line]:
        """Take a line of JSON: an interval, or, without ``rr_ms``, that no beat up to a time is still to come.

        Parameters
        ----------
        text
            Such as ``{"t_s": 12.4, "rr_ms": 812}``.

        Returns
        -------
        list of dict
            One for each step that is over: ``kind`` is ``step``, with ``t_s``, ``probability`` (None with a
            ``reason``) and ``score``. After it, where it changes something, one whose kind is ``alarm``, with
            ``number`` and ``onset_s``, or ``alarm_end``, with its ``end_s``. ``held`` says that the time jumps ahead
            and waits to be confirmed, ``refused`` that a line that was held is contradicted. All are numbered by ``n``.

        Raises
        ------
        AuraError
            With what is wrong with the line, and what is allowed; nothing is changed by it.
        """
        t_s, rr_ms = _beat(text)
        if rr_ms is None and (t_s <= self._quarantine.now_s or self._is_before_first_beat()):
            return self._answer([])
        if self.knows(text):
            raise AuraError(
                f"t_s={t_s:g} is not after {self.after_s:g}, the last interval; allowed are later ones, and for a new "
                f"recording a new state"
            )
        last_s = self._quarantine.now_s
        verdict = self._quarantine.judge(Entry(t_s, rr_ms))
        lines = [_refused(entry, t_s) for entry in verdict.refused]
        if verdict.held:
            lines.append(_held(t_s, last_s))
        for entry in verdict.accepted:
            lines += self._lines(self._push(*entry))
        return self._answer(lines)

    def knows(self, text: str) -> bool:
        """Whether a line is of an interval up to the last one that was taken, as of a sender that begins again."""
        t_s, rr_ms = _beat(text)
        return rr_ms is not None and self.after_s is not None and t_s <= self.after_s

    def end(self) -> list[Line]:
        """Lines of the steps that end with the last interval, when no other comes."""
        before_n = self.before_n
        lines = self._answer([] if self.after_s is None else self._lines(self._stream.advance(self._stream.now_s)))
        self.before_n = before_n
        return lines

    def since(self, n: int) -> list[Line]:
        """Lines after the one of this number, as far as they are kept."""
        return [line for line in self._given if line["n"] > n]

    def ready(self) -> Line:
        """Say what has been taken and said, to a sender that begins or comes back."""
        last = self._alarms.last
        alarm = last and {"number": last.number, "onset_s": last.onset_s, "end_s": last.end_s}
        return {"kind": "ready", "after_s": self.after_s, "n": self.n, "alarm": alarm}

    def state(self) -> Line:
        """All that it remembers, as JSON can hold it."""
        parts = {
            "stream": self._stream.state(),
            "alarms": self._alarms.state(),
            "quarantine": self._quarantine.state(),
        }
        return {**parts, "after_s": self.after_s, "n": self.n, "before_n": self.before_n, "given": list(self._given)}

    def restore(self, state: Line) -> None:
        """Remember what another one of the same detector remembered."""
        self._stream.restore(state["stream"])
        self._alarms.restore(state["alarms"])
        self._quarantine.restore(state["quarantine"])
        self.after_s, self.n, self.before_n = state["after_s"], state["n"], state["before_n"]
        self._given = deque(state["given"], maxlen=KEPT)

    @property
    def n_held(self) -> int:
        """Number of lines that are held back, as nothing has confirmed their time yet."""
        return len(self._quarantine.held)

    def _is_before_first_beat(self) -> bool:
        """Whether nothing is known yet, so that the time alone says nothing."""
        return self.after_s is None and not self._quarantine.held

    def _push(self, t_s: float, rr_ms: float | None) -> pd.DataFrame:
        """Rows of the windows that an accepted line completes."""
        if rr_ms is None:
            return self._stream.advance(t_s)
        rows = self._stream.push(t_s, rr_ms)
        if self.after_s is None:
            # Of the windows before the first interval nothing is known.
            n_before = int((rows["t_s"] <= t_s - rr_ms / 1000).sum())
            self._alarms.skip(n_before)
            rows = rows.iloc[n_before:]
        self.after_s = t_s
        return rows

    def _answer(self, lines: Iterable[Line]) -> list[Line]:
        """Number the lines of an answer, and keep them."""
        self.before_n = self.n
        numbered = [{**line, "n": self.n + i} for i, line in enumerate(lines, start=1)]
        self.n += len(numbered)
        self._given.extend(numbered)
        return numbered

    def _lines(self, rows: pd.DataFrame) -> Iterator[Line]:
        if not len(rows):
            return
        probabilities = self._detector.probability(rows)
        for t_s, probability, reason in zip(rows["t_s"], probabilities, reasons(rows, probabilities), strict=True):
            score, alarm = self._alarms.push(float(probability))
            step = {"kind": "step", "t_s": t_s, "probability": _number(probability), "score": _number(score)}
            yield step | ({"reason": reason} if reason else {})
            if alarm is not None:
                kind = "alarm" if alarm.end_s is None else "alarm_end"
                end = {} if alarm.end_s is None else {"end_s": alarm.end_s}
                yield {"kind": kind, "number": alarm.number, "onset_s": alarm.onset_s, **end}


def _beat(text: str) -> tuple[float, float | None]:
    """Time of a beat, and its interval where it has one."""
    allowed = 'allowed is a line such as {"t_s": 12.4, "rr_ms": 812}, or {"t_s": 14} where no beat has come'
    try:
        beat = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise AuraError(f"this is no JSON; {allowed}") from error
    if not isinstance(beat, dict) or "t_s" not in beat or not beat.keys() <= set(KEYS):
        raise AuraError(f"this is no beat; {allowed}")
    for key, value in beat.items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise AuraError(f"{key} is no number; {allowed}")
    try:
        return float(beat["t_s"]), float(beat["rr_ms"]) if "rr_ms" in beat else None
    except OverflowError as error:
        raise AuraError(f"a number is too large; {allowed}") from error


def encode(lines: Iterable[Line]) -> bytes:
    """Lines as they are sent."""
    return "".join(json.dumps(line) + "\n" for line in lines).encode()


def _held(t_s: float, last_s: float) -> Line:
    """Say that the time of a line jumps ahead."""
    message = (
        f"t_s={t_s:g} is {t_s - last_s:g} s after {last_s:g}, the last line that was accepted; it is held back until "
        f"{CONFIRMED_BY} lines that follow it one by one confirm it"
    )
    return {"kind": "held", "t_s": t_s, "message": message}


def _refused(entry: Entry, t_s: float) -> Line:
    """Say that a line that was held back is not taken."""
    reason = f"the time goes on at {t_s:g}" if t_s < entry.t_s else "nothing has confirmed it"
    return {
        "kind": "refused",
        "t_s": entry.t_s,
        "message": f"t_s={entry.t_s:g} was held back and is left out: {reason}",
    }


def _number(value: float) -> float | None:
    """JSON knows no NaN."""
    return None if math.isnan(value) else float(value)
