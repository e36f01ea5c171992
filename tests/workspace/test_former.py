"""Folders of earlier versions are renamed and keep their contents."""

from pathlib import Path

import pytest

from aura import assembly
from aura.config.compose import compose
from aura.workspace import former

FAMILIES = (
    *("time_domain", "poincare", "entropy", "frequency_domain", "robust", "pnn", "complexity", "jeppesen", "adaptive"),
)


# Folder names of earlier versions, whose digests contain the root and the import paths of layouts and detectors.
@pytest.mark.parametrize(
    ("words", "prepared", "features"),
    [
        (
            # The families of that time; a new one makes other features.
            ["dataset=tusz15", "dataset.root=/data/tusz", f"features.families=[{','.join(FAMILIES)}]"],
            "tusz15/prepared-16f5de9f6a7ce47e",
            "tusz15/features-2b85ddbc458cdde9",
        ),
        (
            [
                *("dataset=any", "dataset.root=/data/mine", "dataset.channels=[ECG]", "dataset.min_seizure_s=2"),
                *("detector=neurokit", "quality=two_detectors", "cleaning=hrv_analysis"),
                *("features=original", "features.engine=hrv_analysis"),
            ],
            "any/prepared-1b199dd8b1898f72",
            "any/features-e8399443fb6922fb",
        ),
    ],
)
def test_a_folder_with_its_former_name_is_renamed(
    words: list[str], prepared: str, features: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(assembly, "version", lambda name: "1.2.3")
    config = compose([*words, f"workspace={tmp_path}"])
    for folder in (prepared, features):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "mark").write_text(folder)
    assert (assembly.prepared_writer(config).folder / "mark").read_text() == prepared
    assert (assembly.feature_writer(config).folder / "mark").read_text() == features
    assert len(list((tmp_path / config.dataset.name).iterdir())) == 2


def test_a_folder_of_another_root_is_not_renamed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assembly, "version", lambda name: "1.2.3")
    (tmp_path / "tusz15" / "prepared-16f5de9f6a7ce47e").mkdir(parents=True)
    config = compose(["dataset=tusz15", "dataset.root=/data/other", f"workspace={tmp_path}"])
    assert not assembly.prepared_writer(config).folder.exists()


def test_a_folder_with_the_present_name_stays(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    for folder in (old, new):
        folder.mkdir()
    former.rename(old, new)
    assert old.is_dir()
