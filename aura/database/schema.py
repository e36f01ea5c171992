"""The tables, by versions of SQL that are applied in their order, each once."""

from importlib import resources
from typing import TYPE_CHECKING, Any

from aura.core.errors import AuraError

if TYPE_CHECKING:
    import psycopg

# Who holds this lock of a database changes its tables.
LOCK = 0x41757261
# In the order in which they are filled again.
TABLES = ("recording", "model", "rr", "ecg", "quality", "annotation", "prediction", "detection", "failure")


def versions() -> list[tuple[int, str]]:
    """Give the number and the SQL of each version."""
    folder = resources.files("aura.database") / "migrations"
    files = sorted((file for file in folder.iterdir() if file.name.endswith(".sql")), key=lambda file: file.name)
    return [(int(file.name.split("_")[0]), file.read_text(encoding="utf-8")) for file in files]


def migrate(connection: "psycopg.Connection[tuple[Any, ...]]") -> int:
    """Bring the tables up to date, in one transaction; several processes may try at once.

    Returns
    -------
    int
        The version they have then.

    Raises
    ------
    AuraError
        Where a later release of Aura made them.
    """
    known = versions()
    if current(connection) == known[-1][0]:
        return known[-1][0]
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK,))
        has = current(connection)
        if has > known[-1][0]:
            raise AuraError(
                f"the tables are of version {has}, this release of Aura knows {known[-1][0]}; install a later one"
            )
        if has == 0:
            connection.execute(
                "CREATE TABLE schema_version (version integer PRIMARY KEY, applied_at timestamptz DEFAULT now());"
                "COMMENT ON TABLE schema_version IS 'Versions of these tables that were applied.';"
                "COMMENT ON COLUMN schema_version.version IS 'Counted up.';"
                "COMMENT ON COLUMN schema_version.applied_at IS 'When, on our clock.'"
            )
        for number, sql in known:
            if number > has:
                connection.execute(sql.encode())
                connection.execute("INSERT INTO schema_version (version) VALUES (%s)", (number,))
    return known[-1][0]


def current(connection: "psycopg.Connection[tuple[Any, ...]]") -> int:
    """Version of the tables; 0 where there are none."""
    # Not to_regclass, which remembers that there was none, whatever others have made since.
    there = connection.execute(
        "SELECT EXISTS (SELECT FROM pg_tables WHERE (schemaname, tablename) = ('public', 'schema_version'))"
    ).fetchone()
    if there is None or not there[0]:
        return 0
    row = connection.execute("SELECT max(version) FROM schema_version").fetchone()
    return int(row[0]) if row and row[0] else 0
