"""What one process of a sweep does at a time: a lock that is kept where the study is, and shared like it."""

import zlib
from contextlib import AbstractContextManager
from pathlib import Path

from filelock import FileLock
from sqlalchemy import Connection, NullPool, create_engine, text
from sqlalchemy.engine import make_url

from aura.core.errors import AuraError

Turn = AbstractContextManager[object]


class AdvisoryLock:
    """A lock that PostgreSQL keeps for a connection, and takes back when that ends, however it ends.

    Parameters
    ----------
    url
        Of the database.
    name
        Of the lock.
    """

    def __init__(self, url: str, name: str) -> None:
        self._engine = create_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
        self._key = zlib.crc32(name.encode())
        self._connection: Connection | None = None

    def __enter__(self) -> "AdvisoryLock":
        """Wait for it."""
        self._connection = self._engine.connect()
        self._connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": self._key})
        return self

    def __exit__(self, *error: object) -> None:
        """Give it back."""
        assert self._connection is not None
        self._connection.close()


def turn(url: str, name: str) -> Turn:
    """Lock of a name in a database.

    Raises
    ------
    AuraError
        For a database that is neither SQLite nor PostgreSQL.
    """
    parsed = make_url(url)
    kind = parsed.get_backend_name()
    if kind == "postgresql":
        return AdvisoryLock(url, f"aura {name}")
    if kind == "sqlite" and parsed.database:
        file = Path(parsed.database)
        file.parent.mkdir(parents=True, exist_ok=True)
        return FileLock(file.with_name(f".{file.name}-{zlib.crc32(name.encode()):08x}.lock"))
    raise AuraError(f"sweep.storage={url.split('@')[-1]}; allowed are sqlite:///FILE and postgresql+psycopg://...")
