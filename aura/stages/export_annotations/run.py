"""Export the annotations made in PostgreSQL and Grafana as annotation files to train on."""

import os
from collections.abc import Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import quote

import pandas as pd

from aura.config.schema import Config
from aura.core.errors import AuraError
from aura.core.events import Event
from aura.core.files import digest, write_whole
from aura.core.wording import counted
from aura.database import grafana
from aura.database.annotations import (
    Annotation,
    Recording,
    compute_agreement,
    merge_seizures,
    read_annotations,
    read_recordings,
)
from aura.database.connection import connect, describe_address
from aura.database.recordings import REFERENCE
from aura.database.schema import migrate
from aura.formats.detections import FORMATS, write_detections
from aura.formats.spreadsheet import to_csv
from aura.formats.vocabulary import Words
from aura.stages.export_annotations import ExportConfig
from aura.stages.importing import DatabaseConfig

ANNOTATORS = "annotators"
N_SHOWN = 20
LONGEST_NAME = 200


def run(config: Config) -> None:
    """Write a file per recording and annotator, and a table of their agreement."""
    url, options = config.section(DatabaseConfig).url, config.section(ExportConfig)
    if url is None:
        raise AuraError("no database is given; write url=postgresql://user@host/aura, or set AURA_DATABASE")
    if options.format not in FORMATS:
        raise AuraError(f"format={options.format}; allowed are {', '.join(FORMATS)}")
    output = Path(options.output)
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        # Old files may hold annotations withdrawn since, which training would pick up.
        raise AuraError(f"output={output} already exists and is not an empty folder; name a new folder, or remove it")
    words = Words(tuple(config.dataset.words.seizure), tuple(config.dataset.words.background))
    regions = [] if options.grafana is None else grafana.query_regions(options.grafana, _read_token(), words)
    n_written, agreements = 0, []
    output.parent.mkdir(parents=True, exist_ok=True)
    with connect(url) as connection, TemporaryDirectory(prefix=".aura-", dir=output.parent) as scratch:
        folder = Path(scratch) / "whole"
        migrate(connection)
        all_recordings = read_recordings(connection)
        recordings = [recording for recording in all_recordings if options.dataset in (None, recording.dataset)]
        if not recordings:
            raise AuraError(
                f"{describe_address(url)} holds no recording{f' of {options.dataset}' if options.dataset else ''}"
            )
        from_grafana, skipped = grafana.assign_regions(regions, all_recordings)
        for recording in recordings:
            annotations, outside = read_annotations(connection, recording)
            skipped += outside
            annotations = [*annotations, *from_grafana.get(recording.recording_id, [])]
            annotations.sort(key=lambda annotation: annotation.made_at)
            by_annotator = _group_by_annotator(recording, annotations)
            for annotator, events in by_annotator.items():
                dates = [annotation.made_at for annotation in annotations if annotation.annotator == annotator]
                _write(folder / ANNOTATORS, options.format, recording, annotator, events, max(dates, default=None))
                n_written += 1
            pairs = compute_agreement(by_annotator, recording.duration_s)
            agreements.append(pairs.assign(dataset=recording.dataset, recording=recording.name))
        table = pd.concat(agreements, ignore_index=True)
        table = table[["dataset", "recording", "one", "other", "kappa", "disputed_s"]]
        write_whole(folder / "agreement.csv", partial(Path.write_text, data=to_csv(table), encoding="utf-8"))
        folder.replace(output)
    print(_summarize(n_written, len(recordings), table, skipped, options.output))


def _read_token() -> str:
    """Read the token of Grafana from the environment."""
    token = os.environ.get(grafana.TOKEN_VARIABLE, "")
    if not token:
        raise AuraError(
            f"grafana= needs the token of a service account; set the environment variable {grafana.TOKEN_VARIABLE}"
        )
    return token


def _group_by_annotator(recording: Recording, annotations: Sequence[Annotation]) -> dict[str, tuple[Event, ...]]:
    """Return the seizures of each annotator; those of an annotated corpus are there even if it has no seizure."""
    names = {annotation.annotator for annotation in annotations} | ({REFERENCE} if recording.annotated else set())
    return {
        name: merge_seizures([a for a in annotations if a.annotator == name], recording.duration_s)
        for name in sorted(names)
    }


def _write(
    output: Path, format_: str, recording: Recording, annotator: str, events: Sequence[Event], made_at: datetime | None
) -> None:
    """Write the events of an annotator, with the name and the time of the last annotation in the header."""
    target = (
        output
        / _file_name(annotator)
        / _file_name(recording.dataset)
        / f"{_file_name(recording.name)}{FORMATS[format_]}"
    )
    about = {"annotator": annotator}
    if made_at is not None:
        about["date"] = made_at.strftime("%Y-%m-%d %H:%M:%S UTC")
    start = recording.start_at.replace(tzinfo=None) if recording.start_known else None
    write_detections(target, events, (), start=start, duration_s=recording.duration_s, about=about)


def _file_name(name: str) -> str:
    """Return the name of a file or folder: special characters are written as %.., and a long name is shortened."""
    safe = quote(name, safe=" @+=,")
    safe = safe.replace(".", "%2E") if not safe.strip(".") else safe
    return safe if len(safe) <= LONGEST_NAME else f"{safe[: LONGEST_NAME - 20]}...{digest(name)}"


def _summarize(n_written: int, n_recordings: int, table: pd.DataFrame, skipped: Sequence[str], output: str) -> str:
    """Describe what was exported, where annotators disagree, and what was not exported."""
    lines = [f"export-annotations: {counted(n_written, 'file')} of {counted(n_recordings, 'recording')}, in {output}"]
    disputed = table[table["disputed_s"] > 0].sort_values("disputed_s", ascending=False)
    if len(disputed):
        lines.append(f"  annotators disagree {counted(len(disputed), 'time')} (agreement.csv):")
    lines += [
        f"    {row['recording']}: {row['one']} and {row['other']} over {row['disputed_s']} s, kappa {row['kappa']:.2f}"
        for row in disputed.head(N_SHOWN).to_dict("records")
    ]
    if skipped:
        lines.append(f"  {counted(len(skipped), 'annotation is', 'annotations are')} not exported:")
        lines += [f"    {sentence}" for sentence in skipped[:N_SHOWN]]
    return "\n".join(lines)
