"""A connection to PostgreSQL whose errors are one sentence each, without a password."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from aura.core.errors import AuraError

if TYPE_CHECKING:
    import psycopg

Connection = "psycopg.Connection[tuple[Any, ...]]"


@contextmanager
def connect(url: str) -> "Iterator[psycopg.Connection[tuple[Any, ...]]]":
    """Connect to a database in autocommit mode; callers open transactions themselves.

    Parameters
    ----------
    url
        Address, such as ``postgresql://user@host/aura``; keep a password in PGPASSWORD or ~/.pgpass.

    Raises
    ------
    AuraError
        For every error of the database, as one sentence.
    """
    try:
        import psycopg
    except ImportError as error:
        raise AuraError("psycopg is not installed; pip install 'aura-ecg[postgresql]'") from error
    place = describe_address(url)
    try:
        with psycopg.connect(url, autocommit=True, connect_timeout=10, application_name="aura") as connection:
            # Times are read back as they were written.
            connection.execute("SET TIME ZONE 'UTC'")
            yield connection
    except psycopg.Error as error:
        raise AuraError(f"the database {place}: {describe_error(error)}") from error


def describe_address(url: str) -> str:
    """Return the name and host of a database, without user, password and options.

    Raises
    ------
    AuraError
        If the address is malformed; the message repeats nothing of it, since any part may hold the password.
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
    if "@" in host + name or not all(number.isdigit() for number in port.split(",") if number):
        raise AuraError(
            "database.url cannot be read; in a user name or password, write @ : / % as %40 %3A %2F %25, "
            "or keep the password in PGPASSWORD or ~/.pgpass"
        )
    return f"{name or 'postgres'} at {'this machine' if not host or host.startswith('/') else host}"


def describe_error(error: "psycopg.Error") -> str:
    """Return the message of a database on one line."""
    message = error.diag.message_primary or str(error)
    return " ".join(message.split()) or type(error).__name__
