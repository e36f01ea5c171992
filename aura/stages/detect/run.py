"""From EDF files to annotations: what a registered detector finds, and what it could not look at."""

import hashlib
from collections.abc import Sequence
from dataclasses import fields, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from aura.assembly import is_synthetic, open_prepared
from aura.config.build import prefixed
from aura.config.schema import Config, DatasetConfig, PrepareConfig, QualityConfig
from aura.core.errors import AuraError
from aura.core.events import Event
from aura.core.files import write_whole
from aura.core.parquet import read_meta, write_table
from aura.core.provenance import Provenance
from aura.core.ranges import check_fields
from aura.corpora import other_files
from aura.detection.detector import SeizureDetector
from aura.evaluation.results import ScoredRecording, describe_alarms, evaluate
from aura.execution import telemetry
from aura.formats.detections import FORMATS, sidecar, write_detections
from aura.reports import text
from aura.reports.page import describe_doubt, index
from aura.stages import prepare
from aura.stages._pages import draw_page
from aura.stages.detect import DetectConfig
from aura.stages.evaluate.run import score_prepared
from aura.tracking import registry, runs
from aura.tracking.registry import Registered
from aura.workspace.prepared import PreparedRecording

# Recordings that are printed; all are in the table.
N_SHOWN = 20
# Pages that are logged, of what deserves a look most; all are in the folder.
N_LOGGED = 10

# Types of the columns that say which detector it was; missing where that is not recorded.
PROVENANCE = {
    **dict.fromkeys(("model", "version", "run", "training_corpus", "training_software", "training_date"), "str"),
    "synthetic_training": "boolean",
    "threshold": "float64",
    "software": "str",
    "date": "str",
}


def run(config: Config) -> None:
    """Find seizures in an EDF file, or in those of a folder, and write an annotation file for each.

    They are prepared first, as a child run, in the way in which the recordings were that the model was trained on.
    """
    wanted = config.section(DetectConfig)
    if wanted.edf is None:
        raise AuraError("say in what; write edf=recording.edf, or edf=FOLDER")
    if wanted.format not in FORMATS:
        raise AuraError(f"detect.format={wanted.format}; allowed are {', '.join(FORMATS)}")
    edf, output = Path(wanted.edf), Path(wanted.output)
    _check_places(edf, output)
    with runs.stage_run("detect", config) as active:
        address = wanted.model or registry.default_address(config)
        registered = registry.load(address, runtime=config.serving.runtime)
        provenance = registered.provenance
        runs.log_params({"detect.run_id": registered.run_id, "detect.format": wanted.format})
        runs.log_json(provenance.to_dict(), "provenance.json")
        config = _prepared_alike(config, registered.detector, edf)
        synthetic_data = is_synthetic(config)
        warning = provenance.warning(synthetic_data=synthetic_data)
        prepare.STAGE.run(config)
        corpus = open_prepared(config)
        recordings, failures = corpus.recordings, corpus.failures
        rows, assessed = [], []
        for name in tqdm(corpus, desc="detect", unit="recording", dynamic_ncols=True):
            recording = corpus[name]
            one = score_prepared(config, registered.detector, recording)
            events = describe_alarms(registered.detector.alarms, one)
            target = output / f"{one.recording}{FORMATS[wanted.format]}"
            _write(target, one, events, recording.start, provenance)
            html = draw_page(recording, one, *events, provenance, synthetic_data=synthetic_data)
            write_whole(output / f"{one.recording}.html", partial(Path.write_text, data=html, encoding="utf-8"))
            rows.append(_summary(recording, one, *events, target))
            if recording.is_annotated:
                assessed.append(one)
        table = (
            pd.DataFrame(rows)
            .astype({"annotated": "Int64"})
            .sort_values(["seizures", "max_score"], ascending=False, ignore_index=True)
            .assign(**provenance.to_dict())
            .astype(PROVENANCE)
        )
        write_table(
            output / "detections.parquet", table, {"run_id": active.info.run_id, "provenance": provenance.to_dict()}
        )
        html = index(table, failures, str(provenance), warning)
        write_whole(output / "index.html", partial(Path.write_text, data=html, encoding="utf-8"))
        pages = [f"{recording}.html" for recording in table["recording"].head(N_LOGGED)]
        runs.log_files([output / file for file in ("index.html", *pages)])
        runs.log_table(table, "detections.json")
        runs.log_table(failures, "failures.json")
        hours = float(recordings["duration_s"].sum() / 3600)
        n_found = int(table["seizures"].sum())
        telemetry.count(recordings=len(table), recorded_s=3600 * hours, alarms=n_found)
        assessed_h = hours - float(table["not_assessed_s"].sum()) / 3600
        numbers = {"recordings": len(table), "failures": len(failures), "hours": hours}
        runs.log_metrics({**numbers, "seizures": n_found, "assessed_hours": assessed_h})
        said = (
            f"detect: {n_found} seizures in {len(table)} recordings of {hours:.1f} h, "
            f"{100 * assessed_h / hours:.1f} % of it assessed; see {output / 'index.html'}\n"
        )
        said += f"  made by {provenance}\n" + (f"  warning: {warning}\n" if warning else "")
        said += "\n".join(_line(row) for row in table.head(N_SHOWN).to_dict("records"))
        if len(table) > N_SHOWN:
            rest = table.iloc[N_SHOWN:]
            n_doubtful = sum("doubtful_beats" in codes.split(";") for codes in rest["remarks"])
            said += f"\n  and {len(rest)} more in {output / 'detections.parquet'}"
            said += f", {n_doubtful} of them with doubtful heartbeats" if n_doubtful else ""
        if any(one.targets for one in assessed):
            evaluation = evaluate(assessed, registered.detector.alarms, config.event_rules)
            scores = evaluation.scores(seed=config.seed)
            runs.log_metrics(scores)
            said += f"\n\nagainst the annotations of {len(assessed)} recordings"
            said += f"{_of_them_seen(config, registered, recordings)}:\n\n{text.summary(scores, 'these recordings')}"
    print(said)


def _check_places(edf: Path, output: Path) -> None:
    """Refuse what is not there, before a model is loaded."""
    try:
        if not edf.exists():
            raise AuraError(f"edf={edf} is not there")
        is_file = edf.is_file()
    except OSError as error:
        raise AuraError(f"edf={edf} cannot be read: {error.strerror}") from error
    if is_file and edf.suffix.lower() != ".edf":
        helps = f"; {advice}" if (advice := other_files.advice([other_files.kind_of(edf.name)])) else ""
        raise AuraError(f"edf={edf} is no .edf file; allowed are such a file, or a folder of them{helps}")
    if output.exists() and not output.is_dir():
        raise AuraError(f"output={output} is no folder")


def _of_them_seen(config: Config, registered: Registered, recordings: pd.DataFrame) -> str:
    """Say of how many subjects the scores are too good, since the detector was trained on them."""
    seen = registered.seen(config.dataset.name, recordings)
    if seen is None:
        return " (nobody knows whether it was trained on some of them)"
    n_seen = recordings["subject"][seen].nunique()
    return f" (it was trained on {n_seen} of the {recordings['subject'].nunique()} subjects)" if n_seen else ""


def _prepared_alike(config: Config, detector: SeizureDetector, edf: Path) -> Config:
    """Configuration by which the files are prepared as those were that the detector was trained on."""
    root = edf
    if edf.is_file():
        # The annotations of BIDS may lie in the folder beside.
        root = edf.parent.parent if edf.parent.name in ("ecg", "eeg") else edf.parent
    below = edf.relative_to(root).as_posix() if edf.is_file() else None
    name = config.dataset.name if config.dataset.synthesis is None else "detect"
    dataset: DatasetConfig = replace(config.dataset, name=name, root=str(root), edf=below, synthesis=None)
    # One file that cannot be read says nothing of the others, nor does it matter whose a recording is.
    config = replace(config, dataset=dataset, prepare=PrepareConfig(max_failed_share=1.0, needs_subject=False))
    if not detector.beats:
        return config
    # Settings that the model does not know, since they are newer, stay as they are configured.
    try:
        quality: QualityConfig = replace(config.quality, **detector.beats["quality"])
    except TypeError as error:
        known = ", ".join(field.name for field in fields(QualityConfig))
        raise AuraError(f"the model names settings of quality that there are not; there are {known}") from error
    with prefixed("quality."):
        check_fields(quality)
    return replace(config, detector=detector.beats["detector"], quality=quality)


def _write(
    target: Path,
    one: ScoredRecording,
    events: tuple[Sequence[Event], Sequence[Event]],
    start: datetime | None,
    provenance: Provenance,
) -> None:
    """Write the annotations of a recording, and what was found step by step, but not over what others annotated."""
    with TemporaryDirectory() as scratch:
        made = Path(scratch) / target.name
        write_detections(made, *events, start=start, duration_s=one.duration_s, about=provenance.to_dict())
        # With the file that BIDS has beside it, where there is one.
        contents = {path.name: path.read_bytes() for path in sorted(made.parent.iterdir())}
    steps = target.with_name(f"{one.recording}_probability.parquet")
    before = read_meta(steps) or {}
    ours = {before.get("annotations"), before.get("sidecar")}
    for name, content in contents.items():
        path = target.with_name(name)
        if path.exists() and (there := path.read_bytes()) != content and hashlib.sha256(there).hexdigest() not in ours:
            raise AuraError(
                f"output={target.parent}: {name} was written or changed by somebody else; move it away, or give "
                "another output"
            )
    end_s = (np.arange(len(one.score)) + 1) * one.step_s
    frame = pd.DataFrame({"t_s": end_s, "probability": one.probability, "score": one.score})
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    made_of = {
        "threshold": one.threshold,
        "annotations": digests[target.name],
        "sidecar": digests.get(sidecar(target).name),
        "provenance": provenance.to_dict(),
    }
    write_table(steps, frame, made_of)
    for name, content in contents.items():
        write_whole(target.with_name(name), partial(Path.write_bytes, data=content))


def _summary(
    recording: PreparedRecording,
    one: ScoredRecording,
    seizures: Sequence[Event],
    not_assessed: Sequence[Event],
    target: Path,
) -> dict[str, Any]:
    """What is said of a recording in the table."""
    return {
        "recording": one.recording,
        "subject": one.subject,
        "hours": one.duration_s / 3600,
        "seizures": len(seizures),
        "seizure_s": sum(event.duration_s for event in seizures),
        "not_assessed_s": sum(event.duration_s for event in not_assessed),
        "max_score": float(np.nanmax(one.score, initial=0.0)),
        "annotated": len(one.seizures) if recording.is_annotated else None,
        "file": target.name,
        "normal_share": recording.row["normal_share"],
        "remarks": recording.row["remarks"],
    }


def _line(row: dict[Any, Any]) -> str:
    """What is printed of a recording."""
    minutes = row["not_assessed_s"] / 60
    blind = f", {minutes:.1f} min not assessed" if minutes >= 0.05 else ""
    doubt = describe_doubt(row["normal_share"], row["remarks"])
    warning = f"; warning: {doubt}" if doubt else ""
    return f"  {row['file']}: {row['seizures']} seizures in {row['hours']:.2f} h{blind}{warning}"
