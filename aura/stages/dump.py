"""A part of the database as one file to hand over."""

from pathlib import Path

from aura.config.schema import Config
from aura.core.errors import AuraError
from aura.corpora.names import key_from_environment
from aura.database.connection import connect, describe_address
from aura.database.handover import dump
from aura.execution import telemetry


@telemetry.measured("dump")
def run(config: Config) -> None:
    """Write the recordings of a corpus, or of some of its subjects, with all that is known of them."""
    url, wanted = config.database.url, config.dump
    if url is None:
        raise AuraError("say from which database; write url=postgresql://user@host/aura, or set AURA_DATABASE")
    key = key_from_environment() if wanted.pseudonyms else None
    path = Path(wanted.output)
    with connect(url) as connection:
        manifest = dump(connection, path, dataset=wanted.dataset, subjects=_subjects(wanted.subjects), key=key)
    rows = {name: table["rows"] for name, table in manifest["tables"].items()}
    print(
        f"dump: {rows['recording']} recordings, {rows['rr']} RR intervals, {rows['annotation']} annotations and "
        f"{rows['detection']} detections of {describe_address(url)}; names {manifest['names']}, dates "
        f"{manifest['dates']}; "
        f"{path.stat().st_size / 1e6:.1f} MB in {path}\n{manifest['licence']}"
    )


def _subjects(text: str | None) -> list[str] | None:
    """Subjects of a list such as ``[sub1,sub2]``."""
    if text is None:
        return None
    # By hand, since to YAML 00000010 is a number, and an octal one.
    subjects = [one.strip() for one in text.removeprefix("[").removesuffix("]").split(",")]
    if not text.startswith("[") or not text.endswith("]") or not all(subjects):
        raise AuraError(f"subjects={text}; allowed is a list such as subjects=[sub1,sub2]")
    return subjects
