"""A file that was handed over into an empty database."""

from pathlib import Path

from aura.config.schema import Config
from aura.core.errors import AuraError
from aura.database.connection import connect, describe_address
from aura.database.handover import LICENCE, restore
from aura.execution import telemetry


@telemetry.measured("restore")
def run(config: Config) -> None:
    """Fill an empty database from a dump, and see that it holds what it should."""
    url, path = config.database.url, config.restore.dump
    if url is None:
        raise AuraError("say into which database; write url=postgresql://user@host/aura, or set AURA_DATABASE")
    if path is None or not Path(path).is_file():
        raise AuraError(f"dump={path} is no file; write dump=FILE, as dump made it")
    with connect(url) as connection:
        manifest = restore(connection, Path(path))
    tables = ", ".join(f"{table['rows']} {name}" for name, table in manifest["tables"].items())
    print(f"restore: rows are as they were written, into {describe_address(url)}: {tables}\n{LICENCE}")
