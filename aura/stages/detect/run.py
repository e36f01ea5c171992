"""Detect seizures in EDF files with a registered detector, and write annotations and pages."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd

from aura.assembly import is_synthetic, open_prepared
from aura.config.build import prefixed
from aura.config.schema import Config, DatasetConfig, PrepareConfig, QualityConfig
from aura.core.errors import AuraError
from aura.core.files import write_whole
from aura.core.parquet import read_meta, write_table
from aura.core.provenance import Provenance
from aura.core.ranges import check_fields
from aura.core.wording import counted
from aura.detection.alarms import Detections
from aura.detection.detector import SeizureDetector
from aura.evaluation.results import ScoredRecording, describe_alarms, evaluate
from aura.execution import telemetry
from aura.execution.progress import show_progress
from aura.formats.detections import FORMATS, sidecar, write_detections
from aura.processing.preparation import NO_ANNOTATIONS
from aura.reports.page import draw_index
from aura.reports.page_content import describe_doubt
from aura.reports.text import summarize_scores
from aura.stages import prepare
from aura.stages._pages import draw_page
from aura.stages.detect import DetectConfig
from aura.stages.evaluate.run import score_prepared
from aura.tracking import logs, registry, runs
from aura.tracking.registry import Registered
from aura.workspace.prepared import PreparedRecording

# Recordings that are printed; the table has all.
N_SHOWN = 20
# Pages that are logged, those with the most seizures; the output folder has all.
N_LOGGED = 10

# Types of the columns that identify the detector; their values are missing if they are not recorded.
PROVENANCE = {
    **dict.fromkeys(("model", "version", "run", "training_corpus", "training_software", "training_date"), "str"),
    "synthetic_training": "boolean",
    "threshold": "float64",
    "software": "str",
    "date": "str",
}


@dataclass(frozen=True, slots=True, eq=False)
class _Results:
    """Detections in all recordings.

    Parameters
    ----------
    table
        A row per recording, those with the most seizures first.
    recordings, failures
        Tables of the prepared recordings, and of the files that could not be prepared.
    annotated
        Scored recordings that have annotations.
    """

    table: pd.DataFrame
    recordings: pd.DataFrame
    failures: pd.DataFrame
    annotated: list[ScoredRecording]

    @property
    def hours(self) -> float:
        """Recorded time in hours."""
        return float(self.recordings["duration_s"].sum() / 3600)

    @property
    def assessed_hours(self) -> float:
        """Assessed time in hours."""
        return self.hours - float(self.table["not_assessed_s"].sum()) / 3600

    @property
    def n_seizures(self) -> int:
        """Number of detected seizures."""
        return int(self.table["seizures"].sum())


def run(config: Config) -> None:
    """Detect seizures in an EDF file, or in those of a folder, and write an annotation file for each.

    The files are prepared first, as a child run, with the settings by which the training recordings of the detector
    were prepared.
    """
    wanted = config.section(DetectConfig)
    assert wanted.edf is not None
    edf, output = Path(wanted.edf), Path(wanted.output)
    with runs.stage_run("detect", config) as active:
        registered = registry.load_or_default(config, wanted.model)
        logs.log_params({"detect.run_id": registered.run_id, "detect.format": wanted.format})
        logs.log_json(registered.provenance.to_dict(), "provenance.json")
        config = _adopt_preparation(config, registered.detector, edf)
        prepare.STAGE.run(config)
        results = detect(config, registered, output, FORMATS[wanted.format])
        write_results(results, output, registered.provenance, _warning(config, registered), active.info.run_id)
        scores = _score_annotated(config, registered, results)
        log_results(results, scores, output)
    print(describe(config, registered, results, scores, output))


def detect(config: Config, registered: Registered, output: Path, suffix: str) -> _Results:
    """Detect seizures in the prepared recordings, and write annotations, probabilities and page of each."""
    provenance = registered.provenance
    corpus, synthetic_data = open_prepared(config), is_synthetic(config)
    rows, annotated = [], []
    for name in show_progress(corpus, title="detect", unit="recording"):
        recording = corpus[name]
        scored = score_prepared(config, registered.detector, recording)
        detections = describe_alarms(registered.detector.alarms, scored)
        target = output / f"{name}{suffix}"
        _write_annotations(target, scored, detections, recording.start, provenance)
        html = draw_page(recording, scored, detections, provenance, synthetic_data=synthetic_data)
        write_whole(output / f"{name}.html", partial(Path.write_text, data=html, encoding="utf-8"))
        rows.append(_summarize_recording(recording, scored, detections, target))
        if recording.is_annotated:
            annotated.append(scored)
    table = (
        pd.DataFrame(rows)
        .astype({"annotated": "Int64"})
        .sort_values(["seizures", "max_score"], ascending=False, ignore_index=True)
        .assign(**provenance.to_dict())
        .astype(PROVENANCE)
    )
    return _Results(table, corpus.recordings, corpus.failures, annotated)


def write_results(results: _Results, output: Path, provenance: Provenance, warning: str | None, run_id: str) -> None:
    """Write the table of recordings and the page that lists them."""
    meta = {"run_id": run_id, "provenance": provenance.to_dict()}
    write_table(output / "detections.parquet", results.table, meta)
    html = draw_index(results.table, results.failures, str(provenance), warning)
    write_whole(output / "index.html", partial(Path.write_text, data=html, encoding="utf-8"))


def log_results(results: _Results, scores: Mapping[str, float], output: Path) -> None:
    """Log pages, tables, numbers and scores."""
    table, failures = results.table, results.failures
    pages = [f"{recording}.html" for recording in table["recording"].head(N_LOGGED)]
    logs.log_files([output / file for file in ("index.html", *pages)])
    logs.log_table(table, "detections.json")
    logs.log_table(failures, "failures.json")
    telemetry.count(recordings=len(table), recorded_s=3600 * results.hours, alarms=results.n_seizures)
    logs.log_metrics(
        {
            "recordings": len(table),
            "failures": len(failures),
            "hours": results.hours,
            "seizures": results.n_seizures,
            "assessed_hours": results.assessed_hours,
            **scores,
        }
    )


def describe(
    config: Config, registered: Registered, results: _Results, scores: Mapping[str, float], output: Path
) -> str:
    """Describe the detections in words, for the terminal."""
    table, warning = results.table, _warning(config, registered)
    text = (
        f"detect: {counted(results.n_seizures, 'seizure')} in {counted(len(table), 'recording')} of "
        f"{results.hours:.1f} h, {100 * results.assessed_hours / results.hours:.1f} % of it assessed; "
        f"see {output / 'index.html'}\n"
    )
    text += f"  made by {registered.provenance}\n" + (f"  warning: {warning}\n" if warning else "")
    text += "\n".join(_describe_recording(row) for row in table.head(N_SHOWN).to_dict("records"))
    if len(table) > N_SHOWN:
        rest = table.iloc[N_SHOWN:]
        n_doubtful = sum("doubtful_beats" in codes.split(";") for codes in rest["remarks"])
        text += f"\n  and {len(rest)} more in {output / 'detections.parquet'}"
        text += f", {n_doubtful} of them with doubtful heartbeats" if n_doubtful else ""
    if scores:
        text += f"\n\ncompared with the annotations of {counted(len(results.annotated), 'recording')}"
        text += f"{_describe_seen(config, registered, results.recordings)}:\n\n"
        text += summarize_scores(scores, "these recordings")
    return text


def _warning(config: Config, registered: Registered) -> str | None:
    return registered.provenance.warning(synthetic_data=is_synthetic(config))


def _score_annotated(config: Config, registered: Registered, results: _Results) -> dict[str, float]:
    """Score the detections in annotated recordings; empty if no seizure is annotated."""
    if not any(scored.targets for scored in results.annotated):
        return {}
    evaluation = evaluate(results.annotated, registered.detector.alarms, config.event_rules)
    return evaluation.scores(seed=config.seed)


def _describe_seen(config: Config, registered: Registered, recordings: pd.DataFrame) -> str:
    """Describe how many subjects the detector was trained on, since their scores are too good."""
    seen = registered.has_seen(config.dataset.name, recordings)
    if seen is None:
        return " (it is not recorded whether the model was trained on some of them)"
    n_seen, n = recordings["subject"][seen].nunique(), recordings["subject"].nunique()
    return f" (the model was trained on {n_seen} of {counted(n, 'subject')})" if n_seen else ""


def _adopt_preparation(config: Config, detector: SeizureDetector, edf: Path) -> Config:
    """Return a configuration that prepares the files as the training recordings of the detector were prepared."""
    root = edf
    if edf.is_file():
        # In BIDS, annotations may lie in a sibling folder.
        root = edf.parent.parent if edf.parent.name in ("ecg", "eeg") else edf.parent
    below = edf.relative_to(root).as_posix() if edf.is_file() else None
    name = config.dataset.name if config.dataset.synthesis is None else "detect"
    dataset: DatasetConfig = replace(config.dataset, name=name, root=str(root), edf=below, synthesis=None)
    # A file that cannot be read does not affect the others, and detection does not need the subject.
    config = replace(config, dataset=dataset, prepare=PrepareConfig(max_failed_share=1.0, needs_subject=False))
    if not detector.beats:
        return config
    # Settings that are newer than the model stay as they are configured.
    try:
        quality: QualityConfig = replace(config.quality, **detector.beats["quality"])
    except TypeError as error:
        known = ", ".join(field.name for field in fields(QualityConfig))
        raise AuraError(f"the model has unknown settings of quality; known are {known}") from error
    with prefixed("quality."):
        check_fields(quality)
    return replace(config, detector=detector.beats["detector"], quality=quality)


def _write_annotations(
    target: Path,
    scored: ScoredRecording,
    detections: Detections,
    start: datetime | None,
    provenance: Provenance,
) -> None:
    """Write the annotations of a recording and the probability of each step; never overwrite somebody else's file."""
    with TemporaryDirectory() as scratch:
        draft = Path(scratch) / target.name
        write_detections(
            draft,
            detections.alarms,
            detections.not_assessed,
            start=start,
            duration_s=scored.duration_s,
            about=provenance.to_dict(),
        )
        # BIDS has a sidecar file as well.
        contents = {path.name: path.read_bytes() for path in sorted(draft.parent.iterdir())}
    steps = target.with_name(f"{scored.recording}_probability.parquet")
    _check_not_foreign(target, contents, read_meta(steps) or {})
    end_s = (np.arange(len(scored.score)) + 1) * scored.step_s
    frame = pd.DataFrame({"t_s": end_s, "probability": scored.probability, "score": scored.score})
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    meta = {
        "threshold": scored.threshold,
        "annotations": digests[target.name],
        "sidecar": digests.get(sidecar(target).name),
        "provenance": provenance.to_dict(),
    }
    write_table(steps, frame, meta)
    for name, content in contents.items():
        write_whole(target.with_name(name), partial(Path.write_bytes, data=content))


def _check_not_foreign(target: Path, contents: Mapping[str, bytes], meta: Mapping[str, Any]) -> None:
    """Raise AuraError if a file to write exists and was not written by an earlier run.

    Parameters
    ----------
    target
        Path of the annotations.
    contents
        Content to write, by file name.
    meta
        Metadata of the earlier run, with the digests of the files that it wrote.
    """
    written = {meta.get("annotations"), meta.get("sidecar")}
    for name, content in contents.items():
        path = target.with_name(name)
        if not path.exists():
            continue
        present = path.read_bytes()
        if present != content and hashlib.sha256(present).hexdigest() not in written:
            raise AuraError(
                f"output={target.parent}: {name} was written or changed by somebody else; move it away, or choose "
                "another output"
            )


def _summarize_recording(
    recording: PreparedRecording, scored: ScoredRecording, detections: Detections, target: Path
) -> dict[str, Any]:
    """Return the row of a recording for the table."""
    return {
        "recording": scored.recording,
        "subject": scored.subject,
        "hours": scored.duration_s / 3600,
        "seizures": len(detections.alarms),
        "seizure_s": sum(event.duration_s for event in detections.alarms),
        "not_assessed_s": sum(event.duration_s for event in detections.not_assessed),
        "max_score": float(np.nanmax(scored.score, initial=0.0)),
        "annotated": len(scored.seizures) if recording.is_annotated else None,
        "file": target.name,
        "normal_share": recording.row["normal_share"],
        "remarks": ";".join(code for code in recording.row["remarks"].split(";") if code != NO_ANNOTATIONS),
    }


def _describe_recording(row: dict[Any, Any]) -> str:
    """Describe a recording on one line."""
    minutes = row["not_assessed_s"] / 60
    not_assessed = f", {minutes:.1f} min not assessed" if minutes >= 0.05 else ""
    doubt = describe_doubt(row["normal_share"], row["remarks"])
    warning = f"; warning: {doubt}" if doubt else ""
    return f"  {row['file']}: {counted(row['seizures'], 'seizure')} in {row['hours']:.2f} h{not_assessed}{warning}"
