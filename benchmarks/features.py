"""What features cost: by engine, family, length of window, step, and length of recording; and a corpus of TUH's size.

``python -m benchmarks.features`` (about 8 minutes, 4 GB of disk) logs it to MLflow, writes docs/benchmarks/features.md;
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
from benchmarks.measure import document, run

N_RECORDINGS, SECONDS = 5600, 690
# What is drawn of them; the rest are links.
N_DRAWN = 200
LENGTHS_S = {"time_domain": 10.0, "poincare": 60.0, "entropy": 60.0, "frequency_domain": 150.0}
FURTHER_S = {"robust": 60.0, "pnn": 60.0, "complexity": 60.0, "jeppesen": 150.0, "adaptive": 300.0}


def heart(hours: float) -> RRSeries:
    """A series with respiration, noise, and ectopic beats, of about 75 bpm."""
    rng = np.random.default_rng(0)
    n = int(hours * 3600 / 0.8)
    rr_ms = 800 + 60 * np.sin(np.arange(n) / 4) + rng.normal(0, 30, n)
    rr_ms[rng.integers(0, n, n // 200)] *= 0.6
    t_s = np.cumsum(rr_ms) / 1000
    return RRSeries(t_s, rr_ms, float(t_s[-1]))


def cpu_s_per_hour(rr: RRSeries, spec: FeatureSpec) -> float:
    """CPU seconds per hour of recording of the second call: the first one loads what is compiled."""
    from aura.features import extract_features

    extract_features(RRSeries(rr.t_s[:400].copy(), rr.rr_ms[:400].copy(), float(rr.t_s[400])), spec)
    began = process_time()
    extract_features(rr, spec)
    return (process_time() - began) / rr.duration_s * 3600


def specification(lengths_s: dict[str, float], **more: Any) -> FeatureSpec:
    """Features on windows of one length per family."""
    lengths = tuple((family, (length_s,)) for family, length_s in lengths_s.items())
    return FeatureSpec(lengths, pnn_ms=(10.0, 30.0), **more)


def engines() -> Iterator[dict[str, object]]:
    """Both engines on the original's windows."""
    day, half_hour = heart(24), heart(0.5)
    rows = [(name, {name: length_s}, "gap_aware") for name, length_s in LENGTHS_S.items()]
    rows += [("all 27, cleaned in each window", LENGTHS_S, "hrv_analysis"), ("all 27", LENGTHS_S, "gap_aware")]
    for what, lengths_s, cleaning in rows:
        compiled = cpu_s_per_hour(day, specification(lengths_s, cleaning=cleaning))
        slow = cpu_s_per_hour(half_hour, specification(lengths_s, cleaning=cleaning, engine="hrv_analysis"))
        windows = ", ".join(f"{length_s:g} s" for length_s in lengths_s.values())
        yield {
            "features": what,
            "windows": windows,
            "compiled, CPU s per hour": f"{compiled:.4f}",
            "hrv_analysis, CPU s per hour": f"{slow:.2f}",
            "times less": f"{slow / compiled:.0f}",
        }


def growth() -> Iterator[dict[str, object]]:
    """How the compiled engine grows with the length of the windows, and with the step."""
    day = heart(24)
    own_s = {**LENGTHS_S, **FURTHER_S}
    for name in own_s:
        row: dict[str, object] = {"CPU s per hour": name}
        for length_s in (10.0, 30.0, 60.0, 150.0, 300.0):
            allowed = length_s >= FAMILIES[name].min_length_s
            row[f"{length_s:g} s"] = f"{cpu_s_per_hour(day, specification({name: length_s})):.4f}" if allowed else "-"
        for step_s in (0.5, 5.0):
            spec = specification({name: own_s[name]}, step_s=step_s)
            row[f"its own, a window each {step_s:g} s"] = f"{cpu_s_per_hour(day, spec):.4f}"
        yield row


def lengths() -> Iterator[dict[str, object]]:
    """Recordings of a day and of three: cost and memory, in a process of their own."""
    code = (
        "import sys, time, psutil\nfrom pathlib import Path\nfrom benchmarks.features import *\n"
        "from aura.features import extract_features\n"
        "rr, spec = heart(float(sys.argv[1])), specification(LENGTHS_S)\n"
        "began = time.perf_counter()\nfirst = RRSeries(rr.t_s[:400].copy(), rr.rr_ms[:400].copy(), 330.0)\n"
        "extract_features(first, spec)\nfirst_s = time.perf_counter() - began\n"
        # Linux forgets the peak that loading the compiled code made.
        "Path('/proc/self/clear_refs').write_text('5')\n"
        "before = psutil.Process().memory_info().rss / 2**20\nbegan = time.process_time()\n"
        "table = extract_features(rr, spec)\ncpu_s = time.process_time() - began\n"
        "status = Path('/proc/self/status').read_text()\n"
        "after = int(status.partition('VmHWM:')[2].split()[0]) / 1024\n"
        "print(first_s, cpu_s, after - before, table.memory_usage().sum() / 2**20)"
    )
    for hours in (1, 24, 72):
        said = subprocess.run(
            [sys.executable, "-c", code, str(hours)], cwd=PROJECT, check=True, capture_output=True
        ).stdout
        first_s, cpu_s, grown_mib, table_mib = map(float, said.split())
        yield {
            "recording": f"{hours} h",
            "first call, compiled before": f"{first_s:.2f} s",
            "CPU s per hour": f"{cpu_s / hours:.4f}",
            "memory taken, MiB": f"{grown_mib:.0f}",
            "of that the table": f"{table_mib:.0f}",
        }


def corpus(scratch: Path) -> Iterator[dict[str, object]]:
    """As many recordings as TUH has, and as long: prepared and featurised."""
    words = ["dataset.synthesis.recording_minutes=11.5", "dataset.synthesis.hours_per_subject=1.15"]
    drawn, root, workspace = scratch / "drawn", scratch / "corpus", scratch / "workspace"
    subjects = N_DRAWN * SECONDS // 3600 * 10 // 11
    synthesize = [sys.executable, "-m", "aura", "synthesize", *words, f"dataset.synthesis.subjects={subjects}"]
    run([*synthesize, "dataset.synthesis.eeg_channels=19", f"dataset.root={drawn}"])
    edfs = sorted(drawn.rglob("*.edf"))
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
    """Measure, log, and write the document."""
    tables = {
        "Engines": pd.DataFrame(list(engines())),
        "Windows": pd.DataFrame(list(growth())),
        "Long recordings": pd.DataFrame(list(lengths())),
    }
    if with_corpus:
        with tempfile.TemporaryDirectory() as scratch:
            title = f"{N_RECORDINGS} recordings of {SECONDS} s"
            tables[title] = pd.DataFrame(list(corpus(Path(scratch))))
    times_less = float(tables["Engines"]["times less"].iloc[-1])
    document(
        "features",
        tables,
        {"times_less_cpu": times_less},
        os.environ.get("MLFLOW_TRACKING_URI") or compose().tracking.uri,
    )


if __name__ == "__main__":
    given = dict(word.split("=") for word in sys.argv[1:])
    main(given.get("corpus", "true") == "true")
