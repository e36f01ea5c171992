"""Detect the beats of recordings: a file of RR intervals per recording, a table of recordings, one of failures."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from hydra.utils import instantiate

from aura.assembly import build_preparation, channels_digest, find_prepared, open_prepared, prepared_writer
from aura.config.schema import Config
from aura.core.errors import AuraError
from aura.core.wording import counted
from aura.corpora.discovery import Corpus, find_recording, find_recordings
from aura.corpora.names import Names, key_from_environment
from aura.corpora.other_files import advice, describe
from aura.execution import telemetry
from aura.execution.executors import Serial
from aura.execution.shares import select_share
from aura.processing.bookkeeping import Outcome, PrepareRecording, find_unchanged, prepare_all
from aura.processing.preparation import NO_ANNOTATIONS
from aura.stages.prepare import STAGE
from aura.tracking import logs, project
from aura.workspace.prepared import PreparedCorpus, PreparedWriter, failures_table, recordings_table

# Number of failures, and of recordings per remark, that are printed; the tables list all.
N_FAILURES, N_REMARKED = 20, 3
# Column that counts the items of a remark, and the noun for them.
COUNTED = {
    "gaps": ("n_gaps", "gap"),
    "excluded_records": ("n_excluded", "data record"),
    "clipped_events": ("n_clipped", "event"),
    "united_events": ("n_united", "event"),
    "extended_events": ("n_extended", "event"),
    "seizures_outside": ("n_outside", "event"),
    "uncertain_events": ("n_uncertain", "event"),
    "unknown_labels": ("n_unknown", "event"),
}


def run(config: Config) -> None:
    """Prepare all recordings of the corpus that are new or have changed.

    With a partition, only its share is prepared and no table is written; a run without partition writes the tables. If
    there is nothing to do, the tables stay, and no run is opened.
    """
    corpus, names = _find_corpus(config)
    print(f"prepare: {_describe_corpus(corpus)}")
    if config.partition is not None:
        corpus = replace(corpus, refs=tuple(select_share(corpus.refs, config.partition)), rejects=())
    writer = prepared_writer(config)
    work = PrepareRecording(build_preparation(config), names, writer)
    unchanged = find_unchanged(corpus, work)
    # A run that MLflow opened for this process is always used.
    if not project.is_started_by_mlflow() and (tables := _find_finished(config, corpus, work, unchanged)) is not None:
        _finish(config, writer, *tables, n_new=0)
        return
    from aura.tracking import runs

    with runs.stage_run("prepare", config) as active:
        writer.remove_partials()
        # A process takes seconds to start. If a single recording kills this one, no other is lost.
        compute = Serial() if len(corpus.refs) == 1 else instantiate(config.compute)
        outcomes = prepare_all(corpus, work, unchanged, compute)
        recordings, failures = _to_tables(outcomes)
        if config.partition is None:
            writer.write_tables(recordings, failures, run_id=active.info.run_id, channels=channels_digest(config))
        _log(recordings, failures, _count_remarks(config, recordings), len(outcomes))
        _finish(config, writer, recordings, failures, n_new=sum(outcome.new for outcome in outcomes))


def _find_finished(
    config: Config, corpus: Corpus, work: PrepareRecording, unchanged: Mapping[str, Outcome]
) -> tuple[pd.DataFrame, pd.DataFrame] | None:
    """Return the tables of recordings and failures if nothing has changed since they were written; otherwise None."""
    if config.partition is not None or len(unchanged) < len(corpus.refs):
        return None
    finished = find_prepared(config)
    tables = _to_tables(prepare_all(corpus, work, unchanged, Serial()))
    return tables if finished is not None and finished.holds(*tables) else None


def _to_tables(outcomes: Sequence[Outcome]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the tables of recordings and of failures."""
    return (
        recordings_table(outcome.row for outcome in outcomes if not outcome.failed),
        failures_table(outcome.row for outcome in outcomes if outcome.failed),
    )


def _finish(
    config: Config, writer: PreparedWriter, recordings: pd.DataFrame, failures: pd.DataFrame, *, n_new: int
) -> None:
    """Count and print what was prepared; raise if it is too little."""
    telemetry.count(
        recordings=len(recordings), failures=failures["reason"], recorded_s=float(recordings["duration_s"].sum())
    )
    summary = _summarize(recordings, failures, _count_remarks(config, recordings), writer.folder, n_new)
    if config.partition is not None:
        summary += f"\n  share {config.partition}; prepare without partition writes the tables"
    print(summary)
    # A share may be empty; the run without partition judges the whole.
    if config.partition is None and (
        refusal := _describe_refusal(recordings, failures, config.prepare.max_failed_share)
    ):
        raise AuraError(refusal)


def ensure_prepared(config: Config) -> PreparedCorpus:
    """Open the prepared corpus; if it is missing or outdated, prepare runs first, as a child run."""
    corpus = find_prepared(config)
    if corpus is None:
        STAGE.run(config)
        corpus = open_prepared(config)
    return corpus


def _find_corpus(config: Config) -> tuple[Corpus, Names]:
    """Find the recordings of the corpus, and their names in outputs."""
    root = Path(config.dataset.root)
    names = Names(root, key_from_environment() if config.dataset.pseudonyms else None)
    if config.dataset.edf is None:
        corpus = find_recordings(root, config.dataset.layouts, config.dataset.name)
    else:
        corpus = find_recording(root / config.dataset.edf, root, config.dataset.layouts, config.dataset.name)
    if not config.prepare.needs_subject:
        refs = tuple(replace(ref, subject=ref.subject or ref.recording) for ref in corpus.refs)
        corpus = replace(corpus, refs=refs)
    if not corpus.n_edf:
        raise AuraError(f"dataset.root, the folder {root.name!r}, holds no .edf file{_describe_others(corpus)}")
    _check_subjects(config, corpus)
    return corpus, names


def _describe_others(corpus: Corpus) -> str:
    """Describe the files of a folder without EDF files, and how to convert them."""
    kinds = [counted(corpus.n_annotations, "annotation file")] if corpus.n_annotations else []
    n_folders = sum(reject.reason == "unreadable_folder" for reject in corpus.rejects)
    kinds += [f"{counted(n_folders, 'folder')} that cannot be read"] if n_folders else []
    kinds += [describe(corpus.passed_over)] if corpus.passed_over else []
    hint = advice([kind for kind, _ in corpus.passed_over])
    return (f", but {', '.join(kinds)}" if kinds else "") + (f"; {hint}" if hint else "")


def _check_subjects(config: Config, corpus: Corpus) -> None:
    """Raise if channels are set for a subject that the corpus does not have."""
    subjects = {ref.subject for ref in corpus.refs}
    for number, own in enumerate(config.dataset.subject_channels, start=1):
        if own.subject not in subjects and config.dataset.pseudonyms:
            # Clusters and workflow engines store the output.
            raise AuraError(
                f"dataset.subject_channels: the corpus has no subject with the name in entry {number}; "
                f"its {counted(len(subjects), 'subject is', 'subjects are')} not listed, since dataset.pseudonyms=true"
            )
        if own.subject not in subjects:
            some = ", ".join(sorted(subjects)[:5])
            raise AuraError(
                f"dataset.subject_channels: the corpus has no subject {own.subject!r}; its subjects are {some}"
                + (" and others" if len(subjects) > 5 else "")
            )


def _describe_corpus(corpus: Corpus) -> str:
    """Describe the files and recordings of a corpus."""
    layouts = Counter(ref.layout.rpartition(".")[2] for ref in corpus.refs)
    counts = ", ".join(f"{n} {layout}" for layout, n in layouts.most_common()) or "none in a known layout"
    return (
        f"{counted(corpus.n_edf, 'EDF file')} and {counted(corpus.n_annotations, 'annotation file')} are "
        f"{counted(len(corpus.refs), 'recording')} ({counts})"
        + "".join(f"; {sentence}" for sentence in _describe_rejects(corpus))
        + (f"; other files are ignored: {describe(corpus.passed_over)}" if corpus.passed_over else "")
    )


def _describe_rejects(corpus: Corpus) -> Iterator[str]:
    """Describe the files that belong to no recording, and the folders that cannot be read."""
    numbers = Counter(reject.reason for reject in corpus.rejects)
    sentences = {
        "annotation_without_edf": (
            "annotation file belongs to no recording",
            "annotation files belong to no recording",
        ),
        "not_in_layout": ("other file belongs to no recording", "other files belong to no recording"),
        "duplicate_id": ("EDF file has the name of another one", "EDF files have the name of another one"),
        "unreadable_folder": ("folder cannot be read", "folders cannot be read"),
    }
    for reason, n in numbers.most_common():
        yield counted(n, *sentences.get(reason, ("file is left out", "files are left out")))


def _summarize(
    recordings: pd.DataFrame, failures: pd.DataFrame, remarks: Counter[str], folder: Path, n_new: int
) -> str:
    """Describe what was prepared and what failed."""
    n_found = len(recordings) + len(failures)
    annotated = recordings[recordings["annotated"]]
    n_seizures = annotated["n_seizures"].sum()
    # Where annotations are not missed, nothing is said about recordings that all have none.
    told = NO_ANNOTATIONS in remarks or not recordings["remarks"].str.contains(NO_ANNOTATIONS).all()
    lines = [
        f"prepare: {n_found} found, {len(recordings)} prepared ({n_new} now, {len(recordings) - n_new} unchanged), "
        f"{len(failures)} failed; in {folder}"
    ]
    if len(recordings):
        lines.append(
            f"  {recordings['duration_s'].sum() / 3600:.1f} h, "
            f"{100 * np.average(recordings['usable_share'], weights=recordings['duration_s']):.1f} % usable ECG, "
            f"{100 * np.average(recordings['normal_share'], weights=recordings['n_beats']):.1f} % normal intervals"
            + (f", {len(annotated)} annotated, with {counted(n_seizures, 'seizure')}" if told else "")
        )
    for remark, n in remarks.most_common():
        remarked = recordings[[remark in codes.split(";") for codes in recordings["remarks"]]]
        count = ""
        if remark in COUNTED:
            column, noun = COUNTED[remark]
            count = f" ({counted(remarked[column].sum(), noun)})"
        first = remarked.head(N_REMARKED)
        if remark == "unknown_labels":
            names = ", ".join(
                edf if pd.isna(texts) else f"{edf} ({texts})"
                for edf, texts in zip(first["edf"], first["unknown"], strict=True)
            )
        else:
            names = ", ".join(first["edf"])
        lines.append(f"  prepared, but {remark}: {n}{count}: {names}" + (", ..." if n > N_REMARKED else ""))
        if remark == "unknown_labels":
            lines.append("    they do not count as seizures; if a word means a seizure: dataset.words.seizure=[WORD]")
    problems = recordings[recordings["problem"].notna()]
    lines += [f"    {edf}: {problem}" for edf, problem in zip(problems["edf"], problems["problem"], strict=True)][
        :N_FAILURES
    ]
    if len(problems) > N_FAILURES:
        lines.append(f"    and {len(problems) - N_FAILURES} more in recordings.parquet")
    for reason, n in Counter(failures["reason"]).most_common():
        lines.append(f"  failed, {reason}: {n}")
    # The user did not ask for files outside of the named layouts.
    messages = failures.loc[failures["reason"] != "not_in_layout", "message"]
    lines += [f"    {message}" for message in messages.head(N_FAILURES)]
    if len(messages) > N_FAILURES:
        lines.append(f"    and {len(messages) - N_FAILURES} more in failures.parquet")
    return "\n".join(lines)


def _count_remarks(config: Config, recordings: pd.DataFrame) -> Counter[str]:
    """Count the recordings with each remark; for detection, nothing is wrong with a recording without annotations."""
    remarks = Counter(code for codes in recordings["remarks"] for code in codes.split(";") if code)
    if not config.prepare.needs_subject:
        remarks.pop(NO_ANNOTATIONS, None)
    return remarks


def _log(recordings: pd.DataFrame, failures: pd.DataFrame, remarks: Counter[str], n_found: int) -> None:
    """Log the tables and their totals."""
    reasons = Counter(failures["reason"])
    rows = [("failed", *item) for item in reasons.most_common()]
    rows += [("prepared, but", *item) for item in remarks.most_common()]
    logs.log_table(pd.DataFrame(rows, columns=["what", "code", "recordings"]), "summary.json")
    # Texts of annotations can name people.
    logs.log_table(recordings.drop(columns=["rr_digest", "digest", "unknown"]), "recordings.json")
    logs.log_table(failures, "failures.json")
    logs.log_metrics(
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


def _describe_refusal(recordings: pd.DataFrame, failures: pd.DataFrame, max_failed_share: float) -> str | None:
    """Explain why too little was prepared; None if it was enough."""
    if not len(recordings):
        return f"nothing could be prepared; the first failure: {failures['message'].iloc[0]}"
    n_failed = int((failures["reason"] != "not_in_layout").sum())
    n_asked = len(recordings) + n_failed
    if n_failed <= max_failed_share * n_asked:
        return None
    return (
        f"{n_failed} of {n_asked} failed, more than prepare.max_failed_share={max_failed_share:g} allows; "
        "the prepared recordings are kept"
    )
