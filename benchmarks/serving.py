"""What an answer costs: of a served model, by the length of what is asked, and live, a beat at a time.

``python -m benchmarks.serving`` (about ten minutes) asks the champion of the tracking database, so after ``make demo``;
it logs to MLflow, and writes docs/benchmarks/serving.md. ``requests=100`` is for a try.
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
from benchmarks.measure import document

MODEL = "models:/aura-seizure-detector-synthetic@champion"
CLIENTS = 4
JSON, PARQUET = "application/json", "application/vnd.apache.parquet"
# Hours, how they are sent, what is asked for beside, and how often; once more before.
REQUESTS: tuple[tuple[str, float, str, dict[str, object], int], ...] = (
    ("1 row", 1.0 / 3600, JSON, {}, 500),
    ("1 min", 1.0 / 60, JSON, {}, 500),
    ("1 h", 1.0, JSON, {}, 100),
    ("24 h", 24.0, JSON, {}, 100),
    ("24 h, as Parquet", 24.0, PARQUET, {}, 100),
    ("24 h, in columns", 24.0, JSON, {"orient": "list"}, 100),
    ("24 h, in columns, a window each 2 s", 24.0, JSON, {"orient": "list", "step_s": 2}, 20),
    ("24 h, in columns, a window each 5 s", 24.0, JSON, {"orient": "list", "step_s": 5}, 20),
)
LIVE_HOURS = 1.0


def heart(hours: float) -> tuple[Floats, Floats]:
    """Times and RR intervals of a made-up heart at about 75 beats a minute, to the microsecond."""
    n = max(round(hours * 4500), 1)
    rng = np.random.default_rng(0)
    rr_ms = np.round(800 + 60 * np.sin(np.arange(n) / 9) + rng.normal(0, 25, n), 3)
    return np.round(np.cumsum(rr_ms) / 1000, 6), rr_ms


def body(hours: float, kind: str, params: Mapping[str, object]) -> bytes:
    """A request; Parquet has no parameters."""
    t_s, rr_ms = heart(hours)
    if kind == PARQUET:
        return pd.DataFrame({"t_s": t_s, "rr_ms": rr_ms}).to_parquet()
    return json.dumps({"inputs": {"t_s": t_s.tolist(), "rr_ms": rr_ms.tolist()}, "params": params}).encode()


def ask(url: str, data: bytes, kind: str) -> float:
    """Seconds until the whole answer is here; it has to be one."""
    request = urllib.request.Request(url, data, {"Content-Type": kind})
    began = time.perf_counter()
    with urllib.request.urlopen(request, timeout=60) as answer:
        text = answer.read()
    seconds = time.perf_counter() - began
    assert text.startswith(b'{"predictions"')
    return seconds


def percentiles(what: str, seconds: list[float]) -> dict[str, object]:
    """A row of a table."""
    p50, p99 = np.percentile(seconds, [50, 99]) * 1000
    return {"what": what, "requests": len(seconds), "p50 ms": f"{p50:.1f}", "p99 ms": f"{p99:.1f}"}


def server_mib() -> float:
    """Memory of the server and its workers."""
    processes = psutil.Process().children(recursive=True)
    return sum(process.memory_info().rss for process in processes) / 2**20


def latencies(url: str) -> Iterator[dict[str, object]]:
    """One request after the other."""
    for what, hours, kind, params, n in REQUESTS:
        data = body(hours, kind, params)
        ask(url, data, kind)
        seconds = [ask(url, data, kind) for _ in range(n)]
        yield {**percentiles(what, seconds), "requests/s": f"{n / sum(seconds):.1f}", "request KiB": len(data) // 1024}


def endurance(url: str, n_requests: int) -> Iterator[dict[str, object]]:
    """Several clients at once, and what the server needs of memory before and after."""
    data, before = body(1.0 / 60, JSON, {}), server_mib()
    with ThreadPoolExecutor(CLIENTS) as clients:
        began = time.perf_counter()
        seconds = list(clients.map(lambda _: ask(url, data, JSON), range(n_requests)))
        wall_s = time.perf_counter() - began
    yield {
        **percentiles(f"1 min, {CLIENTS} clients", seconds),
        "requests/s": f"{n_requests / wall_s:.1f}",
        "MiB before": f"{before:.0f}",
        "MiB after": f"{server_mib():.0f}",
    }


def steps(runtime: str, scratch: Path, state: bool) -> dict[str, object]:
    """A beat written to a live detector, until the line of its step is read."""
    words = [f"model={MODEL}", f"serving.runtime={runtime}"]
    words += [f"state={scratch / f'{runtime}.json'}"] if state else []
    command = [sys.executable, "-m", "aura", "live", *words]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as live:
        assert live.stdin is not None
        assert live.stdout is not None
        live.stdout.readline()
        seconds, step_s = list[float](), compose().windows.step_s
        n_steps = 0
        for t_s, rr_ms in zip(*heart(LIVE_HOURS), strict=True):
            # The steps that end before this beat and were not given yet.
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
    return percentiles(f"a step, {runtime}{', with a state file' if state else ''}", seconds[300:])


def main(n_requests: int) -> None:
    """Measure, print, log, and document."""
    uri = compose().tracking.uri
    with serve_model(MODEL) as url:
        tables = {"One request after the other": pd.DataFrame(latencies(url))}
        tables[f"{n_requests} requests"] = pd.DataFrame(endurance(url, n_requests))
    with tempfile.TemporaryDirectory() as scratch:
        rows = [
            steps(runtime, Path(scratch), state)
            for runtime, state in (("sklearn", False), ("onnx", False), ("onnx", True))
        ]
    tables["Live"] = pd.DataFrame(rows).rename(columns={"requests": "steps"})
    metrics = {f"p50_ms_{i}": float(row["p50 ms"]) for i, row in enumerate(tables["Live"].to_dict("records"))}
    document("serving", tables, metrics, uri)


if __name__ == "__main__":
    given = dict(word.split("=", 1) for word in sys.argv[1:])
    main(int(given.get("requests", 10_000)))
