"""What people annotated in PostgreSQL and Grafana, as files that the next model is trained on."""

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
from aura.execution import telemetry
from aura.formats.detections import FORMATS, write_detections
from aura.formats.spreadsheet import to_csv
from aura.formats.vocabulary import Words

ANNOTATORS = "annotators"
N_SHOWN = 20
LONGEST_NAME = 200


@telemetry.measured("export-annotations")
def run(config: Config) -> None:
    """Write a file per recording and annotator, and say where annotators do not agree."""
    url, wanted = config.database.url, config.export
    if url is None:
        raise AuraError("say from which database; write url=postgresql://user@host/aura, or set AURA_DATABASE")
    if wanted.format not in FORMATS:
        raise AuraError(f"format={wanted.format}; allowed are {', '.join(FORMATS)}")
    output = Path(wanted.output)
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        # What is there might be of somebody who has taken it back since, and would be trained on.
        raise AuraError(f"output={output} holds something already; name a new folder, or remove it")
    words = Words(tuple(config.dataset.words.seizure), tuple(config.dataset.words.background))
    regions = [] if wanted.grafana is None else grafana.query_regions(wanted.grafana, _token(), words)
    written, disputes = 0, []
    output.parent.mkdir(parents=True, exist_ok=True)
    with connect(url) as connection, TemporaryDirectory(prefix=".aura-", dir=output.parent) as scratch:
        folder = Path(scratch) / "whole"
        migrate(connection)
        everything = read_recordings(connection)
        there = [one for one in everything if wanted.dataset in (None, one.dataset)]
        if not there:
            raise AuraError(
                f"there is no recording{f' of {wanted.dataset}' if wanted.dataset else ''} in {describe_address(url)}"
            )
        marked, left = grafana.assign_regions(regions, everything)
        for recording in there:
            of_it, outside = read_annotations(connection, recording)
            left += outside
            said = [*of_it, *marked.get(recording.recording_id, [])]
            said.sort(key=lambda one: one.made_at)
            by_annotator = _by_annotator(recording, said)
            for annotator, events in by_annotator.items():
                dates = [one.made_at for one in said if one.annotator == annotator]
                _write(folder / ANNOTATORS, wanted.format, recording, annotator, events, max(dates, default=None))
                written += 1
            pairs = compute_agreement(by_annotator, recording.duration_s)
            disputes.append(pairs.assign(dataset=recording.dataset, recording=recording.name))
        table = pd.concat(disputes, ignore_index=True)
        table = table[["dataset", "recording", "one", "other", "kappa", "disputed_s"]]
        write_whole(folder / "agreement.csv", partial(Path.write_text, data=to_csv(table), encoding="utf-8"))
        folder.replace(output)
    print(_summary(written, len(there), table, left, wanted.output))


def _token() -> str:
    token = os.environ.get(grafana.TOKEN_VARIABLE, "")
    if not token:
        raise AuraError(
            f"grafana= needs the token of a service account in the environment, as {grafana.TOKEN_VARIABLE}"
        )
    return token


def _by_annotator(recording: Recording, said: Sequence[Annotation]) -> dict[str, tuple[Event, ...]]:
    """Seizures of each annotator; the corpus has said so as well where it found none."""
    names = {one.annotator for one in said} | ({REFERENCE} if recording.annotated else set())
    return {
        name: merge_seizures([one for one in said if one.annotator == name], recording.duration_s)
        for name in sorted(names)
    }


def _write(
    output: Path, format_: str, recording: Recording, annotator: str, events: Sequence[Event], said_at: datetime | None
) -> None:
    """Write a file that says who annotated, and when last."""
    target = (
        output
        / _file_name(annotator)
        / _file_name(recording.dataset)
        / f"{_file_name(recording.name)}{FORMATS[format_]}"
    )
    about = {"annotator": annotator}
    if said_at is not None:
        about["date"] = said_at.strftime("%Y-%m-%d %H:%M:%S UTC")
    start = recording.start_at.replace(tzinfo=None) if recording.start_known else None
    write_detections(target, events, (), start=start, duration_s=recording.duration_s, about=about)


def _file_name(name: str) -> str:
    """Name of a file or folder: other signs than letters, digits and a few are written as %.., long ones shortened."""
    safe = quote(name, safe=" @+=,")
    safe = safe.replace(".", "%2E") if not safe.strip(".") else safe
    return safe if len(safe) <= LONGEST_NAME else f"{safe[: LONGEST_NAME - 20]}...{digest(name)}"


def _summary(written: int, n_recordings: int, table: pd.DataFrame, left: Sequence[str], output: str) -> str:
    """What became of it, in words."""
    lines = [f"export-annotations: {written} files of {n_recordings} recordings, in {output}"]
    disputed = table[table["disputed_s"] > 0].sort_values("disputed_s", ascending=False)
    if len(disputed):
        lines.append(f"  annotators disagree {len(disputed)} times (agreement.csv):")
    lines += [
        f"    {row['recording']}: {row['one']} and {row['other']} over {row['disputed_s']} s, kappa {row['kappa']:.2f}"
        for row in disputed.head(N_SHOWN).to_dict("records")
    ]
    if left:
        lines.append(f"  {len(left)} annotations are not exported:")
        lines += [f"    {sentence}" for sentence in left[:N_SHOWN]]
    return "\n".join(lines)
