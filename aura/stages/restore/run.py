"""Fill an empty database from a dump."""

from pathlib import Path

from aura.config.schema import Config
from aura.core.errors import AuraError
from aura.database.connection import connect, describe_address
from aura.database.handover import LICENCE, restore
from aura.stages.importing import DatabaseConfig
from aura.stages.restore import RestoreConfig


def run(config: Config) -> None:
    """Fill an empty database from a dump, and check that its rows equal those of the dump."""
    url, path = config.section(DatabaseConfig).url, config.section(RestoreConfig).dump
    if url is None:
        raise AuraError("no database is given; write url=postgresql://user@host/aura, or set AURA_DATABASE")
    if path is None or not Path(path).is_file():
        raise AuraError(f"dump={path} is not a file; write dump=FILE, with a file that dump wrote")
    with connect(url) as connection:
        manifest = restore(connection, Path(path))
    tables = ", ".join(f"{table['rows']} {name}" for name, table in manifest["tables"].items())
    print(f"restore: {tables}, equal to those of the dump, in {describe_address(url)}\n{LICENCE}")
