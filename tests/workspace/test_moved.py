"""A corpus that was moved, or is mounted elsewhere, is not prepared again."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from aura import assembly
from aura.config.compose import compose
from tests.support.project import Project


def test_a_moved_corpus_is_neither_prepared_nor_featurized_again(
    trained: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    moved = Project(tmp_path / "moved", tmp_path / "workspace")
    shutil.copytree(trained.corpus, moved.corpus)
    shutil.copytree(trained.workspace, moved.workspace)
    assert moved.run("featurize") == 0
    out = capsys.readouterr().out
    assert "12 prepared (0 now, 12 unchanged)" in out
    assert "(0 recordings now, 12 unchanged)" in out
    before, after = (assembly.open_features(compose(project.overrides)) for project in (trained, moved))
    assert before.recordings["digest"].tolist() == after.recordings["digest"].tolist()
    # The first root still has its own tables.
    assert assembly.find_prepared(compose([*trained.overrides, f"workspace={moved.workspace}"])) is not None


def test_detect_reuses_nothing_of_another_folder(tmp_path: Path) -> None:
    config = compose(["dataset=any", f"dataset.root={tmp_path / 'a'}", f"workspace={tmp_path}"])
    folder = assembly.prepared_writer(config).folder
    folder.mkdir(parents=True)
    other = replace(config, dataset=replace(config.dataset, root=str(tmp_path / "b")))
    assert assembly.prepared_writer(other).earlier == (folder,)
    # Files of two patients can have the same name, size and time.
    without_subject = replace(other, prepare=replace(config.prepare, needs_subject=False))
    assert assembly.prepared_writer(without_subject).earlier == ()
