"""Databases of the tests' own PostgreSQL server."""

import uuid
from typing import Any

import psycopg

# Statements that make something in a database.
MAKES = (
    "CREATE TABLE t (i integer)",
    "CREATE TABLE public.t AS SELECT * FROM recording",
    "SELECT * INTO public.t FROM recording",
    "CREATE TEMPORARY TABLE t (i integer)",
    "CREATE TEMPORARY VIEW v AS SELECT 1",
    "CREATE TEMPORARY SEQUENCE s",
    "SELECT 1 AS i INTO TEMPORARY t",
    "CREATE SCHEMA s",
    "CREATE VIEW v AS SELECT 1",
    "CREATE FUNCTION f() RETURNS integer LANGUAGE sql AS 'SELECT 1'",
    "SELECT lo_create(0)",
    "SELECT lo_creat(-1)",
    "SELECT lo_from_bytea(0, '\\xff')",
    "SELECT lo_import('/etc/hostname')",
    "DO $$BEGIN PERFORM lo_create(0); END$$",
)


def new_database(server: str) -> str:
    """Make an empty database on a server, and return its address."""
    name = f"t{uuid.uuid4().hex}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    return server.replace("/postgres?", f"/{name}?")


def rows(url: str, query: str, *values: object) -> list[tuple[Any, ...]]:
    """Run a query with times in UTC, and return its rows."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET TIME ZONE 'UTC'")
        cursor = connection.execute(query.encode(), values or None)
        return cursor.fetchall() if cursor.description else []
