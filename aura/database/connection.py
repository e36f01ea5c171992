"""A connection to PostgreSQL, whose errors are one sentence each and tell no password."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from aura.errors import AuraError

if TYPE_CHECKING:
    import psycopg

Connection = "psycopg.Connection[tuple[Any, ...]]"


@contextmanager
def connected(url: str) -> "Iterator[psycopg.Connection[tuple[Any, ...]]]":
    """Open a database in autocommit mode; what belongs together is put into transactions.

    Parameters
    ----------
    url
        Such as ``postgresql://user@host/aura``; a password is better kept in PGPASSWORD or ~/.pgpass.

    Raises
    ------
    AuraError
        One sentence, for whatever the database could not do.
    """
    try:
        import psycopg
    except ImportError as error:
        raise AuraError("psycopg is not installed; pip install 'aura[postgresql]'") from error
    if urlsplit(url).scheme not in ("postgresql", "postgres"):
        raise AuraError("database.url has to begin with postgresql://, such as postgresql://user@host/aura")
    try:
        with psycopg.connect(url, autocommit=True, connect_timeout=10, application_name="aura") as connection:
            # What the session says of times is read back as it was written.
            connection.execute("SET TIME ZONE 'UTC'")
            yield connection
    except psycopg.Error as error:
        raise AuraError(f"the database {where(url)}: {sentence(error)}") from error


def where(url: str) -> str:
    """Host and name of a database, without who asks it and how."""
    parts = urlsplit(url)
    return f"{parts.path.lstrip('/') or 'postgres'} at {parts.hostname or 'this machine'}"


def sentence(error: "psycopg.Error") -> str:
    """Say what a database said, on one line."""
    said = error.diag.message_primary or str(error)
    return " ".join(said.split()) or type(error).__name__
