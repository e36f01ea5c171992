"""Measure the latency of a served model, by length of the request, and of ``live``, per step.

``python -m benchmarks.serving`` (about ten minutes) needs the champion that ``make demo`` registers. It logs to
MLflow and writes docs/benchmarks/serving.md. ``requests=100`` makes a short run.
"""

import json
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import psutil

from aura.config.compose import compose
from aura.core.arrays import Floats
from aura.demo import serve_model
from benchmarks.measure import write_document

MODEL = "models:/aura-seizure-detector-synthetic@champion"
CLIENTS = 4
JSON, PARQUET = "application/json", "application/vnd.apache.parquet"
# Name, hours, content type, parameters, and number of requests after a first one that is not counted.
REQUESTS: tuple[tuple[str, float, str, dict[str, object], int], ...] = (
    ("1 row", 1.0 / 3600, JSON, {}, 500),
    ("1 min", 1.0 / 60, JSON, {}, 500),
    ("1 h", 1.0, JSON, {}, 100),
    ("24 h", 24.0, JSON, {}, 100),
    ("24 h, as Parquet", 24.0, PARQUET, {}, 100),
    ("24 h, in columns", 24.0, JSON, {"orient": "list"}, 100),
    ("24 h, in columns, a window per 2 s", 24.0, JSON, {"orient": "list", "step_s": 2}, 20),
    ("24 h, in columns, a window per 5 s", 24.0, JSON, {"orient": "list", "step_s": 5}, 20),
)
LIVE_HOURS = 1.0


def make_rr(hours: float) -> tuple[Floats, Floats]:
    """Make times in s and RR intervals in ms at about 75 bpm, rounded to 1 µs."""
    n = max(round(hours * 4500), 1)
    rng = np.random.default_rng(0)
    rr_ms = np.round(800 + 60 * np.sin(np.arange(n) / 9) + rng.normal(0, 25, n), 3)
    return np.round(np.cumsum(rr_ms) / 1000, 6), rr_ms


def make_body(hours: float, kind: str, params: Mapping[str, object]) -> bytes:
    """Make the body of a request; Parquet has no parameters."""
    t_s, rr_ms = make_rr(hours)
    if kind == PARQUET:
        return pd.DataFrame({"t_s": t_s, "rr_ms": rr_ms}).to_parquet()
    return json.dumps({"inputs": {"t_s": t_s.tolist(), "rr_ms": rr_ms.tolist()}, "params": params}).encode()


def send_request(url: str, data: bytes, kind: str) -> float:
    """Send a request, check its answer, and return the seconds until the answer is complete."""
    request = urllib.request.Request(url, data, {"Content-Type": kind})
    began = time.perf_counter()
    with urllib.request.urlopen(request, timeout=60) as answer:
        text = answer.read()
    seconds = time.perf_counter() - began
    assert text.startswith(b'{"predictions"')
    return seconds


def make_row(name: str, seconds: list[float]) -> dict[str, object]:
    """Make a row of a table."""
    p50, p99 = np.percentile(seconds, [50, 99]) * 1000
    return {"request": name, "requests": len(seconds), "p50 ms": f"{p50:.1f}", "p99 ms": f"{p99:.1f}"}


def measure_server_memory() -> float:
    """Return the memory of the server and its workers in MiB."""
    processes = psutil.Process().children(recursive=True)
    return sum(process.memory_info().rss for process in processes) / 2**20


def measure_latencies(url: str) -> Iterator[dict[str, object]]:
    """Send requests one at a time."""
    for name, hours, kind, params, n in REQUESTS:
        data = make_body(hours, kind, params)
        send_request(url, data, kind)
        seconds = [send_request(url, data, kind) for _ in range(n)]
        yield {**make_row(name, seconds), "requests/s": f"{n / sum(seconds):.1f}", "request KiB": len(data) // 1024}


def measure_endurance(url: str, n_requests: int) -> Iterator[dict[str, object]]:
    """Send requests from several clients at once, and measure the memory of the server before and after."""
    data, before = make_body(1.0 / 60, JSON, {}), measure_server_memory()
    with ThreadPoolExecutor(CLIENTS) as clients:
        began = time.perf_counter()
        seconds = list(clients.map(lambda _: send_request(url, data, JSON), range(n_requests)))
        wall_s = time.perf_counter() - began
    yield {
        **make_row(f"1 min, {CLIENTS} clients", seconds),
        "requests/s": f"{n_requests / wall_s:.1f}",
        "MiB before": f"{before:.0f}",
        "MiB after": f"{measure_server_memory():.0f}",
    }


def measure_steps(runtime: str, scratch: Path, state: bool) -> dict[str, object]:
    """Measure the time from writing a beat to `live` to reading the line of its step."""
    words = [f"model={MODEL}", f"serving.runtime={runtime}"]
    words += [f"state={scratch / f'{runtime}.json'}"] if state else []
    command = [sys.executable, "-m", "aura", "live", *words]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as live:
        assert live.stdin is not None
        assert live.stdout is not None
        live.stdout.readline()
        seconds, step_s = list[float](), compose().windows.step_s
        n_steps = 0
        for t_s, rr_ms in zip(*make_rr(LIVE_HOURS), strict=True):
            # Number of steps that end before this beat and have not been read.
            due = int(np.ceil(t_s / step_s)) - 1 - n_steps
            began = time.perf_counter()
            live.stdin.write(json.dumps({"t_s": t_s, "rr_ms": rr_ms}).encode() + b"\n")
            live.stdin.flush()
            for _ in range(due):
                while json.loads(live.stdout.readline())["kind"] != "step":
                    pass
            if due:
                seconds.append(time.perf_counter() - began)
            n_steps += due
        live.stdin.close()
        live.stdout.read()
    # The first minutes hold the first use of each family of features.
    return make_row(f"{runtime}{', with a state file' if state else ''}", seconds[300:])


def main(n_requests: int) -> None:
    """Run all measurements, print and log them, and write the document."""
    uri = compose().tracking.uri
    with serve_model(MODEL) as url:
        tables = {"One request at a time": pd.DataFrame(measure_latencies(url))}
        tables[f"{n_requests} requests"] = pd.DataFrame(measure_endurance(url, n_requests))
    with tempfile.TemporaryDirectory() as scratch:
        rows = [
            measure_steps(runtime, Path(scratch), state)
            for runtime, state in (("sklearn", False), ("onnx", False), ("onnx", True))
        ]
    tables["Live"] = pd.DataFrame(rows).rename(columns={"request": "step", "requests": "steps"})
    metrics = {f"p50_ms_{i}": float(row["p50 ms"]) for i, row in enumerate(tables["Live"].to_dict("records"))}
    write_document("serving", tables, metrics, uri)


if __name__ == "__main__":
    arguments = dict(word.split("=", 1) for word in sys.argv[1:])
    main(int(arguments.get("requests", 10_000)))
