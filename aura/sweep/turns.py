"""What one process of a sweep does at a time: a lock that is kept where the study is, and shared like it."""

import zlib
from pathlib import Path
from types import TracebackType
from typing import Protocol

from filelock import FileLock
from sqlalchemy import Connection, NullPool, create_engine, text
from sqlalchemy.engine import make_url

from aura.errors import AuraError


class Turn(Protocol):
    """A lock, to be taken and given back, or to be held in a ``with``."""

    @property
    def is_locked(self) -> bool:
        """Whether this process has it."""

    def acquire(self) -> object:
        """Wait for it."""

    def release(self) -> None:
        """Give it back."""

    def __enter__(self) -> object:
        """Wait for it."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give it back."""


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

    @property
    def is_locked(self) -> bool:
        """Whether this process has it."""
        return self._connection is not None

    def acquire(self) -> None:
        """Wait for it."""
        connection = self._engine.connect()
        connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": self._key})
        self._connection = connection

    def release(self) -> None:
        """Give it back."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def __enter__(self) -> "AdvisoryLock":
        """Wait for it."""
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give it back."""
        self.release()


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
