"""Telemetry of a detector for Prometheus, which scrapes it from the port that the environment names.

If a server has several workers, the first opens the port and reports the numbers of all. They share their numbers in
files, as prometheus_client does for servers of several processes:
https://prometheus.github.io/client_python/multiprocess/
"""

import multiprocessing
import os
import sys
import tempfile
import time
from collections import Counter
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
    from prometheus_client import CollectorRegistry, Metric

PORT = "AURA_METRICS_PORT"
# Durations from a request of one row to one of a week; MLflow aborts a request after a minute.
BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
REASONS = {NO_BEATS: "no_beats", TOO_FEW: "too_few_beats"}
MAX_PORT = 65_535


class Meters:
    """Count requests and answers, and report the counts at the port that the environment names.

    Parameters
    ----------
    labels
        Labels that identify the detector.
    """

    def __init__(self, labels: Mapping[str, str]) -> None:
        has_siblings = _share_with_siblings()
        # Imported only now: at import, prometheus_client decides whether numbers are kept in files.
        import prometheus_client as client
        from prometheus_client.multiprocess import MultiProcessCollector

        client.disable_created_metrics()  # type: ignore[no-untyped-call]
        reported = counted = client.CollectorRegistry()
        reported.register(_ModelInfo(labels))
        if has_siblings:
            counted = client.CollectorRegistry()
            MultiProcessCollector(reported)  # type: ignore[no-untyped-call]
        else:
            client.ProcessCollector(registry=reported)

        def counter(name: str, text: str, *labels: str) -> client.Counter:
            return client.Counter(f"aura_{name}", text, labels, registry=counted)

        self._requests = counter("requests", "Requests, or lines of live, by outcome.", "outcome", "reason")
        self._windows = counter("windows", "Windows answered.")
        self._without = counter("windows_without_probability", "Windows answered without a probability.", "reason")
        self._recorded = counter("recorded_seconds", "Recorded time that the answered windows cover.")
        self._alarms = counter("alarms", "Alarms raised; the served model raises none.")
        self._duration = client.Histogram(
            "aura_request_duration_seconds", "Time to answer a request.", buckets=BUCKETS_S, registry=counted
        )
        # Created at zero, so that the first count is seen as an increase.
        self._requests.labels("answered", "")
        for reason in REASONS.values():
            self._without.labels(reason)
        if os.environ.get(PORT):
            _open_port(os.environ[PORT], reported, has_siblings=has_siblings)

    @contextmanager
    def request(self) -> Iterator[None]:
        """Count a request as answered, refused or failed."""
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
        """Count windows by the reason for a missing probability; None for a window that has one."""
        counts = Counter(reasons)
        self._windows.inc(counts.total())
        self._recorded.inc(counts.total() * step_s)
        for reason, name in REASONS.items():
            self._without.labels(name).inc(counts[reason])

    def alarm(self) -> None:
        """Count an alarm."""
        self._alarms.inc()


class Measured:
    """A served detector that counts its requests and answers."""

    def __init__(self, served: Served, meters: Meters) -> None:
        self._served, self._meters = served, meters

    def predict(
        self, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> list[dict[str, Any]] | dict[str, list[Any]]:
        """Predict as `aura.serving.pyfunc.Served.predict` does."""
        with self._meters.request():
            answer = self._served.predict(model_input, params)
        step_s = (params or {}).get("step_s") or self._served.detector.spec.step_s
        reasons = answer["reason"] if isinstance(answer, dict) else (row.get("reason") for row in answer)
        self._meters.windows(reasons, step_s=step_s)
        return answer


def read_labels(data: Path) -> dict[str, str]:
    """Read name, version and run of the model whose data are in a folder; empty texts if it is not registered."""
    model = ModelFolder.read(data.parents[1])
    return {"model": model.model, "version": model.version, "run_id": model.run_id}


class _ModelInfo:
    """The metric that identifies the detector, once for all workers."""

    def __init__(self, labels: Mapping[str, str]) -> None:
        self._labels = labels

    def collect(self) -> "Iterator[Metric]":
        """Yield the metric."""
        from prometheus_client.metrics_core import InfoMetricFamily

        yield InfoMetricFamily("aura_model", "The detector.", value=dict(self._labels))


def _open_port(value: str, reported: "CollectorRegistry", *, has_siblings: bool) -> None:
    """Report metrics at a port; print a warning if it cannot be opened."""
    import prometheus_client as client

    host, port = _parse_address(value)
    try:
        client.start_http_server(port, addr=host, registry=reported)
    except OSError as error:
        owner = "; if another worker of this server has the port, it reports for all" if has_siblings else ""
        print(f"aura: no metrics at {PORT}={port}: {error.strerror}{owner}", file=sys.stderr)


def _share_with_siblings() -> bool:
    """Return whether this is one of several workers of a server; if so, have them share their numbers in a folder."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return False
    folder = Path(tempfile.gettempdir()) / f"aura-metrics-{os.getuid()}-{parent.pid}"
    folder.mkdir(mode=0o700, exist_ok=True)
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)
    return True


def _parse_address(value: str) -> tuple[str, int]:
    """Parse an address into host and port; a port alone is one that only this machine can reach."""
    host, _, port = value.rpartition(":")
    if not port.isdigit() or int(port) > MAX_PORT:
        raise AuraError(f"{PORT}={value}; allowed is a port such as 9101, or HOST:PORT such as 0.0.0.0:9101")
    return host or "127.0.0.1", int(port)
