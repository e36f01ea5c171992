"""Measure features: by engine, family, window length, step and length of recording; and on a corpus of TUH's size.

``python -m benchmarks.features`` (about 8 minutes, 4 GB of disk) logs to MLflow and writes docs/benchmarks/features.md;
with ``corpus=false`` it takes a minute.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from itertools import cycle, islice
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
import pandas as pd

from aura.config.compose import compose
from aura.core.paths import PROJECT
from aura.core.series import RRSeries
from aura.features import FeatureSpec
from aura.features.families import FAMILIES
from benchmarks.measure import run, write_document

N_RECORDINGS, SECONDS = 5600, 690
# Number of recordings that are synthesized; the others are links to them.
N_SYNTHETIC = 200
LENGTHS_S = {"time_domain": 10.0, "poincare": 60.0, "entropy": 60.0, "frequency_domain": 150.0}
FURTHER_S = {"robust": 60.0, "pnn": 60.0, "complexity": 60.0, "jeppesen": 150.0, "adaptive": 300.0}


def make_series(hours: float) -> RRSeries:
    """Make a series at about 75 bpm with respiration, noise and ectopic beats."""
    rng = np.random.default_rng(0)
    n = int(hours * 3600 / 0.8)
    rr_ms = 800 + 60 * np.sin(np.arange(n) / 4) + rng.normal(0, 30, n)
    rr_ms[rng.integers(0, n, n // 200)] *= 0.6
    t_s = np.cumsum(rr_ms) / 1000
    return RRSeries(t_s, rr_ms, float(t_s[-1]))


def measure_cpu(rr: RRSeries, spec: FeatureSpec) -> float:
    """Return CPU seconds per hour of recording of the second call; the first call loads compiled code."""
    from aura.features import extract_features

    extract_features(RRSeries(rr.t_s[:400].copy(), rr.rr_ms[:400].copy(), float(rr.t_s[400])), spec)
    began = process_time()
    extract_features(rr, spec)
    return (process_time() - began) / rr.duration_s * 3600


def make_spec(lengths_s: dict[str, float], **more: Any) -> FeatureSpec:
    """Make a specification with one window length per family."""
    lengths = tuple((family, (length_s,)) for family, length_s in lengths_s.items())
    return FeatureSpec(lengths, pnn_ms=(10.0, 30.0), **more)


def compare_engines() -> Iterator[dict[str, object]]:
    """Compare both engines on the windows of the original system."""
    day, half_hour = make_series(24), make_series(0.5)
    rows = [(name, {name: length_s}, "gap_aware") for name, length_s in LENGTHS_S.items()]
    rows += [("all 27, cleaned in each window", LENGTHS_S, "hrv_analysis"), ("all 27", LENGTHS_S, "gap_aware")]
    for name, lengths_s, cleaning in rows:
        compiled = measure_cpu(day, make_spec(lengths_s, cleaning=cleaning))
        slow = measure_cpu(half_hour, make_spec(lengths_s, cleaning=cleaning, engine="hrv_analysis"))
        windows = ", ".join(f"{length_s:g} s" for length_s in lengths_s.values())
        yield {
            "features": name,
            "windows": windows,
            "compiled, CPU s per hour": f"{compiled:.4f}",
            "hrv_analysis, CPU s per hour": f"{slow:.2f}",
            "ratio": f"{slow / compiled:.0f}",
        }


def measure_windows() -> Iterator[dict[str, object]]:
    """Measure the compiled engine by window length and step."""
    day = make_series(24)
    default_s = {**LENGTHS_S, **FURTHER_S}
    for name in default_s:
        row: dict[str, object] = {"family, CPU s per hour": name}
        for length_s in (10.0, 30.0, 60.0, 150.0, 300.0):
            allowed = length_s >= FAMILIES[name].min_length_s
            row[f"{length_s:g} s"] = f"{measure_cpu(day, make_spec({name: length_s})):.4f}" if allowed else "-"
        for step_s in (0.5, 5.0):
            spec = make_spec({name: default_s[name]}, step_s=step_s)
            row[f"default length, step {step_s:g} s"] = f"{measure_cpu(day, spec):.4f}"
        yield row


def measure_long_recordings() -> Iterator[dict[str, object]]:
    """Measure CPU time and memory of an hour, a day and three days, each in a new process."""
    code = (
        "import sys, time, psutil\nfrom pathlib import Path\nfrom benchmarks.features import *\n"
        "from aura.features import extract_features\n"
        "rr, spec = make_series(float(sys.argv[1])), make_spec(LENGTHS_S)\n"
        "began = time.perf_counter()\nfirst = RRSeries(rr.t_s[:400].copy(), rr.rr_ms[:400].copy(), 330.0)\n"
        "extract_features(first, spec)\nfirst_s = time.perf_counter() - began\n"
        # Reset the peak, which loading the compiled code has raised.
        "Path('/proc/self/clear_refs').write_text('5')\n"
        "before = psutil.Process().memory_info().rss / 2**20\nbegan = time.process_time()\n"
        "table = extract_features(rr, spec)\ncpu_s = time.process_time() - began\n"
        "status = Path('/proc/self/status').read_text()\n"
        "after = int(status.partition('VmHWM:')[2].split()[0]) / 1024\n"
        "print(first_s, cpu_s, after - before, table.memory_usage().sum() / 2**20)"
    )
    for hours in (1, 24, 72):
        output = subprocess.run(
            [sys.executable, "-c", code, str(hours)], cwd=PROJECT, check=True, capture_output=True
        ).stdout
        first_s, cpu_s, grown_mib, table_mib = map(float, output.split())
        yield {
            "recording": f"{hours} h",
            "first call, from the compile cache": f"{first_s:.2f} s",
            "CPU s per hour": f"{cpu_s / hours:.4f}",
            "added memory, MiB": f"{grown_mib:.0f}",
            "of which the table": f"{table_mib:.0f}",
        }


def measure_corpus(scratch: Path) -> Iterator[dict[str, object]]:
    """Prepare and featurize a corpus with as many recordings as TUSZ, each of the average length."""
    words = ["dataset.synthesis.recording_minutes=11.5", "dataset.synthesis.hours_per_subject=1.15"]
    synthetic, root, workspace = scratch / "synthetic", scratch / "corpus", scratch / "workspace"
    subjects = N_SYNTHETIC * SECONDS // 3600 * 10 // 11
    synthesize = [sys.executable, "-m", "aura", "synthesize", *words, f"dataset.synthesis.subjects={subjects}"]
    run([*synthesize, "dataset.synthesis.eeg_channels=19", f"dataset.root={synthetic}"])
    edfs = sorted(synthetic.rglob("*.edf"))
    for i, edf in enumerate(islice(cycle(edfs), N_RECORDINGS)):
        session = root / f"subject{i // 8:05d}" / "s1"
        session.mkdir(parents=True, exist_ok=True)
        for suffix in (".edf", ".tse_bi"):
            (session / f"recording{i:05d}{suffix}").hardlink_to(edf.with_suffix(suffix))
    hours = N_RECORDINGS * SECONDS / 3600
    env = {"MLFLOW_TRACKING_URI": f"sqlite:///{scratch / 'mlflow.db'}"}
    for workers in (1, 2):
        for stage in ("prepare", "featurize"):
            command = [
                sys.executable,
                "-m",
                "aura",
                stage,
                "dataset=any",
                "features=original",
                f"dataset.root={root}",
                f"workspace={workspace}",
            ]
            cost = run([*command, f"compute.workers={workers}"], env)
            kind = {"prepare": "prepared-*/rr", "featurize": "features-*/windows"}[stage]
            n_bytes = sum(path.stat().st_size for path in workspace.glob(f"any/{kind}/*"))
            yield {
                "stage": stage,
                "workers": str(workers),
                "minutes": f"{cost.wall_s / 60:.1f}",
                "CPU s": f"{cost.cpu_s:.0f}",
                "CPU s per hour": f"{cost.cpu_s / hours:.3f}",
                "peak MiB of a process": f"{cost.peak_mib:.0f}",
                "MB written": f"{n_bytes / 1e6:.0f}",
            }
        shutil.rmtree(workspace)


def main(with_corpus: bool) -> None:
    """Run all measurements, log them, and write the document."""
    tables = {
        "Engines": pd.DataFrame(list(compare_engines())),
        "Windows": pd.DataFrame(list(measure_windows())),
        "Long recordings": pd.DataFrame(list(measure_long_recordings())),
    }
    if with_corpus:
        with tempfile.TemporaryDirectory() as scratch:
            title = f"{N_RECORDINGS} recordings of {SECONDS} s"
            tables[title] = pd.DataFrame(list(measure_corpus(Path(scratch))))
    ratio = float(tables["Engines"]["ratio"].iloc[-1])
    write_document(
        "features",
        tables,
        {"times_less_cpu": ratio},
        os.environ.get("MLFLOW_TRACKING_URI") or compose().tracking.uri,
    )


if __name__ == "__main__":
    arguments = dict(word.split("=") for word in sys.argv[1:])
    main(arguments.get("corpus", "true") == "true")
