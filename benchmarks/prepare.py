"""What ``prepare`` costs per hour of recording: by size of the corpus, workers, detectors, readers, length of a file.

``python -m benchmarks.prepare`` (about 6 minutes, 8 GB of disk) logs it to MLflow, writes docs/benchmarks/prepare.md;
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
from benchmarks.measure import Cost, document, run

MINUTES = 12
# What is drawn; larger corpora are links to it under other names, so that they fit on a disk, and into its cache.
DRAWN_HOURS = 10
READERS = {
    "ours": (
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


def draw(root: Path) -> None:
    """Draw a corpus with the 22 channels of TUH, in recordings as long as theirs are."""
    words = [f"dataset.synthesis.recording_minutes={MINUTES}", "dataset.synthesis.subjects=10", f"dataset.root={root}"]
    run([sys.executable, "-m", "aura", "synthesize", *words, f"dataset.synthesis.hours_per_subject={DRAWN_HOURS / 10}"])


def linked(drawn: Path, root: Path, hours: float) -> None:
    """Make a corpus of so many hours of links to the drawn recordings."""
    edfs = sorted(drawn.rglob("*.edf"))
    for i, edf in enumerate(islice(cycle(edfs), round(hours * 60 / MINUTES))):
        session = root / f"subject{i // 5:05d}" / "s1"
        session.mkdir(parents=True, exist_ok=True)
        for suffix in (".edf", ".tse_bi"):
            (session / f"recording{i:05d}{suffix}").hardlink_to(edf.with_suffix(suffix))


def prepare(root: Path, scratch: Path, *words: str) -> Cost:
    """Run the stage as a user does."""
    workspace = Path(tempfile.mkdtemp(dir=scratch))
    env = {"MLFLOW_TRACKING_URI": f"sqlite:///{scratch / 'mlflow.db'}"}
    command = [sys.executable, "-m", "aura", "prepare", "dataset=any", f"dataset.root={root}", f"workspace={workspace}"]
    cost = run([*command, *words], env)
    shutil.rmtree(workspace)
    return cost


def few_recordings(drawn: Path, scratch: Path) -> Path:
    """Give a corpus so small that what it costs is the start: each of two workers has something to do."""
    few = scratch / "few"
    if not few.exists():
        linked(drawn, few, 4 * MINUTES / 60)
    return few


def start_cost(few: Path, scratch: Path, *words: str) -> Cost:
    """Cost of the start: the least of three, as what disturbs it only adds to it."""
    costs = [prepare(few, scratch, *words) for _ in range(3)]
    return Cost(min(c.wall_s for c in costs), min(c.cpu_s for c in costs), max(c.peak_mib for c in costs))


def row(what: str, hours: float, cost: Cost, start: Cost) -> dict[str, object]:
    """One line of the table; the start is what the same command costs with four recordings."""
    n = hours * 60 / MINUTES
    return {
        "what": what,
        "hours": f"{hours:g}",
        "CPU s": f"{cost.cpu_s:.1f}",
        "CPU s per hour": f"{cost.cpu_s / hours:.3f}",
        "without the start": f"{max(cost.cpu_s - start.cpu_s, 0) / hours:.3f}",
        # Of a second or less, nothing can be said that the start does not disturb.
        "recordings per s": f"{n / net_s:.0f}" if (net_s := cost.wall_s - start.wall_s) > 1 else "",
        "peak MiB": f"{cost.peak_mib:.0f}",
    }


def stage_costs(drawn: Path, scratch: Path, hours: list[int]) -> Iterator[dict[str, object]]:
    """Cost of the stage by size, workers and choices."""
    few = few_recordings(drawn, scratch)
    choices: list[tuple[str, list[str], list[int]]] = [
        ("1 worker, this process", ["compute=serial"], hours),
        ("1 worker", ["compute.workers=1"], hours[:1]),
        ("2 workers", ["compute.workers=2"], hours),
        ("2 workers, Dask", ["compute=dask", "compute.workers=2"], hours[:1]),
        ("1 worker, two detectors agree", ["compute=serial", "quality=two_detectors"], hours[:1]),
        ("1 worker, detector=neurokit", ["compute=serial", "detector=neurokit"], hours[:1]),
    ]
    prepare(few, scratch, "compute=serial")
    for what, words, sizes in choices:
        start = start_cost(few, scratch, *words)
        for size in sizes:
            root = scratch / f"{size}h"
            if not root.exists():
                linked(drawn, root, size)
                # Once, so that every size is read from the cache of the disk.
                for path in islice(sorted(root.rglob("*.edf")), round(DRAWN_HOURS * 60 / MINUTES)):
                    path.read_bytes()
            yield row(what, size, prepare(root, scratch, *words), start)


def reader_costs(drawn: Path) -> Iterator[dict[str, object]]:
    """Cost of reading one channel of 22, by the reader, the cost of its import aside."""
    paths = f"from pathlib import Path\npaths = sorted(Path({str(drawn)!r}).rglob('*.edf'))\n"
    for reader, code in READERS.items():
        code = code.replace("for path in paths", "for path in paths * 5", 1)
        nothing = run([sys.executable, "-c", paths + code.replace("paths * 5", "paths[:0]", 1)])
        cost = run([sys.executable, "-c", paths + code])
        yield {
            "reader": reader,
            "CPU s per hour": f"{(cost.cpu_s - nothing.cpu_s) / DRAWN_HOURS / 5:.4f}",
            "peak MiB": f"{cost.peak_mib:.0f}",
        }


def write_large(edf: Path, drawn: Path) -> None:
    """Write a day at 1000 Hz with 40 channels, 6.9 GB: the drawn ECG over and over in one, noise in the others."""
    from aura.formats.edf import read_ecgs

    source = next(read_ecgs(sorted(drawn.rglob("*.edf"))[0], ["*EKG*"]))
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


def large_costs(drawn: Path, scratch: Path) -> Iterator[dict[str, object]]:
    """Cost of one file that is larger than the memory a worker should take."""
    root = scratch / "large"
    root.mkdir()
    write_large(root / "day.edf", drawn)
    start = start_cost(few_recordings(drawn, scratch), scratch, "compute.workers=1")
    for what, words in (("sleepecg", []), ("two detectors agree", ["quality=two_detectors"])):
        cost = prepare(root, scratch, "compute.workers=1", *words)
        yield {
            "one file of 24 h, 1000 Hz, 40 channels, 6.9 GB": what,
            "CPU s per hour, without the start": f"{(cost.cpu_s - start.cpu_s) / 24:.3f}",
            "peak MiB": f"{cost.peak_mib:.0f}",
        }
    shutil.rmtree(root)


def main(hours: list[int], large: bool) -> None:
    """Measure, log, and write the document."""
    sections: list[tuple[str, Callable[[Path, Path], Iterator[dict[str, object]]]]] = [
        ("The stage", lambda drawn, scratch: stage_costs(drawn, scratch, hours)),
        ("Reading one channel of 22", lambda drawn, _: reader_costs(drawn)),
    ]
    if large:
        sections.append(("A file larger than the memory of a worker", large_costs))
    with tempfile.TemporaryDirectory() as name:
        scratch, drawn = Path(name), Path(name) / "drawn"
        draw(drawn)
        tables = {title: pd.DataFrame(list(measure(drawn, scratch))) for title, measure in sections}
    metrics = {
        f"cpu_s_per_hour.{line['what']}.{line['hours']} h".replace(",", "").replace("=", " "): float(
            line["without the start"]
        )
        for line in tables["The stage"].to_dict("records")
    }
    document("prepare", tables, metrics, os.environ.get("MLFLOW_TRACKING_URI") or compose().tracking.uri)


if __name__ == "__main__":
    given = dict(word.split("=") for word in sys.argv[1:])
    main([int(h) for h in given.get("hours", "10,100,1000").split(",")], given.get("large", "true") == "true")
