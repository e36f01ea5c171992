"""Recordings to RR intervals: one Parquet per recording, a table of the recordings, and one of the failures."""

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
from hydra.utils import instantiate
from omegaconf import OmegaConf

from aura.config.schema import Config
from aura.core.errors import AuraError
from aura.core.files import remove_partials
from aura.core.parquet import write_table
from aura.core.paths import CONF
from aura.corpora.discovery import Corpus, find, find_one
from aura.corpora.names import Names, key_from_environment
from aura.corpora.other_files import advice, describe
from aura.detection.components import build_beat_detector
from aura.execution import telemetry
from aura.execution.shares import share
from aura.formats.vocabulary import Words
from aura.processing.bookkeeping import PrepareRecording, prepare_all
from aura.processing.preparation import EcgChannel, Preparation
from aura.synthetic.corpus import MANIFEST
from aura.tracking import runs
from aura.workspace.folders import channels_digest, prepared_folder

RECORDINGS = {
    "recording": "str",
    "subject": "str",
    "session": "str",
    "split": "str",
    "layout": "str",
    "edf": "str",
    "annotations": "str",
    "others": "str",
    "channel": "str",
    "signal": "int64",
    "unit": "str",
    "start": "str",
    "fs_hz": "float64",
    "duration_s": "float64",
    "usable_share": "float64",
    "n_beats": "int64",
    "normal_share": "float64",
    "alike_share": "float64",
    "n_gaps": "int64",
    "n_excluded": "int64",
    "annotated": "bool",
    "n_seizures": "Int64",
    "seizure_s": "float64",
    "n_clipped": "int64",
    "n_united": "int64",
    "n_extended": "int64",
    "n_outside": "int64",
    "n_uncertain": "int64",
    "n_unknown": "int64",
    "unknown": "str",
    "problem": "str",
    "remarks": "str",
    "rr_digest": "str",
    "digest": "str",
}
FAILURES = {"recording": "str", "path": "str", "others": "str", "stage": "str", "reason": "str", "message": "str"}
# Failures that are printed, and recordings with each remark; all are in the tables.
N_FAILURES, N_REMARKED = 20, 3
COUNTED = {
    "gaps": ("n_gaps", "gaps"),
    "excluded_records": ("n_excluded", "data records"),
    "clipped_events": ("n_clipped", "events"),
    "united_events": ("n_united", "events"),
    "extended_events": ("n_extended", "events"),
    "seizures_outside": ("n_outside", "events"),
    "uncertain_events": ("n_uncertain", "events"),
    "unknown_labels": ("n_unknown", "events"),
}


@telemetry.measured("prepare")
def run(config: Config) -> None:
    """Prepare all recordings of the corpus that are not, or have changed since.

    Of a partition, only its share of them, and no table: that is for the run without one to write, when all is done.
    """
    root = _root(config)
    names = Names(root, key_from_environment() if config.dataset.pseudonyms else None)
    folder = prepared_folder(config)
    if config.dataset.edf is None:
        corpus = find(root, config.dataset.layouts, config.dataset.name)
    else:
        corpus = find_one(root / config.dataset.edf, root, config.dataset.layouts, config.dataset.name)
    if not config.prepare.needs_subject:
        refs = tuple(replace(ref, subject=ref.subject or ref.recording) for ref in corpus.refs)
        corpus = replace(corpus, refs=refs)
    if not corpus.n_edf:
        raise AuraError(f"dataset.root, the folder {root.name!r}, holds no .edf file{_instead(corpus)}")
    _check_subjects(config, corpus)
    print(f"prepare: {_found(corpus)}")
    if config.partition is not None:
        corpus = replace(corpus, refs=tuple(share(corpus.refs, config.partition)), rejects=())

    work = PrepareRecording(preparation(config), names, folder)
    with runs.stage_run("prepare", config) as active:
        remove_partials(folder)
        outcomes = prepare_all(corpus, work, instantiate(config.compute))
        recordings = _table([o.row for o in outcomes if not o.failed], RECORDINGS, ["recording"])
        failures = _table([o.row for o in outcomes if o.failed], FAILURES, ["path", "reason"])
        made_with = {"run_id": active.info.run_id, "channels": channels_digest(config)}
        if config.partition is None:
            write_table(folder / "recordings.parquet", recordings, made_with)
            write_table(folder / "failures.parquet", failures, {})
        _log(recordings, failures, len(outcomes))
        telemetry.count(
            recordings=len(recordings), failures=failures["reason"], recorded_s=float(recordings["duration_s"].sum())
        )
        summary = _summary(recordings, failures, folder, sum(o.new for o in outcomes))
        if config.partition is not None:
            print(summary, f"  share {config.partition}; prepare without partition writes the tables", sep="\n")
            return
        if refusal := _refusal(recordings, failures, config.prepare.max_failed_share):
            print(summary)
            raise AuraError(refusal)
    print(summary)


def _root(config: Config) -> Path:
    """Folder of the corpus; messages do not name the whole path, which can name people and places."""
    root = Path(config.dataset.root)
    try:
        is_folder = root.is_dir()
        is_synthetic = is_folder and (root / MANIFEST).is_file()
    except OSError as error:
        message = f"dataset.root, which ends in {root.name!r}, cannot be read: {error.strerror}"
        raise AuraError(message) from error
    synthetic = config.dataset.synthesis is not None
    if not is_folder:
        default = synthetic and config.dataset.root == OmegaConf.load(CONF / "dataset" / "synthetic.yaml").root
        hint = "run `python -m aura synthesize` to make it" if default else "give a folder that is there"
        raise AuraError(f"dataset.root, which ends in {root.name!r}, is no folder; {hint}")
    if synthetic and not is_synthetic:
        raise AuraError("dataset.root holds no synthetic corpus; for recordings of your own add dataset=any")
    return root


def _instead(corpus: Corpus) -> str:
    """Say what there is where there is no EDF file, and what helps."""
    there = [f"{corpus.n_annotations} annotation files"] if corpus.n_annotations else []
    there += (
        [f"{len(corpus.rejects)} folders that cannot be read"] if not corpus.n_annotations and corpus.rejects else []
    )
    there += [describe(corpus.passed_over)] if corpus.passed_over else []
    helps = advice([kind for kind, _ in corpus.passed_over])
    return (f", but {', '.join(there)}" if there else "") + (f"; {helps}" if helps else "")


def preparation(config: Config) -> Preparation:
    """How the configuration says that recordings are prepared."""
    second = config.quality.second_detector
    return Preparation(
        channel=EcgChannel(tuple(config.dataset.channels), config.dataset.unit),
        subject_channels={
            one.subject: EcgChannel(tuple(one.channels or config.dataset.channels), one.unit or config.dataset.unit)
            for one in config.dataset.subject_channels
        },
        detector=build_beat_detector("detector", config.detector),
        second_detector=None if second is None else build_beat_detector("quality.second_detector", second),
        flat_mv=config.quality.flat_mv,
        max_mv=config.quality.max_mv,
        min_agreement=config.quality.min_agreement,
        min_seizure_s=config.dataset.min_seizure_s,
        words=Words(tuple(config.dataset.words.seizure), tuple(config.dataset.words.background)),
        timezone=None if config.dataset.timezone is None else ZoneInfo(config.dataset.timezone),
    )


def _check_subjects(config: Config, corpus: Corpus) -> None:
    """Refuse channels of a subject that there is not."""
    subjects = {ref.subject for ref in corpus.refs}
    for number, one in enumerate(config.dataset.subject_channels, start=1):
        if one.subject not in subjects and config.dataset.pseudonyms:
            # What is printed is kept as well, by clusters and workflow engines.
            raise AuraError(
                f"dataset.subject_channels: the corpus has no subject of the name that entry {number} gives; its "
                f"{len(subjects)} subjects are not named, because of dataset.pseudonyms=true"
            )
        if one.subject not in subjects:
            some = ", ".join(sorted(subjects)[:5])
            raise AuraError(
                f"dataset.subject_channels: the corpus has no subject {one.subject!r}; there are {some}"
                + (" and others" if len(subjects) > 5 else "")
            )


def _found(corpus: Corpus) -> str:
    """What there is, in words."""
    layouts = Counter(ref.layout.rpartition(".")[2] for ref in corpus.refs)
    said = ", ".join(f"{n} {layout}" for layout, n in layouts.most_common()) or "none in a known layout"
    return (
        f"{corpus.n_edf} EDF and {corpus.n_annotations} annotation files are {len(corpus.refs)} recordings ({said})"
        + (f"; {len(corpus.rejects)} of them belong to none" if corpus.rejects else "")
        + (f"; other files, passed over: {describe(corpus.passed_over)}" if corpus.passed_over else "")
    )


def _summary(recordings: pd.DataFrame, failures: pd.DataFrame, folder: Path, n_new: int) -> str:
    """What became of it, in words."""
    n_found = len(recordings) + len(failures)
    annotated = recordings[recordings["annotated"]]
    lines = [
        f"prepare: {n_found} found, {len(recordings)} prepared ({n_new} now, {len(recordings) - n_new} unchanged), "
        f"{len(failures)} failed; in {folder}"
    ]
    if len(recordings):
        lines.append(
            f"  {recordings['duration_s'].sum() / 3600:.1f} h, "
            f"{100 * np.average(recordings['usable_share'], weights=recordings['duration_s']):.1f} % usable ECG, "
            f"{100 * np.average(recordings['normal_share'], weights=recordings['n_beats']):.1f} % normal intervals, "
            f"{len(annotated)} annotated, with {annotated['n_seizures'].sum()} seizures"
        )
    for remark, n in _remarks(recordings).most_common():
        having = recordings[[remark in codes.split(";") for codes in recordings["remarks"]]]
        count = ""
        if remark in COUNTED:
            column, noun = COUNTED[remark]
            count = f" ({having[column].sum()} {noun})"
        first = having.head(N_REMARKED)
        if remark == "unknown_labels":
            names = ", ".join(
                edf if pd.isna(texts) else f"{edf} ({texts})"
                for edf, texts in zip(first["edf"], first["unknown"], strict=True)
            )
        else:
            names = ", ".join(first["edf"])
        lines.append(f"  prepared, but {remark}: {n}{count}: {names}" + (", ..." if n > N_REMARKED else ""))
    problems = recordings[recordings["problem"].notna()]
    lines += [f"    {edf}: {problem}" for edf, problem in zip(problems["edf"], problems["problem"], strict=True)][
        :N_FAILURES
    ]
    if len(problems) > N_FAILURES:
        lines.append(f"    and {len(problems) - N_FAILURES} more in recordings.parquet")
    for reason, n in Counter(failures["reason"]).most_common():
        lines.append(f"  failed, {reason}: {n}")
    # What a named layout leaves aside was not asked for.
    messages = failures.loc[failures["reason"] != "not_in_layout", "message"]
    lines += [f"    {message}" for message in messages.head(N_FAILURES)]
    if len(messages) > N_FAILURES:
        lines.append(f"    and {len(messages) - N_FAILURES} more in failures.parquet")
    return "\n".join(lines)


def _remarks(recordings: pd.DataFrame) -> Counter[str]:
    """How many recordings have each remark."""
    return Counter(code for codes in recordings["remarks"] for code in codes.split(";") if code)


def _log(recordings: pd.DataFrame, failures: pd.DataFrame, n_found: int) -> None:
    """Log the tables, and the numbers of them."""
    reasons = Counter(failures["reason"])
    rows = [("failed", *item) for item in reasons.most_common()]
    rows += [("prepared, but", *item) for item in _remarks(recordings).most_common()]
    runs.log_table(pd.DataFrame(rows, columns=["what", "code", "recordings"]), "summary.json")
    # Texts of annotations can name people.
    runs.log_table(recordings.drop(columns=["rr_digest", "digest", "unknown"]), "recordings.json")
    runs.log_table(failures, "failures.json")
    runs.log_metrics(
        {
            "found": n_found,
            "recordings": len(recordings),
            "failures": len(failures),
            **{f"failed.{reason}": n for reason, n in reasons.items()},
            "hours": float(recordings["duration_s"].sum() / 3600),
            "seizures": int(recordings["n_seizures"].sum()),
            "beats": int(recordings["n_beats"].sum()),
        }
    )


def _refusal(recordings: pd.DataFrame, failures: pd.DataFrame, max_failed_share: float) -> str | None:
    """Say why a run is a failure, of which nothing, or too little, is left."""
    if not len(recordings):
        return f"nothing could be prepared; the first failure: {failures['message'].iloc[0]}"
    n_failed = int((failures["reason"] != "not_in_layout").sum())
    n_asked = len(recordings) + n_failed
    if n_failed <= max_failed_share * n_asked:
        return None
    return (
        f"{n_failed} of {n_asked} failed, more than prepare.max_failed_share={max_failed_share:g} allows; "
        "what was prepared is kept"
    )


def _table(rows: list[dict[str, Any]], columns: dict[str, str], by: list[str]) -> pd.DataFrame:
    """Rows as a sorted table, its columns typed even when there are none."""
    return pd.DataFrame(rows, columns=list(columns)).astype(columns).sort_values(by, ignore_index=True)
