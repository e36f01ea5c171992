"""Write a part of the database into one file to hand over."""

from pathlib import Path

from aura.config.schema import Config
from aura.core.errors import AuraError
from aura.core.wording import counted
from aura.corpora.names import key_from_environment
from aura.database.connection import connect, describe_address
from aura.database.handover import dump
from aura.stages.dump import DumpConfig
from aura.stages.importing import DatabaseConfig


def run(config: Config) -> None:
    """Write the recordings of a dataset, or of some of its subjects, with their annotations and detections."""
    url, options = config.section(DatabaseConfig).url, config.section(DumpConfig)
    if url is None:
        raise AuraError("no database is given; write url=postgresql://user@host/aura, or set AURA_DATABASE")
    key = key_from_environment() if options.pseudonyms else None
    path = Path(options.output)
    with connect(url) as connection:
        manifest = dump(connection, path, dataset=options.dataset, subjects=_parse_subjects(options.subjects), key=key)
    rows = {name: table["rows"] for name, table in manifest["tables"].items()}
    print(
        f"dump: {counted(rows['recording'], 'recording')}, {counted(rows['rr'], 'RR interval')}, "
        f"{counted(rows['annotation'], 'annotation')} and {counted(rows['detection'], 'detection')} of "
        f"{describe_address(url)}; names {manifest['names']}, dates {manifest['dates']}; "
        f"{path.stat().st_size / 1e6:.1f} MB in {path}\n{manifest['licence']}"
    )


def _parse_subjects(text: str | None) -> list[str] | None:
    """Parse a list of subjects such as ``[sub1,sub2]``."""
    if text is None:
        return None
    # Not by YAML, which reads 00000010 as an octal number.
    subjects = [subject.strip() for subject in text.removeprefix("[").removesuffix("]").split(",")]
    if not text.startswith("[") or not text.endswith("]") or not all(subjects):
        raise AuraError(f"subjects={text}; allowed is a list such as subjects=[sub1,sub2]")
    return subjects
