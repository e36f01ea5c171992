"""A lock shared by all processes of a study, kept beside its database.

Optuna has locks for journal files only; this one lets processes take turns at choosing, so that no two try the same.
"""

import zlib
from contextlib import AbstractContextManager
from pathlib import Path

from filelock import FileLock
from sqlalchemy import Connection, NullPool, create_engine, text
from sqlalchemy.engine import make_url

from aura.core.errors import InvalidInput

Lock = AbstractContextManager[object]


class AdvisoryLock:
    """A lock in PostgreSQL, which the server releases when the connection ends, also after a kill.

    Parameters
    ----------
    url
        Address of the database, for SQLAlchemy.
    name
        Name of the lock.
    """

    def __init__(self, url: str, name: str) -> None:
        self._engine = create_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
        self._key = zlib.crc32(name.encode())
        self._connection: Connection | None = None

    def __enter__(self) -> "AdvisoryLock":
        """Wait for the lock and take it."""
        self._connection = self._engine.connect()
        self._connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": self._key})
        return self

    def __exit__(self, *error: object) -> None:
        """Release the lock."""
        assert self._connection is not None
        self._connection.close()


def make_lock(url: str, name: str) -> Lock:
    """Make the lock of a name for a database: a file beside SQLite's, or an advisory lock of PostgreSQL.

    Raises
    ------
    InvalidInput
        If the database is neither SQLite nor PostgreSQL.
    """
    parsed = make_url(url)
    backend = parsed.get_backend_name()
    if backend == "postgresql":
        return AdvisoryLock(url, f"aura {name}")
    if backend == "sqlite" and parsed.database:
        file = Path(parsed.database)
        file.parent.mkdir(parents=True, exist_ok=True)
        return FileLock(file.with_name(f".{file.name}-{zlib.crc32(name.encode()):08x}.lock"))
    raise InvalidInput(f"storage={url.split('@')[-1]}; allowed are sqlite:///FILE and postgresql+psycopg://...")
