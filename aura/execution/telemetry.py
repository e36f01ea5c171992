"""Metrics of the stages, pushed to a Prometheus push gateway if the environment names one.

A stage pushes a group when it starts, every 15 s while it runs, and when it ends. A killed stage stops pushing, which
an alert notices. The key of a group is the stage, the corpus, the share, the process and the state: shares and
processes that run at the same time do not overwrite each other, and a failure leaves the numbers of the last success.
When a stage ends, outdated groups are deleted.

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
from typing import TYPE_CHECKING

import psutil

from aura.execution.pushgateway import ADDRESS, FAILED, RUNNING, STOPPED, SUCCEEDED, TIMEOUT_S, Gateway

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry
# The interval at which Prometheus scrapes the gateway.
PUSH_EVERY_S = 15.0
SAMPLE_EVERY_S = 1.0


@contextmanager
def watch(stage: str, *, dataset: str | None = None, partition: str | None = None) -> Iterator[None]:
    """Push the metrics of a stage while it runs; do nothing unless the environment names a push gateway.

    Parameters
    ----------
    stage
        Name of the stage.
    dataset, partition
        Name of the corpus that the stage works on, and its share of the recordings; labels of the metrics.
    """
    url = os.environ.get(ADDRESS)
    if not url:
        yield
        return
    key = {"job": f"aura_{stage}", "instance": f"{socket.gethostname()}:{os.getpid()}"}
    if dataset is not None:
        key["dataset"] = dataset
    if partition is not None:
        key["partition"] = partition
    # Nested stages share a gateway, so that its warning is printed once.
    gateway = _stages[0].gateway if _stages else Gateway(url)
    with _Watch(stage, key, gateway).running():
        yield


def count(
    *,
    recordings: int,
    failures: Iterable[str] = (),
    recorded_s: float | None = None,
    windows: int | None = None,
    alarms: int | None = None,
) -> None:
    """Set the counts of the running stage.

    Parameters
    ----------
    recordings
        Recordings that succeeded, in this run or before.
    failures
        Reason of each recording that failed.
    recorded_s
        Total length of the recordings that succeeded.
    windows, alarms
        Windows and alarms of these recordings, if the stage makes any.
    """
    if _stages:
        _stages[-1].counts = _Counts(recordings, Counter(failures), recorded_s, windows, alarms)


@contextmanager
def queue(waiting: Callable[[], int]) -> Iterator[None]:
    """Push the number of waiting items of the running stage.

    Parameters
    ----------
    waiting
        Returns the number; called from another thread.
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
    """Resources that this process and its children have used so far; None if the system does not report them."""

    cpu_s: float
    read_bytes: int | None
    written_bytes: int | None
    # Current memory; memory that processes share is counted in each.
    memory_bytes: int


def usage() -> Usage:
    """Measure; includes finished children, whose usage Linux adds to the parent that waited for them."""
    cpu_s, memory_bytes = 0.0, 0
    moved: tuple[int, int] | None = (0, 0)
    me = psutil.Process()
    for process in (me, *me.children(recursive=True)):
        try:
            times, memory = process.cpu_times(), process.memory_info()
        except psutil.Error:
            # The process has ended meanwhile.
            continue
        cpu_s += times.user + times.system + times.children_user + times.children_system
        memory_bytes += memory.rss
        moved = _add_io(moved, process)
    return Usage(cpu_s, moved and moved[0], moved and moved[1], memory_bytes)


def _add_io(moved: tuple[int, int] | None, process: psutil.Process) -> tuple[int, int] | None:
    """Add the bytes that a process read from and wrote to disks."""
    # macOS has no such counters, and a container may not be allowed to read them.
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
    """Counts that a stage has set."""

    recordings: int
    failures: Counter[str]
    recorded_s: float | None
    windows: int | None
    alarms: int | None


class _Watch:
    """A running stage."""

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
    def running(self) -> Iterator[None]:
        """Push metrics while the stage runs, and its end state."""
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
            # Otherwise the thread could push the state running after the end state.
            thread.join(TIMEOUT_S)
            if self._push(state, error):
                self.gateway.delete_outdated({**self._key, "state": state}, self._began_s)

    def _beat(self) -> None:
        """Sample the memory every second, and push every `PUSH_EVERY_S`."""
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
        """Collect the metrics in base units; unknown values are left out."""
        from prometheus_client import CollectorRegistry, Gauge

        registry = CollectorRegistry()

        def add(name: str, help_text: str, values: Mapping[tuple[str, ...], float | None], *labels: str) -> None:
            known = {key: value for key, value in values.items() if value is not None}
            if known:
                gauge = Gauge(f"aura_stage_{name}", help_text, ["stage", *labels], registry=registry)
                for key, value in known.items():
                    gauge.labels(self._stage, *key).set(value)

        now = usage()
        elapsed_s = time.monotonic() - self._clock_s
        peak_bytes = max(self._peak_bytes, now.memory_bytes)
        add("start_timestamp_seconds", "Time at which the stage started.", {(): self._began_s})
        add("duration_seconds", "Duration of the stage, until now if it is running.", {(): elapsed_s})
        add("cpu_seconds", "Processor time of all processes of the stage.", {(): now.cpu_s - self._before.cpu_s})
        read_bytes = _difference(now.read_bytes, self._before.read_bytes)
        add("read_bytes", "Bytes read from disks by all processes of the stage.", {(): read_bytes})
        written_bytes = _difference(now.written_bytes, self._before.written_bytes)
        add("written_bytes", "Bytes written to disks by all processes of the stage.", {(): written_bytes})
        add("memory_peak_bytes", "Highest total memory of all processes, sampled every second.", {(): peak_bytes})
        waiting = self.waiting
        if state == RUNNING:
            add("items_waiting", "Items that are waiting.", {(): waiting() if waiting else None})
        else:
            add("end_timestamp_seconds", "Time at which the stage ended.", {(): self._began_s + elapsed_s})
        if state == FAILED:
            add("failure_info", "Type of the error that ended the stage.", {(error,): 1}, "error")
        if self.counts is not None:
            outcomes: dict[tuple[str, ...], float] = {("done", ""): self.counts.recordings}
            outcomes |= {("failed", reason): n for reason, n in self.counts.failures.items()}
            add("recordings", "Recordings by outcome.", outcomes, "outcome", "reason")
            add("recorded_seconds", "Total length of these recordings.", {(): self.counts.recorded_s})
            add("windows", "Windows of these recordings.", {(): self.counts.windows})
            add("alarms", "Alarms raised in these recordings.", {(): self.counts.alarms})
        return registry


def _difference(after: int | None, before: int | None) -> int | None:
    return None if after is None or before is None else after - before


# The running stages, outermost first.
_stages: list[_Watch] = []
