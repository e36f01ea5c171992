"""A connection to PostgreSQL, whose errors are one sentence each and tell no password."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from aura.core.errors import AuraError

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
        raise AuraError("psycopg is not installed; pip install 'aura-ecg[postgresql]'") from error
    place = where(url)
    try:
        with psycopg.connect(url, autocommit=True, connect_timeout=10, application_name="aura") as connection:
            # What the session says of times is read back as it was written.
            connection.execute("SET TIME ZONE 'UTC'")
            yield connection
    except psycopg.Error as error:
        raise AuraError(f"the database {place}: {sentence(error)}") from error


def where(url: str) -> str:
    """Host and name of a database, without who asks it and how.

    Raises
    ------
    AuraError
        For what is no address; it repeats nothing of it, as a part of the password may stand anywhere.
    """
    import psycopg
    from psycopg.conninfo import conninfo_to_dict

    if not url.startswith(("postgresql://", "postgres://")):
        raise AuraError("database.url has to begin with postgresql://, such as postgresql://user@host/aura")
    try:
        parts = {key: str(value) for key, value in conninfo_to_dict(url).items()}
    except psycopg.Error:
        parts = {"host": "@"}
    host, name, port = (parts.get(key, "") for key in ("host", "dbname", "port"))
    if "@" in host + name or not all(one.isdigit() for one in port.split(",") if one):
        raise AuraError(
            "database.url cannot be read; signs such as @ : / % of a user's name or password are written as %40 %3A "
            "%2F %25, or keep the password in PGPASSWORD or ~/.pgpass"
        )
    return f"{name or 'postgres'} at {'this machine' if not host or host.startswith('/') else host}"


def sentence(error: "psycopg.Error") -> str:
    """Say what a database said, on one line."""
    said = error.diag.message_primary or str(error)
    return " ".join(said.split()) or type(error).__name__
