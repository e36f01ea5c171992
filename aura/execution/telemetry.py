"""What the stages say of themselves to a Prometheus push gateway, where the environment names one.

A stage pushes a group each time its state changes, and each 15 s while it runs, so that the queue of a long one can be
seen, and that one that was killed falls silent. The key of a group is the stage, the corpus, the share, the process and
the state: shares and processes that work at the same time do not overwrite each other, and a failure leaves the numbers
of the last success as they were. What a push makes untrue is deleted.

https://prometheus.io/docs/practices/pushing/
"""

import os
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING

import psutil

from aura.execution.pushgateway import ADDRESS, FAILED, RUNNING, STOPPED, SUCCEEDED, TIMEOUT_S, Gateway

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

    from aura.config.schema import Config

# As often as Prometheus asks the gateway.
PUSH_EVERY_S = 15.0
SAMPLE_EVERY_S = 1.0

Stage = Callable[["Config"], None]


def measured(stage: str, *, has_corpus: bool = True) -> Callable[[Stage], Stage]:
    """Have a stage push what it does, also where another stage calls it.

    Parameters
    ----------
    stage
        Its name.
    has_corpus
        Whether it works on the corpus of the configuration, whose name then is a label of the metrics.
    """

    def decorate(run: Stage) -> Stage:
        @wraps(run)
        def watched(config: "Config") -> None:
            url = os.environ.get(ADDRESS)
            if not url:
                run(config)
                return
            key = {"job": f"aura_{stage}", "instance": f"{socket.gethostname()}:{os.getpid()}"}
            if has_corpus:
                key["dataset"] = config.dataset.name
            if config.partition is not None:
                key["partition"] = config.partition
            # A stage within another one says no second time that the gateway is away.
            gateway = _stages[0].gateway if _stages else Gateway(url)
            with _Watch(stage, key, gateway).on():
                run(config)

        return watched

    return decorate


def count(
    *,
    recordings: int,
    failures: Iterable[str] = (),
    recorded_s: float | None = None,
    windows: int | None = None,
    alarms: int | None = None,
) -> None:
    """Say what the stage at work has done.

    Parameters
    ----------
    recordings
        That were done, now or before.
    failures
        Reason of each that failed.
    recorded_s
        Length of those that were done, together.
    windows, alarms
        Of these, where the stage has any.
    """
    if _stages:
        _stages[-1].counts = _Counts(recordings, Counter(failures), recorded_s, windows, alarms)


@contextmanager
def queue(waiting: Callable[[], int]) -> Iterator[None]:
    """Let the stage at work say how many items are not done yet.

    Parameters
    ----------
    waiting
        Counts them; it is called from another thread.
    """
    if not _stages:
        yield
        return
    stage = _stages[-1]
    stage.waiting = waiting
    try:
        yield
    finally:
        stage.waiting = None


@dataclass(frozen=True, slots=True)
class Usage:
    """What this process and all below it have used up to now; None where the system does not tell."""

    cpu_s: float
    read_bytes: int | None
    written_bytes: int | None
    # At this moment; what processes share counts in each.
    memory_bytes: int


def usage() -> Usage:
    """Ask the system; what has ended counts as well, since Linux adds it to who waited for it."""
    cpu_s, memory_bytes = 0.0, 0
    moved: tuple[int, int] | None = (0, 0)
    me = psutil.Process()
    for process in (me, *me.children(recursive=True)):
        try:
            times, memory = process.cpu_times(), process.memory_info()
        except psutil.Error:
            # It has ended meanwhile.
            continue
        cpu_s += times.user + times.system + times.children_user + times.children_system
        memory_bytes += memory.rss
        moved = _added(moved, process)
    return Usage(cpu_s, moved and moved[0], moved and moved[1], memory_bytes)


def _added(moved: tuple[int, int] | None, process: psutil.Process) -> tuple[int, int] | None:
    """Bytes from and to disks with those of one more process."""
    # macOS has none of these, and a container may not be let see them.
    if moved is None or not hasattr(process, "io_counters"):
        return None
    try:
        counters = process.io_counters()
    except psutil.NoSuchProcess:
        return moved
    except psutil.AccessDenied:
        return None
    return moved[0] + counters.read_bytes, moved[1] + counters.write_bytes


@dataclass(frozen=True, slots=True)
class _Counts:
    """What a stage says that it has done."""

    recordings: int
    failures: Counter[str]
    recorded_s: float | None
    windows: int | None
    alarms: int | None


class _Watch:
    """A stage at work."""

    def __init__(self, stage: str, key: Mapping[str, str], gateway: Gateway) -> None:
        self.gateway = gateway
        self.counts: _Counts | None = None
        self.waiting: Callable[[], int] | None = None
        self._stage, self._key = stage, key
        self._began_s, self._clock_s = time.time(), time.monotonic()
        self._before = usage()
        self._peak_bytes = self._before.memory_bytes
        self._over = threading.Event()

    @contextmanager
    def on(self) -> Iterator[None]:
        """Push that the stage runs, and how it ended."""
        _stages.append(self)
        thread = threading.Thread(target=self._beat, daemon=True)
        thread.start()
        state, error = FAILED, ""
        try:
            yield
            state = SUCCEEDED
        except KeyboardInterrupt:
            state = STOPPED
            raise
        except BaseException as raised:
            error = type(raised).__name__
            raise
        finally:
            _stages.remove(self)
            self._over.set()
            # Or it could push after us that the stage runs.
            thread.join(TIMEOUT_S)
            if self._push(state, error):
                self.gateway.tidy({**self._key, "state": state}, self._began_s)

    def _beat(self) -> None:
        """Look at the memory each second, and push now and then."""
        pushed_s = -PUSH_EVERY_S
        while True:
            self._peak_bytes = max(self._peak_bytes, usage().memory_bytes)
            elapsed_s = time.monotonic() - self._clock_s
            if elapsed_s - pushed_s >= PUSH_EVERY_S:
                self._push(RUNNING)
                pushed_s = elapsed_s
            if self._over.wait(SAMPLE_EVERY_S):
                return

    def _push(self, state: str, error: str = "") -> bool:
        return self.gateway.push(self._registry(state, error), {**self._key, "state": state})

    def _registry(self, state: str, error: str) -> "CollectorRegistry":
        """What there is to say, in base units; what nobody knows is left out."""
        from prometheus_client import CollectorRegistry, Gauge

        registry = CollectorRegistry()

        def say(name: str, what: str, values: Mapping[tuple[str, ...], float | None], *labels: str) -> None:
            known = {key: value for key, value in values.items() if value is not None}
            if known:
                gauge = Gauge(f"aura_stage_{name}", what, ["stage", *labels], registry=registry)
                for key, value in known.items():
                    gauge.labels(self._stage, *key).set(value)

        now = usage()
        elapsed_s = time.monotonic() - self._clock_s
        peak_bytes = max(self._peak_bytes, now.memory_bytes)
        say("start_timestamp_seconds", "When the stage began.", {(): self._began_s})
        say("duration_seconds", "Time from its beginning to its end, or until now.", {(): elapsed_s})
        say("cpu_seconds", "Processor time of all its processes.", {(): now.cpu_s - self._before.cpu_s})
        say("read_bytes", "Read from disks by all its processes.", {(): _less(now.read_bytes, self._before.read_bytes)})
        written_bytes = _less(now.written_bytes, self._before.written_bytes)
        say("written_bytes", "Written to disks by all its processes.", {(): written_bytes})
        say("memory_peak_bytes", "Highest memory of all its processes, looked at each second.", {(): peak_bytes})
        waiting = self.waiting
        if state == RUNNING:
            say("items_waiting", "Items that are not done yet.", {(): waiting() if waiting else None})
        else:
            say("end_timestamp_seconds", "When the stage ended.", {(): self._began_s + elapsed_s})
        if state == FAILED:
            say("failure_info", "Kind of the error that it ended with.", {(error,): 1}, "error")
        if self.counts is not None:
            became: dict[tuple[str, ...], float] = {("done", ""): self.counts.recordings}
            became |= {("failed", reason): n for reason, n in self.counts.failures.items()}
            say("recordings", "Recordings by what became of them.", became, "outcome", "reason")
            say("recorded_seconds", "Length of these recordings.", {(): self.counts.recorded_s})
            say("windows", "Windows of these recordings.", {(): self.counts.windows})
            say("alarms", "Alarms raised in these recordings.", {(): self.counts.alarms})
        return registry


def _less(after: int | None, before: int | None) -> int | None:
    return None if after is None or before is None else after - before


# The stages at work, each within the one before it.
_stages: list[_Watch] = []
