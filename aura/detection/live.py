"""Detect seizures while beats arrive, with the same features, probabilities and alarms as in a whole recording."""

import json
import math
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any

import pandas as pd

from aura.core.errors import AuraError
from aura.detection.alarm_stream import AlarmStream
from aura.detection.detector import SeizureDetector, explain_missing
from aura.detection.quarantine import CONFIRMED_BY, Entry, Quarantine
from aura.features import FeatureStream

Line = dict[str, Any]
# Keys of a line of input.
KEYS = ("t_s", "rr_ms")
# Lines that are kept for a sender that reconnects: more than an hour at one line per second.
MAX_KEPT = 5000


class Live:
    """Take the RR intervals of one recording one at a time, and return a line for each step and each alarm.

    Parameters
    ----------
    detector
        Detector to run.
    """

    def __init__(self, detector: SeizureDetector) -> None:
        self._detector = detector
        self._stream = FeatureStream(detector.spec)
        self._alarms = AlarmStream(detector.alarms, threshold=detector.threshold, step_s=detector.spec.step_s)
        self._quarantine = Quarantine()
        # Time of the last accepted interval; None before the first.
        self.after_s: float | None = None
        # Number of the last line returned, and of the last line before the latest answer.
        self.n = self.before_n = 0
        self._kept: deque[Line] = deque(maxlen=MAX_KEPT)

    def take(self, text: str) -> list[Line]:
        """Take a line of JSON: an RR interval or (without ``rr_ms``) a clock tick: no earlier beat will follow.

        Parameters
        ----------
        text
            Line such as ``{"t_s": 12.4, "rr_ms": 812}``.

        Returns
        -------
        list of dict
            Lines numbered by ``n``, with one of these as ``kind``:

            - ``step`` for each completed step, with ``t_s``, ``probability`` (None with a ``reason``) and ``score``;
            - ``alarm`` after the step that raises an alarm, with ``number`` and ``onset_s``;
            - ``alarm_end`` after the step that ends an alarm, with ``end_s`` as well;
            - ``held`` if the time jumps ahead, so that the line waits to be confirmed;
            - ``refused`` for a held line that is contradicted.

        Raises
        ------
        AuraError
            If the line is not allowed. The state is then unchanged.
        """
        t_s, rr_ms = _parse_beat(text)
        if rr_ms is None and (t_s <= self._quarantine.now_s or self._is_before_first_beat()):
            return self._answer([])
        if self.is_known(text):
            raise AuraError(
                f"t_s={t_s:g} is not after {self.after_s:g}, the time of the last interval; allowed are later times; "
                f"a new recording needs a new state"
            )
        last_s = self._quarantine.now_s
        verdict = self._quarantine.judge(Entry(t_s, rr_ms))
        lines = [_refused_line(entry, t_s) for entry in verdict.refused]
        if verdict.held:
            lines.append(_held_line(t_s, last_s))
        for entry in verdict.accepted:
            lines += self._step_lines(self._push(*entry))
        return self._answer(lines)

    def is_known(self, text: str) -> bool:
        """Return whether a line holds an interval no later than the last accepted one, as after a restart."""
        t_s, rr_ms = _parse_beat(text)
        return rr_ms is not None and self.after_s is not None and t_s <= self.after_s

    def end(self) -> list[Line]:
        """Return the lines of the steps that end with the last interval, when no more lines follow."""
        before_n = self.before_n
        lines = self._answer([] if self.after_s is None else self._step_lines(self._stream.advance(self._stream.now_s)))
        self.before_n = before_n
        return lines

    def lines_after(self, n: int) -> list[Line]:
        """Return the lines after line number ``n``, as far as they are kept."""
        return [line for line in self._kept if line["n"] > n]

    def ready_line(self) -> Line:
        """Return the line that tells a sender, when it connects, what was accepted and returned before."""
        last = self._alarms.last
        alarm = last and {"number": last.number, "onset_s": last.onset_s, "end_s": last.end_s}
        return {"kind": "ready", "after_s": self.after_s, "n": self.n, "alarm": alarm}

    def state(self) -> Line:
        """Return the whole state as values that JSON can hold."""
        parts = {
            "stream": self._stream.state(),
            "alarms": self._alarms.state(),
            "quarantine": self._quarantine.state(),
        }
        return {**parts, "after_s": self.after_s, "n": self.n, "before_n": self.before_n, "given": list(self._kept)}

    def restore(self, state: Line) -> None:
        """Restore a state that `state` returned for the same detector."""
        self._stream.restore(state["stream"])
        self._alarms.restore(state["alarms"])
        self._quarantine.restore(state["quarantine"])
        self.after_s, self.n, self.before_n = state["after_s"], state["n"], state["before_n"]
        self._kept = deque(state["given"], maxlen=MAX_KEPT)

    @property
    def n_held(self) -> int:
        """Number of lines that are held back, waiting for their time to be confirmed."""
        return len(self._quarantine.held)

    def _is_before_first_beat(self) -> bool:
        """Return whether no beat has come yet; clock ticks before the first beat mean nothing."""
        return self.after_s is None and not self._quarantine.held

    def _push(self, t_s: float, rr_ms: float | None) -> pd.DataFrame:
        """Return the rows of the windows that an accepted line completes."""
        if rr_ms is None:
            return self._stream.advance(t_s)
        rows = self._stream.push(t_s, rr_ms)
        if self.after_s is None:
            # Windows before the first interval hold no data.
            n_before = int((rows["t_s"] <= t_s - rr_ms / 1000).sum())
            self._alarms.skip(n_before)
            rows = rows.iloc[n_before:]
        self.after_s = t_s
        return rows

    def _answer(self, lines: Iterable[Line]) -> list[Line]:
        """Number the lines of an answer, and keep them for a sender that reconnects."""
        self.before_n = self.n
        numbered = [{**line, "n": self.n + i} for i, line in enumerate(lines, start=1)]
        self.n += len(numbered)
        self._kept.extend(numbered)
        return numbered

    def _step_lines(self, rows: pd.DataFrame) -> Iterator[Line]:
        """Yield a line for each window, and one for each alarm that starts or ends."""
        if not len(rows):
            return
        probabilities = self._detector.probability(rows)
        reasons = explain_missing(rows, probabilities)
        for t_s, probability, reason in zip(rows["t_s"], probabilities, reasons, strict=True):
            score, alarm = self._alarms.push(float(probability))
            numbers = {"probability": _finite_or_none(probability), "score": _finite_or_none(score)}
            yield {"kind": "step", "t_s": t_s, **numbers, **({"reason": reason} if reason else {})}
            if alarm is not None:
                kind = "alarm" if alarm.end_s is None else "alarm_end"
                end = {} if alarm.end_s is None else {"end_s": alarm.end_s}
                yield {"kind": kind, "number": alarm.number, "onset_s": alarm.onset_s, **end}


def _parse_beat(text: str) -> tuple[float, float | None]:
    """Parse a line of input into its time and its interval, if it has one."""
    allowed = 'allowed is a line such as {"t_s": 12.4, "rr_ms": 812}, or {"t_s": 14} if no beat has come'
    try:
        beat = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise AuraError(f"this line is not JSON; {allowed}") from error
    if not isinstance(beat, dict) or "t_s" not in beat or not beat.keys() <= set(KEYS):
        raise AuraError(f"this line is not a beat; {allowed}")
    for key, value in beat.items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise AuraError(f"{key} is not a number; {allowed}")
    try:
        return float(beat["t_s"]), float(beat["rr_ms"]) if "rr_ms" in beat else None
    except OverflowError as error:
        raise AuraError(f"a number is too large; {allowed}") from error


def encode(lines: Iterable[Line]) -> bytes:
    """Encode lines as JSON, one per line, in UTF-8."""
    return "".join(json.dumps(line) + "\n" for line in lines).encode()


def _held_line(t_s: float, last_s: float) -> Line:
    """Return the line that reports a jump in time."""
    message = (
        f"t_s={t_s:g} is {t_s - last_s:g} s after {last_s:g}, the time of the last accepted line; it is held back "
        f"until {CONFIRMED_BY} consecutive lines after it confirm it"
    )
    return {"kind": "held", "t_s": t_s, "message": message}


def _refused_line(entry: Entry, t_s: float) -> Line:
    """Return the line that reports that a held line is discarded."""
    reason = f"the next line continues at {t_s:g}" if t_s < entry.t_s else "no line confirmed it"
    return {
        "kind": "refused",
        "t_s": entry.t_s,
        "message": f"t_s={entry.t_s:g} was held back and is discarded: {reason}",
    }


def _finite_or_none(value: float) -> float | None:
    """Return a number, or None for NaN, which JSON does not have."""
    return None if math.isnan(value) else float(value)
