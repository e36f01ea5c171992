"""A prepared corpus is read as it was written, and files of another corpus are refused."""

from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aura.core.errors import AuraError, RecordingError
from aura.core.events import Event
from aura.core.series import RRSeries
from aura.workspace.features import FeatureStore, FeatureWriter, summary_table
from aura.workspace.features import recordings_table as features_table
from aura.workspace.prepared import (
    RECORDINGS,
    PreparedCorpus,
    PreparedWriter,
    digest_rr,
    digest_rr_and_seizures,
    failures_table,
    recordings_table,
)

SEIZURES = (Event(10.0, 5.0), Event(30.5, 4.25))
UNUSABLE = (Event(0.0, 1.5, "flat"),)
EMPTY: dict[str, Any] = {"str": None, "int64": 0, "Int64": None, "float64": 0.0, "bool": False}


def series(interval_ms: float) -> RRSeries:
    rr_ms = np.full(60, interval_ms)
    return RRSeries(np.cumsum(rr_ms) / 1000, rr_ms, 60.0)


def write_recording(writer: PreparedWriter, name: str, rr: RRSeries, seizures: tuple[Event, ...] | None) -> Any:
    rr_digest = digest_rr(rr)
    row = {
        **{column: EMPTY[kind] for column, kind in RECORDINGS.items()},
        "recording": name,
        "subject": "s",
        "start": "2020-01-02T03:04:05",
        "duration_s": rr.duration_s,
        "annotated": seizures is not None,
        "edf": f"{name}.edf",
        "channel": "ECG",
        "unit": "uV",
        "rr_digest": rr_digest,
        "digest": digest_rr_and_seizures(rr_digest, seizures),
    }
    rises_bpm = None if seizures is None else np.array([20.0, np.nan])[: len(seizures)]
    writer.write(row, rr, seizures=seizures, rises_bpm=rises_bpm, unusable=UNUSABLE, source=f"source of {name}")
    return row


def write_corpus(folder: Path, interval_ms: float = 800.0) -> PreparedCorpus:
    writer = PreparedWriter(folder)
    rows = [
        write_recording(writer, "b", series(interval_ms), None),
        write_recording(writer, "a", series(interval_ms + 50), SEIZURES),
    ]
    writer.write_tables(recordings_table(rows), failures_table([]), run_id="run", channels="channels")
    return PreparedCorpus.open(folder)


def test_a_recording_is_read_as_it_was_written(tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path)
    assert list(corpus) == ["a", "b"]
    assert (corpus.run_id, corpus.channels, len(corpus.failures)) == ("run", "channels", 0)
    recording = corpus["a"]
    assert np.array_equal(recording.rr.rr_ms, series(850.0).rr_ms)
    assert np.array_equal(recording.rr.t_s, series(850.0).t_s)
    assert (recording.seizures, recording.unusable, recording.is_annotated) == (SEIZURES, UNUSABLE, True)
    assert np.array_equal(recording.rises_bpm, [20.0, np.nan], equal_nan=True)
    assert recording.start == datetime(2020, 1, 2, 3, 4, 5)
    assert recording.source == "source of a"
    unannotated = corpus["b"]
    assert (unannotated.seizures, unannotated.is_annotated, len(unannotated.rises_bpm)) == ((), False, 0)


def test_a_file_of_another_corpus_is_refused(tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path)
    write_corpus(tmp_path, 700.0)
    with pytest.raises(AuraError, match=r"the file of recording 'a' in .* has changed since its table was written"):
        corpus["a"]
    assert PreparedCorpus.find(tmp_path, channels="channels") is not None


def test_a_corpus_is_current_until_a_file_is_lost_or_replaced(tmp_path: Path) -> None:
    assert PreparedCorpus.find(tmp_path, channels="channels") is None
    write_corpus(tmp_path)
    assert PreparedCorpus.find(tmp_path, channels="channels") is not None
    assert PreparedCorpus.find(tmp_path, channels="other") is None
    writer = PreparedWriter(tmp_path)
    row = write_recording(writer, "a", series(850.0), SEIZURES[:1])
    assert PreparedCorpus.find(tmp_path, channels="channels") is None
    writer.remove(row["recording"])
    assert PreparedCorpus.find(tmp_path, channels="channels") is None


def test_a_folder_without_tables_is_not_opened(tmp_path: Path) -> None:
    with pytest.raises(AuraError, match=r"has no recordings\.parquet; run prepare with these settings first"):
        PreparedCorpus.open(tmp_path)
    with pytest.raises(AuraError, match=r"has no recordings\.parquet; run featurize with these settings first"):
        FeatureStore.open(tmp_path)


def test_the_ecg_needs_the_root(tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path)
    with pytest.raises(RecordingError, match="the folder of the corpus is not known"):
        corpus["a"].ecg()
    with pytest.raises(RecordingError) as error:
        replace(corpus, root=tmp_path)["a"].ecg()
    assert error.value.reason == "unreadable_edf"


@pytest.mark.parametrize("has_links", [True, False])
def test_unchanged_recordings_are_reused_from_an_earlier_root(
    has_links: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Path, target: Path) -> None:
        raise PermissionError(1, "Operation not permitted")

    if not has_links:
        monkeypatch.setattr(Path, "hardlink_to", refuse)
    write_corpus(tmp_path / "earlier")
    writer = PreparedWriter(tmp_path / "new", (tmp_path / "earlier", tmp_path / "gone"))
    assert writer.find("a", "another source") is None
    assert not (tmp_path / "new").exists()
    row = writer.find("a", "source of a")
    assert row is not None
    assert row["recording"] == "a"
    old, new = (tmp_path / name / "rr" / "a.parquet" for name in ("earlier", "new"))
    assert new.read_bytes() == old.read_bytes()
    assert new.samefile(old) is has_links
    # A later write to one folder does not change the other.
    before = old.read_bytes()
    write_recording(writer, "a", series(700.0), None)
    assert old.read_bytes() == before != new.read_bytes()
    assert sorted(path.name for path in (tmp_path / "new" / "rr").iterdir()) == ["a.parquet"]


def test_features_are_current_for_the_corpus_they_were_made_from(tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "prepared")
    writer, folder = FeatureWriter(tmp_path / "features"), tmp_path / "features"
    summaries = []
    for name in corpus:
        recording = corpus[name]
        windows = corpus.recordings.head(0)[["recording"]]
        summary = {"recording": name, "n_windows": 0, "missing_share": 0.0, "coverage": 0.0, "corrected": 0.0}
        writer.write({**summary, "digest": "d"}, windows, recording.row["rr_digest"])
        summaries.append({**summary, "digest": "d", "seizures": None, "rises_bpm": None})
    table = features_table(corpus, summary_table(summaries))
    writer.write_table(table, corpus, run_id="made")
    store = FeatureStore.find(folder, corpus)
    assert store is not None
    assert (store.run_id, store.prepare_run_id) == ("made", "run")
    assert store.columns("a") == store.windows("a").columns.tolist() == ["recording"]
    # Features are outdated after another run of prepare, or if they belong to other RR intervals.
    assert FeatureStore.find(folder, replace(corpus, run_id="later")) is None
    writer.write({"recording": "a"}, corpus.recordings.head(0), "other RR intervals")
    assert FeatureStore.find(folder, corpus) is None
    with pytest.raises(AuraError, match="run featurize again"):
        store.windows("a")
