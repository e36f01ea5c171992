"""Detect seizures in EDF files, and write annotations that other software reads."""

import re
import shutil
from datetime import datetime
from pathlib import Path

import mlflow
import numpy as np
import pytest
from epilepsy2bids.annotations import Annotations

from aura.cli import main
from aura.core.events import Event
from aura.core.parquet import read_table
from aura.core.recordings import Ecg
from aura.corpora.layouts import writable_layouts
from aura.formats.detections import FORMATS, write_detections
from aura.formats.edf_writer import Channel, write_edf
from aura.formats.tabular import read_events_tsv
from aura.formats.tse import read_tse
from aura.formats.vocabulary import is_seizure
from aura.reports.page import draw_page
from aura.reports.page_content import Recording
from tests.support.annotations import READERS
from tests.support.made_ecg import FS_HZ, place_beats, steady_beats
from tests.support.project import SMALL_CORPUS, SMALL_WORK, Project
from tests.support.real_ecg import write_real
from tests.support.runs import RunOf

pytestmark = pytest.mark.integration

MODEL = "model=models:/aura-seizure-detector-synthetic@champion"
FOUND = (Event(20.0, 31.5, "seiz", 0.75), Event(80.0, 4.0, "seiz", 0.5))
BLIND = (Event(0.0, 10.0), Event(60.0, 20.0))


@pytest.mark.parametrize("name", FORMATS)
def test_detections_are_read_as_written(name: str, tmp_path: Path) -> None:
    path = tmp_path / f"night{FORMATS[name]}"
    write_detections(
        path, FOUND, BLIND, start=datetime(2020, 1, 1, 22), duration_s=100.0, about={"model": "x", "run": None}
    )
    events = READERS[name](path)
    assert [e for e in events if is_seizure(e.kind)] == [
        Event(e.onset_s, e.duration_s, "sz" if name == "events_tsv" else "seiz", e.confidence) for e in FOUND
    ]
    if name == "events_tsv":
        assert [e for e in events if e.confidence == 0] == [Event(b.onset_s, b.duration_s, "bckg", 0.0) for b in BLIND]
    else:
        assert [(e.onset_s, e.end_s) for e in events if e.kind == "null"] == [(b.onset_s, b.end_s) for b in BLIND]
        # The events cover the recording without gaps or overlap.
        assert [e.onset_s for e in events[1:]] == [e.end_s for e in events[:-1]]
        assert (events[0].onset_s, events[-1].end_s) == (0.0, 100.0)


@pytest.mark.parametrize(("detected", "blind"), [(FOUND, BLIND), ((), BLIND), ((), ())])
def test_the_reader_of_szcore_reads_them(detected: tuple[Event, ...], blind: tuple[Event, ...], tmp_path: Path) -> None:
    path = tmp_path / "sub-01_task-szMonitoring_events.tsv"
    write_detections(path, detected, blind, start=None, duration_s=100.0, about={"model": "x", "run": None})
    annotations = Annotations.loadTsv(str(path))
    assert annotations.getEvents() == [(e.onset_s, e.end_s) for e in detected]
    assert annotations.getMask(1).sum() == sum(int(e.end_s) - int(e.onset_s) for e in detected)


def test_a_real_ecg_in_a_folder_with_an_odd_name(
    trained: Project, tmp_path: Path, run_of: RunOf, capsys: pytest.CaptureFixture[str]
) -> None:
    edf = tmp_path / "my = recordings" / "it's night.edf"
    write_real(edf)
    words = [f"edf={edf}", MODEL, f"output={tmp_path / 'found'}", f"workspace={tmp_path}", "compute=serial"]
    assert main(["detect", *words]) == 0
    out = capsys.readouterr().out
    assert "1 recording of 0.1 h" in out
    assert "1 EDF file and 0 annotation files are 1 recording" in out
    assert "no_annotations" not in out
    assert "annotated" not in out
    events = read_tse(tmp_path / "found" / "it's night.tse_bi")
    assert events[-1].end_s == pytest.approx(300.0)
    probability, meta = read_table(tmp_path / "found" / "it's night_probability.parquet")
    # Windows without a score are not assessed; windows above the threshold are seizures.
    middle_s = probability["t_s"].to_numpy() - 2
    kinds = np.array([next(e.kind for e in events if e.onset_s <= t_s < e.end_s) for t_s in middle_s])
    assert ((kinds == "null") == probability["score"].isna()).all()
    assert set(kinds[(probability["score"] >= meta["threshold"]).to_numpy()]) <= {"seiz"}
    run = run_of("detect")
    assert run.data.metrics["recordings"] == 1
    assessed_s = 300.0 - sum(e.duration_s for e in events if e.kind == "null")
    assert run.data.metrics["assessed_hours"] == pytest.approx(assessed_s / 3600, rel=1e-3)
    assert f"of 0.1 h, {assessed_s / 3:.1f} % of it assessed; see" in out
    # The path can name people, so it is not logged.
    assert not any(str(tmp_path) in value for value in run.data.params.values())


def test_an_annotated_folder_is_scored_and_ranked(
    trained: Project, tmp_path: Path, run_of: RunOf, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [MODEL, f"output={tmp_path / 'found'}", f"workspace={tmp_path}", "compute=serial", "format=events_tsv"]
    assert main(["detect", f"edf={trained.corpus}", *words]) == 0
    assert "compared with the annotations of 12 recordings" in capsys.readouterr().out
    metrics = run_of("detect").data.metrics
    table, _ = read_table(tmp_path / "found" / "detections.parquet")
    # Two ways to compute it: from the table, and from the windows that have a score.
    not_assessed = table["not_assessed_s"].sum() / (3600 * table["hours"].sum())
    assert metrics["assessed_share"] == pytest.approx(1 - not_assessed, abs=1e-4)
    assert len(table) == metrics["recordings"] == 12
    assert table["seizures"].is_monotonic_decreasing
    assert metrics["seizures"] == table["seizures"].sum()
    assert 0 <= metrics["event_f1"] <= 1
    for file in table["file"]:
        assert read_events_tsv(tmp_path / "found" / file)


def test_doubtful_heartbeats_are_reported_and_the_lead_of_the_beats_is_shown(
    trained: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: dict[str, Ecg | None] = {}

    def kept(recording: Recording) -> str:
        shown[recording.name] = recording.ecg
        return draw_page(recording)

    monkeypatch.setattr("aura.reports.page.draw_page", kept)
    rng = np.random.default_rng(5)
    beats_s = steady_beats(75, 0.5, 299.5)
    clean_mv = place_beats(beats_s, 300)
    # After a third of the beats, at a random time, comes a sharp wave that a beat detector counts as a beat.
    false_s = beats_s[:-1][rng.random(len(beats_s) - 1) < 0.33] + 0.28
    false_s += rng.uniform(0, 0.22, len(false_s))
    t_s = np.arange(len(clean_mv)) / FS_HZ
    spoilt_mv = clean_mv - sum(np.exp(-0.5 * ((t_s - at_s) / 0.012) ** 2) for at_s in false_s)
    leads = {"clean": [rng.normal(0, 0.2, len(clean_mv)), clean_mv], "spoilt": [spoilt_mv]}
    (tmp_path / "in").mkdir()
    for name, leads_mv in leads.items():
        channels = [Channel("ECG", lead_mv * 1000, FS_HZ) for lead_mv in leads_mv]
        write_edf(tmp_path / "in" / f"{name}.edf", channels, start=datetime(2020, 1, 1, 22))
    found = tmp_path / "found"
    words = [MODEL, f"output={found}", f"workspace={tmp_path}", "compute=serial"]
    assert main(["detect", f"edf={tmp_path / 'in'}", *words]) == 0
    table, _ = read_table(found / "detections.parquet")
    clean, spoilt = (table.set_index("recording").loc[name] for name in ("clean", "spoilt"))
    assert (clean["normal_share"], clean["remarks"]) == (1.0, "several_channels")
    assert (spoilt["normal_share"] < 0.85, spoilt["remarks"]) == (True, "doubtful_beats")
    doubt = (
        f"arning: heartbeats are doubtful: only {100 * spoilt['normal_share']:.0f} % of the intervals between them are "
        "normal, as when other waves are counted as beats; look at the ECG before you trust this result"
    )
    lines = {line.strip().partition(".")[0]: line for line in capsys.readouterr().out.splitlines() if ".tse_bi" in line}
    assert doubt in lines["spoilt"]
    assert "doubtful" not in lines["clean"]
    listed = (found / "index.html").read_text(encoding="utf-8")
    assert listed.count(doubt) == listed.count("doubtful") == 1
    shares = re.findall(r'data-is="Normal intervals">(.*?)</td>', listed)
    assert shares == [f"{100 * share:.0f} %" for share in table["normal_share"]]
    for name, share, n in (("clean", 1.0, 0), ("spoilt", spoilt["normal_share"], 1)):
        html = (found / f"{name}.html").read_text(encoding="utf-8")
        assert html.count(doubt) == n
        assert f"{100 * share:.0f} % of the RR intervals are normal" in html
    ecg = shown["clean"]
    assert ecg is not None
    np.testing.assert_allclose(ecg.mv(0, len(clean_mv)), clean_mv, atol=5 / 32767)
    # A long list is shortened.
    monkeypatch.setattr("aura.stages.detect.run.N_SHOWN", 0)
    assert main(["detect", f"edf={tmp_path / 'in'}", *words]) == 0
    assert "detections.parquet, 1 of them with doubtful heartbeats" in capsys.readouterr().out


def test_annotated_and_unannotated_recordings_are_in_the_same_list(trained: Project, tmp_path: Path) -> None:
    for name in ("seen", "unseen"):
        write_real(tmp_path / "in" / f"{name}.edf")
    (tmp_path / "in" / "seen.tse_bi").write_text("version = tse_v1.0.0\n\n0.0 100.0 bckg 1.0\n100.0 130.0 seiz 1.0\n")
    words = [MODEL, f"output={tmp_path / 'found'}", f"workspace={tmp_path}", "compute=serial"]
    assert main(["detect", f"edf={tmp_path / 'in'}", *words]) == 0
    listed = (tmp_path / "found" / "index.html").read_text(encoding="utf-8")
    assert sorted(re.findall(r'data-is="Reference">(.*?)</td>', listed)) == ["1", "–"]


def test_a_single_file_is_compared_with_its_annotations(trained: Project, tmp_path: Path, run_of: RunOf) -> None:
    annotated = next(p for p in sorted(trained.corpus.rglob("*.tse_bi")) if "seiz" in p.read_text())
    words = [MODEL, f"output={tmp_path / 'found'}", f"workspace={tmp_path}", "compute=serial"]
    assert main(["detect", f"edf={annotated.with_suffix('.edf')}", *words]) == 0
    assert run_of("detect").data.metrics["recordings"] == 1
    assert "event_sensitivity" in run_of("detect").data.metrics


def test_a_model_in_a_folder_needs_no_registry(
    trained: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = mlflow.artifacts.download_artifacts(
        "models:/aura-seizure-detector-synthetic@champion", dst_path=str(tmp_path)
    )
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/empty.db")
    write_real(tmp_path / "a.edf")
    words = [f"output={tmp_path / 'found'}", f"workspace={tmp_path}", "compute=serial"]
    assert main(["detect", f"edf={tmp_path / 'a.edf'}", f"model={folder}", *words]) == 0
    assert (tmp_path / "found" / "a.tse_bi").is_file()


def test_a_damaged_file_is_reported_and_the_others_are_processed(
    trained: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_real(tmp_path / "in" / "good.edf")
    (tmp_path / "in" / "bad.edf").write_bytes(b"no header")
    words = [MODEL, f"output={tmp_path / 'found'}", f"workspace={tmp_path}", "compute=serial"]
    assert main(["detect", f"edf={tmp_path / 'in'}", *words]) == 0
    assert "bad.edf: " in capsys.readouterr().out
    assert (tmp_path / "found" / "good.tse_bi").is_file()
    (tmp_path / "in" / "worse.edf").write_bytes(b"")
    assert main(["detect", f"edf={tmp_path / 'in'}", *words]) == 0
    shutil.rmtree(tmp_path / "found")
    assert main(["detect", f"edf={tmp_path / 'in' / 'bad.edf'}", *words]) == 1
    assert "nothing could be prepared; the first failure: bad.edf: " in capsys.readouterr().err


def test_annotations_of_people_are_not_overwritten(
    trained: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither beside the recording nor in the output of detect; files of detect itself are overwritten."""
    edf = tmp_path / "in" / "night.edf"
    write_real(edf)
    edf.with_suffix(".tse_bi").write_text("version = tse_v1.0.0\n\n10.0000 40.0000 seiz 1.0000\n")
    words = [f"edf={edf}", MODEL, f"workspace={tmp_path}", "compute=serial"]
    assert main(["detect", *words, f"output={edf.parent}"]) == 1
    assert "night.tse_bi was written or changed by somebody else; move it away" in capsys.readouterr().err
    assert "seiz" in edf.with_suffix(".tse_bi").read_text()
    found = tmp_path / "found"
    for _ in range(2):
        # The recording is annotated and has no subject; detect accepts it.
        assert main(["detect", *words, f"output={found}"]) == 0
    assert "compared with the annotations of 1 recording" in capsys.readouterr().out
    (found / "night.tse_bi").write_text("version = tse_v1.0.0\n\n10.0000 50.0000 seiz 1.0000\n")
    assert main(["detect", *words, f"output={found}"]) == 1
    assert "50.0000" in (found / "night.tse_bi").read_text()


def test_events_tsv_beside_any_edf_are_its_annotations(trained: Project, tmp_path: Path, run_of: RunOf) -> None:
    edf = tmp_path / "in" / "night.edf"
    write_real(edf)
    write_detections(edf.with_name("night_events.tsv"), [Event(100, 30)], [], start=None, duration_s=300.0, about={})
    words = [MODEL, f"workspace={tmp_path}", "compute=serial", f"output={tmp_path / 'found'}"]
    for given in (edf, edf.parent):
        assert main(["detect", f"edf={given}", *words]) == 0
        metrics = run_of("detect").data.metrics
        assert (metrics["recordings"], metrics["failures"]) == (1, 0)
        assert "event_sensitivity" in metrics


def test_invalid_annotations_do_not_prevent_detection(
    trained: Project, tmp_path: Path, run_of: RunOf, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, text in (
        ("empty", "onset\tduration\teventType\n"),
        ("broken", "onset\tduration\teventType\n1\tsoon\tsz\n"),
        ("task", "onset\tduration\ttrial_type\n1\t2\tstimulus\n"),
        ("outside", "onset\tduration\teventType\n30000\t30000\tsz\n"),
        ("bids", "onset\tduration\ttrial_type\n30\t30\tseizure\n"),
    ):
        write_real(tmp_path / "in" / f"{name}.edf")
        (tmp_path / "in" / f"{name}_events.tsv").write_text(text)
    words = [MODEL, f"workspace={tmp_path}", "compute=serial", f"output={tmp_path / 'found'}"]
    assert main(["detect", f"edf={tmp_path / 'in'}", *words]) == 0
    metrics = run_of("detect").data.metrics
    assert (metrics["recordings"], metrics["failures"]) == (5, 0)
    table, _ = read_table(tmp_path / "found" / "detections.parquet")
    assert table.set_index("recording")["annotated"].dropna().to_dict() == {"bids": 1}
    out = capsys.readouterr().out
    assert "compared with the annotations of 1 recording" in out
    for name, says in (
        ("empty", "its .tsv annotation file holds no event, not even background"),
        ("broken", "its .tsv annotation file: line 2 has a duration that is not a number"),
        ("task", "none of its annotations says anything about seizures; dataset.words adds words of your own"),
        ("outside", "1 annotated seizure and none in its"),
    ):
        assert f"    {name}.edf: {says}" in out


@pytest.mark.parametrize("layout", writable_layouts())
def test_detect_reads_every_layout(layout: str, trained: Project, tmp_path: Path, run_of: RunOf) -> None:
    synthesis = [f"dataset.synthesis.layout={layout}", "dataset.synthesis.subjects=2"]
    corpus = ["synthesize", *SMALL_CORPUS, *synthesis, f"dataset.root={tmp_path / 'in'}", "compute=serial"]
    assert main(corpus) == 0
    words = [MODEL, f"output={tmp_path / 'found'}", f"workspace={tmp_path}", "compute=serial", "dataset=any"]
    assert main(["detect", f"edf={tmp_path / 'in'}", *words]) == 0
    metrics = run_of("detect").data.metrics
    assert (metrics["recordings"], metrics["failures"]) == (4, 0)
    assert ("event_sensitivity" in metrics) == (layout != "plain")
    assert len(list((tmp_path / "found").glob("*.tse_bi"))) == 4


def test_a_model_is_trained_on_annotations_saved_from_the_page(
    trained: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The rows are those that `page.js` writes, which tests/reports/test_page.py checks."""
    corpus = tmp_path / "in"
    for number, edf in enumerate(sorted(trained.corpus.rglob("*.edf"))):
        annotations = edf.with_suffix(".tse_bi")
        target = corpus / f"subject{number // 2}" / "night" / f"n{number}.edf"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(edf, target)
        events = [event for event in read_tse(annotations) if is_seizure(event.kind)]
        end_s = read_tse(annotations)[-1].end_s
        write_detections(target.with_suffix(".tse_bi"), events, [], start=None, duration_s=end_s, about={})
    words = ["dataset=any", "dataset.name=from_page", f"dataset.root={corpus}", f"workspace={tmp_path}"]
    assert main(["main", *words, *SMALL_WORK, "compute=serial", "tracking.model_name=from_page"]) == 0
    assert "12 recordings, 4 subjects to train on, 2 to test on" in capsys.readouterr().out
    assert str(mlflow.MlflowClient().get_model_version_by_alias("from_page", "champion").version) == "1"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "edf is missing; write edf=recording.edf"),
        (["edf=no such.edf"], "edf=no such.edf does not exist"),
        (["edf=README.md"], "edf=README.md is not an .edf file; allowed are such a file, or a folder of them"),
        (["edf=.", "format=xml"], "detect.format=xml; allowed are tse_bi, csv_bi, events_tsv"),
        (["edf=.", "model=models:/none@champion"], "model=models:/none@champion is not a model of"),
    ],
)
def test_a_wrong_argument_is_reported_in_one_line(
    words: list[str], says: str, trained: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [] if any(word.startswith("model=") for word in words) else [MODEL]
    assert main(["detect", *words, *given]) == 1
    assert says in capsys.readouterr().err


@pytest.mark.parametrize(("name", "helps"), [("x.bdf", "convert them to EDF"), ("x.edf.gz", "unpack them")])
def test_a_recording_of_another_format_is_refused(
    tmp_path: Path, name: str, helps: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / name).touch()
    assert main(["detect", f"edf={tmp_path / name}", f"output={tmp_path / 'out'}"]) == 1
    says = f"{name} is not an .edf file; allowed are such a file, or a folder of them; {helps}"
    assert says in capsys.readouterr().err
