"""What a detector at work says of itself to Prometheus, which asks for it, where the environment names a port.

Of several workers of one server, the first has the port and gives the numbers of all: they keep them in files, which is
prometheus_client's own way for servers of several processes.

https://prometheus.github.io/client_python/multiprocess/
"""

import multiprocessing
import os
import sys
import tempfile
import time
from collections import Counter as Count
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from aura.core.errors import AuraError
from aura.core.provenance import ModelFolder
from aura.detection.detector import NO_BEATS, TOO_FEW
from aura.serving.pyfunc import Served
from aura.serving.requests import Refused

if TYPE_CHECKING:
    from prometheus_client import Metric

PORT = "AURA_METRICS_PORT"
# From a row to a week of them; MLflow cuts off after a minute.
BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
REASONS = {NO_BEATS: "no_beats", TOO_FEW: "too_few_beats"}
LARGEST_PORT = 65_535


class Meters:
    """Counts what is asked and answered, and gives the numbers at the port that the environment names.

    Parameters
    ----------
    about
        Labels that say which detector it is.
    """

    def __init__(self, about: Mapping[str, str]) -> None:
        siblings = _siblings()
        # Not before: it looks once, when it is imported, whether numbers are kept in files.
        import prometheus_client as client
        from prometheus_client.multiprocess import MultiProcessCollector

        client.disable_created_metrics()  # type: ignore[no-untyped-call]
        given = counted = client.CollectorRegistry()
        given.register(_About(about))
        if siblings:
            counted = client.CollectorRegistry()
            MultiProcessCollector(given)  # type: ignore[no-untyped-call]
        else:
            client.ProcessCollector(registry=given)

        def counter(name: str, what: str, *labels: str) -> client.Counter:
            return client.Counter(f"aura_{name}", what, labels, registry=counted)

        self._requests = counter("requests", "Requests, of live lines, by what became of them.", "outcome", "reason")
        self._windows = counter("windows", "Windows that were answered.")
        self._without = counter("windows_without_probability", "Windows that were answered without one.", "reason")
        self._recorded = counter("recorded_seconds", "Time of recordings that these windows step over.")
        self._alarms = counter("alarms", "Alarms that were raised; the served model raises none.")
        self._duration = client.Histogram(
            "aura_request_duration_seconds", "Time that an answer took.", buckets=BUCKETS_S, registry=counted
        )
        # There from the beginning, so that the first one is seen as a change.
        self._requests.labels("answered", "")
        for reason in REASONS.values():
            self._without.labels(reason)
        if os.environ.get(PORT):
            host, port = _address(os.environ[PORT])
            try:
                client.start_http_server(port, addr=host, registry=given)
            except OSError as error:
                whose = "; where another worker of this server has it, that one speaks for all" if siblings else ""
                print(f"aura: no metrics at {PORT}={port}: {error.strerror}{whose}", file=sys.stderr)

    @contextmanager
    def request(self) -> Iterator[None]:
        """Count a request by whether it is answered, refused or fails."""
        began_s = time.perf_counter()
        try:
            yield
        except Refused as refused:
            self._requests.labels("refused", refused.kind).inc()
            raise
        except AuraError:
            self._requests.labels("refused", "bad_line").inc()
            raise
        except BaseException as error:
            self._requests.labels("failed", type(error).__name__).inc()
            raise
        self._requests.labels("answered", "").inc()
        self._duration.observe(time.perf_counter() - began_s)

    def windows(self, reasons: Iterable[str | None], *, step_s: float) -> None:
        """Count windows by why they have no probability; None for those that have one."""
        found = Count(reasons)
        self._windows.inc(found.total())
        self._recorded.inc(found.total() * step_s)
        for reason, name in REASONS.items():
            self._without.labels(name).inc(found[reason])

    def alarm(self) -> None:
        """Count an alarm."""
        self._alarms.inc()


class Measured:
    """A served detector that counts what it answers."""

    def __init__(self, served: Served, meters: Meters) -> None:
        self._served, self._meters = served, meters

    def predict(
        self, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> list[dict[str, Any]] | dict[str, list[Any]]:
        """Answer as `aura.serving.pyfunc.Served.predict` does."""
        with self._meters.request():
            answer = self._served.predict(model_input, params)
        step_s = (params or {}).get("step_s") or self._served.detector.spec.step_s
        reasons = answer["reason"] if isinstance(answer, dict) else (row.get("reason") for row in answer)
        self._meters.windows(reasons, step_s=step_s)
        return answer


def about(data: Path) -> dict[str, str]:
    """What MLflow says of the model whose data are in a folder: its name and version, where it came from a registry."""
    found = ModelFolder.read(data.parents[1])
    return {"model": found.model, "version": found.version, "run_id": found.run_id}


class _About:
    """Says which detector it is, for all workers, as all have the same."""

    def __init__(self, labels: Mapping[str, str]) -> None:
        self._labels = labels

    def collect(self) -> "Iterator[Metric]":
        """Give the one metric."""
        from prometheus_client.metrics_core import InfoMetricFamily

        yield InfoMetricFamily("aura_model", "The detector.", value=dict(self._labels))


def _siblings() -> bool:
    """Whether this is one of several workers of a server; their numbers are then kept in files of one folder."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return False
    folder = Path(tempfile.gettempdir()) / f"aura-metrics-{os.getuid()}-{parent.pid}"
    folder.mkdir(mode=0o700, exist_ok=True)
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)
    return True


def _address(value: str) -> tuple[str, int]:
    """Host and port to listen at; a port alone is one that this machine alone can reach."""
    host, _, port = value.rpartition(":")
    if not port.isdigit() or int(port) > LARGEST_PORT:
        raise AuraError(f"{PORT}={value}; allowed is a port such as 9101, or HOST:PORT such as 0.0.0.0:9101")
    return host or "127.0.0.1", int(port)
