"""Measure ``prepare`` per hour of recording: by size of the corpus, workers, beat detectors, readers, length of a file.

``python -m benchmarks.prepare`` (about 6 minutes, 8 GB of disk) logs to MLflow and writes docs/benchmarks/prepare.md;
with ``hours=10 large=false`` it takes two minutes.
"""

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from datetime import datetime
from itertools import cycle, islice
from pathlib import Path

import numpy as np
import pandas as pd

from aura.config.compose import compose
from benchmarks.measure import Cost, run, write_document

MINUTES = 12
# Hours that are synthesized. Larger corpora are links to these files, so that they fit on the disk and in its cache.
SYNTHETIC_HOURS = 10
READERS = {
    "Aura": (
        "from aura.formats.edf import read_ecgs\nfor path in paths:\n ecg = next(read_ecgs(path, ['*EKG*']))\n"
        " ecg.mv(0, len(ecg.digital))"
    ),
    "edfio, lazy": (
        "import edfio\nfor path in paths:\n edf = edfio.read_edf(path, lazy_load_data=True)\n"
        " next(s for s in edf.signals if 'EKG' in s.label).data"
    ),
    "pyedflib": (
        "import pyedflib\nfor path in paths:\n with pyedflib.EdfReader(str(path)) as edf:\n"
        "  edf.readSignal(next(i for i, label in enumerate(edf.getSignalLabels()) if 'EKG' in label))"
    ),
    "memory map": (
        "import numpy as np\nfrom aura.formats.edf import read_header\nfor path in paths:\n"
        " with open(path, 'rb', buffering=0) as file: header = read_header(file)\n"
        " i = next(i for i, label in enumerate(header.labels) if 'EKG' in label)\n"
        " at = sum(header.samples[:i])\n"
        " data = np.memmap(path, '<i2', 'r', header.data_at, (header.n_records, header.record_bytes // 2))\n"
        " data[:, at : at + header.samples[i]].astype(float) * 0.1"
    ),
}


def synthesize(root: Path) -> None:
    """Make a synthetic corpus with the 22 channels of TUSZ, in recordings of about the same length."""
    words = [f"dataset.synthesis.recording_minutes={MINUTES}", "dataset.synthesis.subjects=10", f"dataset.root={root}"]
    run(
        [
            sys.executable,
            "-m",
            "aura",
            "synthesize",
            *words,
            f"dataset.synthesis.hours_per_subject={SYNTHETIC_HOURS / 10}",
        ]
    )


def link_corpus(synthetic: Path, root: Path, hours: float) -> None:
    """Make a corpus of the given length from links to the synthetic recordings."""
    edfs = sorted(synthetic.rglob("*.edf"))
    for i, edf in enumerate(islice(cycle(edfs), round(hours * 60 / MINUTES))):
        session = root / f"subject{i // 5:05d}" / "s1"
        session.mkdir(parents=True, exist_ok=True)
        for suffix in (".edf", ".tse_bi"):
            (session / f"recording{i:05d}{suffix}").hardlink_to(edf.with_suffix(suffix))


def prepare(root: Path, scratch: Path, *words: str) -> Cost:
    """Run the stage in a new process and workspace, and return its cost."""
    workspace = Path(tempfile.mkdtemp(dir=scratch))
    env = {"MLFLOW_TRACKING_URI": f"sqlite:///{scratch / 'mlflow.db'}"}
    command = [sys.executable, "-m", "aura", "prepare", "dataset=any", f"dataset.root={root}", f"workspace={workspace}"]
    cost = run([*command, *words], env)
    shutil.rmtree(workspace)
    return cost


def link_few(synthetic: Path, scratch: Path) -> Path:
    """Make a corpus of four recordings: it takes little more than the start, and two workers both have work."""
    few = scratch / "few"
    if not few.exists():
        link_corpus(synthetic, few, 4 * MINUTES / 60)
    return few


def measure_start(few: Path, scratch: Path, *words: str) -> Cost:
    """Return the cost of the start: the smallest of three runs, since disturbances only add to it."""
    costs = [prepare(few, scratch, *words) for _ in range(3)]
    return Cost(min(c.wall_s for c in costs), min(c.cpu_s for c in costs), max(c.peak_mib for c in costs))


def make_row(run_name: str, hours: float, cost: Cost, start: Cost) -> dict[str, object]:
    """Make a row of the table; ``start`` is the cost of the same command on four recordings."""
    n = hours * 60 / MINUTES
    return {
        "run": run_name,
        "hours": f"{hours:g}",
        "CPU s": f"{cost.cpu_s:.1f}",
        "CPU s per hour": f"{cost.cpu_s / hours:.3f}",
        "without the start": f"{max(cost.cpu_s - start.cpu_s, 0) / hours:.3f}",
        # The start varies too much to compute the speed of a run of a second or less.
        "recordings per s": f"{n / net_s:.0f}" if (net_s := cost.wall_s - start.wall_s) > 1 else "",
        "peak MiB": f"{cost.peak_mib:.0f}",
    }


def measure_stage(synthetic: Path, scratch: Path, hours: list[int]) -> Iterator[dict[str, object]]:
    """Measure the stage by size, workers and settings."""
    few = link_few(synthetic, scratch)
    choices: list[tuple[str, list[str], list[int]]] = [
        ("1 worker, this process", ["compute=serial"], hours),
        ("1 worker", ["compute.workers=1"], hours[:1]),
        ("2 workers", ["compute.workers=2"], hours),
        ("2 workers, Dask", ["compute=dask", "compute.workers=2"], hours[:1]),
        ("1 worker, two detectors agree", ["compute=serial", "quality=two_detectors"], hours[:1]),
        ("1 worker, detector=neurokit", ["compute=serial", "detector=neurokit"], hours[:1]),
    ]
    prepare(few, scratch, "compute=serial")
    for name, words, sizes in choices:
        start = measure_start(few, scratch, *words)
        for size in sizes:
            root = scratch / f"{size}h"
            if not root.exists():
                link_corpus(synthetic, root, size)
                # Read each file once, so that every size is read from the cache of the disk.
                for path in islice(sorted(root.rglob("*.edf")), round(SYNTHETIC_HOURS * 60 / MINUTES)):
                    path.read_bytes()
            yield make_row(name, size, prepare(root, scratch, *words), start)


def measure_readers(synthetic: Path) -> Iterator[dict[str, object]]:
    """Measure reading one channel of 22 with each reader, without its import."""
    paths = f"from pathlib import Path\npaths = sorted(Path({str(synthetic)!r}).rglob('*.edf'))\n"
    for reader, code in READERS.items():
        code = code.replace("for path in paths", "for path in paths * 5", 1)
        import_only = run([sys.executable, "-c", paths + code.replace("paths * 5", "paths[:0]", 1)])
        cost = run([sys.executable, "-c", paths + code])
        yield {
            "reader": reader,
            "CPU s per hour": f"{(cost.cpu_s - import_only.cpu_s) / SYNTHETIC_HOURS / 5:.4f}",
            "peak MiB": f"{cost.peak_mib:.0f}",
        }


def write_large(edf: Path, synthetic: Path) -> None:
    """Write a day at 1000 Hz with 40 channels, 6.9 GB: a repeated synthetic ECG in one, noise in the others."""
    from aura.formats.edf import read_ecgs

    source = next(read_ecgs(sorted(synthetic.rglob("*.edf"))[0], ["*EKG*"]))
    n_source = int(source.duration_s)
    at = np.arange(n_source * 1000) / 1000 * source.fs_hz
    ecg = np.interp(at, np.arange(len(source.digital)), source.digital).astype("<i2").reshape(-1, 1000)
    labels = [f"EEG {i}" for i in range(39)] + ["ECG"]
    fields = [(16, labels), (80, [""] * 40), (8, ["uV"] * 40), (8, ["-5000"] * 40), (8, ["5000"] * 40)]
    fields += [(8, ["-32767"] * 40), (8, ["32767"] * 40), (80, [""] * 40), (8, ["1000"] * 40), (32, [""] * 40)]
    fixed = f"{'0':8}{'':80}{'':80}{datetime(2020, 1, 1):%d.%m.%y%H.%M.%S}{256 * 41:<8}{'':44}{86400:<8}{1:<8}{40:<4}"
    noise = np.random.default_rng(0).integers(-300, 300, (64, 39, 1000)).astype("<i2")
    with edf.open("wb") as file:
        file.write((fixed + "".join(f"{value:{width}}" for width, values in fields for value in values)).encode())
        for second in range(86_400):
            file.write(noise[second % 64].tobytes() + ecg[second % n_source].tobytes())


def measure_large_file(synthetic: Path, scratch: Path) -> Iterator[dict[str, object]]:
    """Measure a file that is larger than the memory a worker should take."""
    root = scratch / "large"
    root.mkdir()
    write_large(root / "day.edf", synthetic)
    start = measure_start(link_few(synthetic, scratch), scratch, "compute.workers=1")
    for name, words in (("sleepecg", []), ("two detectors agree", ["quality=two_detectors"])):
        cost = prepare(root, scratch, "compute.workers=1", *words)
        yield {
            "one file of 24 h, 1000 Hz, 40 channels, 6.9 GB": name,
            "CPU s per hour, without the start": f"{(cost.cpu_s - start.cpu_s) / 24:.3f}",
            "peak MiB": f"{cost.peak_mib:.0f}",
        }
    shutil.rmtree(root)


def main(hours: list[int], large: bool) -> None:
    """Run all measurements, log them, and write the document."""
    sections: list[tuple[str, Callable[[Path, Path], Iterator[dict[str, object]]]]] = [
        ("The stage", lambda synthetic, scratch: measure_stage(synthetic, scratch, hours)),
        ("Reading one channel of 22", lambda synthetic, _: measure_readers(synthetic)),
    ]
    if large:
        sections.append(("A file larger than the memory of a worker", measure_large_file))
    with tempfile.TemporaryDirectory() as folder:
        scratch, synthetic = Path(folder), Path(folder) / "synthetic"
        synthesize(synthetic)
        tables = {title: pd.DataFrame(list(measure(synthetic, scratch))) for title, measure in sections}
    metrics = {
        f"cpu_s_per_hour.{line['run']}.{line['hours']} h".replace(",", "").replace("=", " "): float(
            line["without the start"]
        )
        for line in tables["The stage"].to_dict("records")
    }
    write_document("prepare", tables, metrics, os.environ.get("MLFLOW_TRACKING_URI") or compose().tracking.uri)


if __name__ == "__main__":
    arguments = dict(word.split("=") for word in sys.argv[1:])
    main([int(h) for h in arguments.get("hours", "10,100,1000").split(",")], arguments.get("large", "true") == "true")
