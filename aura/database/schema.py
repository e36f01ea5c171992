"""The tables, made by numbered SQL files that are applied in order, each once."""

from importlib import resources
from typing import TYPE_CHECKING, Any

from aura.core.errors import AuraError

if TYPE_CHECKING:
    import psycopg

# Number of the advisory lock under which the tables are changed.
LOCK = 0x41757261
# In the order in which `restore` fills them.
TABLES = ("recording", "model", "rr", "ecg", "quality", "annotation", "prediction", "detection", "failure")


def list_migrations() -> list[tuple[int, str]]:
    """Return the number and the SQL of each version."""
    folder = resources.files("aura.database") / "migrations"
    files = sorted((file for file in folder.iterdir() if file.name.endswith(".sql")), key=lambda file: file.name)
    return [(int(file.name.split("_")[0]), file.read_text(encoding="utf-8")) for file in files]


def migrate(connection: "psycopg.Connection[tuple[Any, ...]]") -> int:
    """Bring the tables up to date in one transaction; several processes may do so at once.

    Returns
    -------
    int
        Version of the tables afterwards.

    Raises
    ------
    AuraError
        If a later release of Aura made the tables.
    """
    migrations = list_migrations()
    latest = migrations[-1][0]
    if read_version(connection) == latest:
        return latest
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK,))
        stored = read_version(connection)
        if stored > latest:
            raise AuraError(
                f"the tables are of version {stored}, this release of Aura knows {latest}; install a later one"
            )
        if stored == 0:
            connection.execute(
                "CREATE TABLE schema_version (version integer PRIMARY KEY, applied_at timestamptz DEFAULT now());"
                "COMMENT ON TABLE schema_version IS 'Versions of these tables that were applied.';"
                "COMMENT ON COLUMN schema_version.version IS 'Number of the version.';"
                "COMMENT ON COLUMN schema_version.applied_at IS 'Time at which it was applied, on the server''s clock.'"
            )
        for number, sql in migrations:
            if number > stored:
                connection.execute(sql.encode())
                connection.execute("INSERT INTO schema_version (version) VALUES (%s)", (number,))
    return latest


def read_version(connection: "psycopg.Connection[tuple[Any, ...]]") -> int:
    """Return the version of the tables; 0 if there are none."""
    # Not to_regclass, which caches that a table is missing, even after another process has made it.
    exists = connection.execute(
        "SELECT EXISTS (SELECT FROM pg_tables WHERE (schemaname, tablename) = ('public', 'schema_version'))"
    ).fetchone()
    if exists is None or not exists[0]:
        return 0
    row = connection.execute("SELECT max(version) FROM schema_version").fetchone()
    return int(row[0]) if row and row[0] else 0
