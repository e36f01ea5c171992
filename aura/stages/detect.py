"""From EDF files to annotations: what a registered detector finds, and what it could not look at."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from aura import metrics, registry, report, tracking
from aura.config import Config, DatasetConfig, PrepareConfig, QualityConfig
from aura.datasets.detections import FORMATS, write_detections
from aura.errors import AuraError
from aura.evaluation import ScoredRecording, evaluate
from aura.page import index
from aura.registry import Registered
from aura.serving import Detector
from aura.stages import prepare
from aura.stages.evaluate import scored
from aura.stages.folders import prepared_folder
from aura.stages.pages import found, page_of, start_of
from aura.table import read_meta, read_table, write_table, write_whole
from aura.types import Event

# Recordings that are printed; all are in the table.
N_SHOWN = 20
# Pages that are logged, of what deserves a look most; all are in the folder.
N_LOGGED = 10


@metrics.measured("detect")
def run(config: Config) -> None:
    """Find seizures in an EDF file, or in those of a folder, and write an annotation file for each.

    They are prepared first, as a child run, in the way in which the recordings were that the model was trained on.
    """
    if config.detect.edf is None:
        raise AuraError("say in what; write edf=recording.edf, or edf=FOLDER")
    if config.detect.format not in FORMATS:
        raise AuraError(f"detect.format={config.detect.format}; allowed are {', '.join(FORMATS)}")
    edf, output = Path(config.detect.edf), Path(config.detect.output)
    _check_places(edf, output)
    with tracking.stage_run("detect", config) as active:
        registered = registry.load(config.detect.model, runtime=config.serving.runtime)
        tracking.log_params({"detect.run_id": registered.run_id, "detect.format": config.detect.format})
        config = _prepared_alike(config, registered.detector, edf)
        prepare.run(config)
        folder = prepared_folder(config)
        recordings, _ = read_table(folder / "recordings.parquet")
        failures, _ = read_table(folder / "failures.parquet")
        rows, assessed = [], []
        for row in tqdm(recordings.to_dict("records"), desc="detect", unit="recording", dynamic_ncols=True):
            one = scored(config, registered.detector, row)
            events = found(registered.detector.alarms, one)
            target = output / f"{one.recording}{FORMATS[config.detect.format]}"
            _write(target, one, events, start_of(row))
            html = page_of(config, row, one, events, registered.name)
            write_whole(output / f"{one.recording}.html", partial(Path.write_text, data=html, encoding="utf-8"))
            rows.append(_summary(row, one, *events, target))
            if row["annotated"]:
                assessed.append(one)
        table = (
            pd.DataFrame(rows)
            .astype({"annotated": "Int64"})
            .sort_values(["seizures", "max_score"], ascending=False, ignore_index=True)
        )
        write_table(output / "detections.parquet", table, {"run_id": active.info.run_id})
        html = index(table, failures, registered.name)
        write_whole(output / "index.html", partial(Path.write_text, data=html, encoding="utf-8"))
        pages = [f"{recording}.html" for recording in table["recording"].head(N_LOGGED)]
        tracking.log_files([output / file for file in ("index.html", *pages)])
        tracking.log_table(table, "detections.json")
        tracking.log_table(failures, "failures.json")
        hours = float(recordings["duration_s"].sum() / 3600)
        n_found = int(table["seizures"].sum())
        metrics.count(recordings=len(table), recorded_s=3600 * hours, alarms=n_found)
        assessed_h = hours - float(table["not_assessed_s"].sum()) / 3600
        numbers = {"recordings": len(table), "failures": len(failures), "hours": hours}
        tracking.log_metrics({**numbers, "seizures": n_found, "assessed_hours": assessed_h})
        said = (
            f"detect: {n_found} seizures in {len(table)} recordings of {hours:.1f} h, "
            f"{100 * assessed_h / hours:.1f} % of it assessed; see {output / 'index.html'}\n"
        )
        said += "\n".join(_line(row) for row in table.head(N_SHOWN).to_dict("records"))
        if len(table) > N_SHOWN:
            said += f"\n  and {len(table) - N_SHOWN} more in {output / 'detections.parquet'}"
        if any(one.targets for one in assessed):
            evaluation = evaluate(assessed, registered.detector.alarms, config.event_rules)
            scores = evaluation.scores(seed=config.seed)
            tracking.log_metrics(scores)
            said += f"\n\nagainst the annotations of {len(assessed)} recordings"
            said += f"{_of_them_seen(config, registered, recordings)}:\n\n{report.summary(scores, 'these recordings')}"
    print(said)


def _check_places(edf: Path, output: Path) -> None:
    """Refuse what is not there, before a model is loaded."""
    if not edf.exists():
        raise AuraError(f"edf={edf} is not there")
    if edf.is_file() and edf.suffix.lower() != ".edf":
        raise AuraError(f"edf={edf} is no .edf file; allowed are such a file, or a folder of them")
    if output.exists() and not output.is_dir():
        raise AuraError(f"output={output} is no folder")


def _of_them_seen(config: Config, registered: Registered, recordings: pd.DataFrame) -> str:
    """Say of how many subjects the scores are too good, since the detector was trained on them."""
    seen = registered.seen(config.dataset.name, recordings)
    if seen is None:
        return " (nobody knows whether it was trained on some of them)"
    n_seen = recordings["subject"][seen].nunique()
    return f" (it was trained on {n_seen} of the {recordings['subject'].nunique()} subjects)" if n_seen else ""


def _prepared_alike(config: Config, detector: Detector, edf: Path) -> Config:
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
    taught = detector.beats
    if not taught:
        return config
    return replace(config, detector=taught["detector"], quality=QualityConfig(**taught["quality"]))


def _write(
    target: Path, one: ScoredRecording, events: tuple[Sequence[Event], Sequence[Event]], start: datetime | None
) -> None:
    """Write the annotations of a recording, and what was found step by step, but not over what others annotated."""
    with TemporaryDirectory() as scratch:
        made = Path(scratch) / target.name
        write_detections(made, *events, start=start, duration_s=one.duration_s)
        content = made.read_bytes()
    steps = target.with_name(f"{one.recording}_probability.parquet")
    if target.exists() and (there := target.read_bytes()) != content:
        before = read_meta(steps)
        if before is None or before["annotations"] != hashlib.sha256(there).hexdigest():
            raise AuraError(
                f"output={target.parent}: {target.name} was written or changed by somebody else; move it away, or give "
                "another output"
            )
    end_s = (np.arange(len(one.score)) + 1) * one.step_s
    frame = pd.DataFrame({"t_s": end_s, "probability": one.probability, "score": one.score})
    made_of = {"threshold": one.threshold, "annotations": hashlib.sha256(content).hexdigest()}
    write_table(steps, frame, made_of)
    write_whole(target, partial(Path.write_bytes, data=content))


def _summary(
    row: dict[Any, Any], one: ScoredRecording, seizures: Sequence[Event], not_assessed: Sequence[Event], target: Path
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
        "annotated": len(one.seizures) if row["annotated"] else None,
        "file": target.name,
    }


def _line(row: dict[Any, Any]) -> str:
    """What is printed of a recording."""
    minutes = row["not_assessed_s"] / 60
    blind = f", {minutes:.1f} min not assessed" if minutes >= 0.05 else ""
    return f"  {row['file']}: {row['seizures']} seizures in {row['hours']:.2f} h{blind}"
