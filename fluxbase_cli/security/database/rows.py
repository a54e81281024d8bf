"""Finds out which of the server's tables and columns a release has, before their rows are read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import LiteralString

from psycopg import sql

from fluxbase_cli.security.finding import NotCheckedError
from fluxbase_cli.store.connection import Connection
from fluxbase_cli.store.queries import Statements

FILE = "security_rows.sql"


def columns_of(connection: Connection, *tables: str) -> Mapping[str, frozenset[str]]:
    """The columns of those of these tables that exist, by `schema.name`."""
    rows = Statements(connection, FILE).rows("columns", tables=list(tables))
    return {row["table_name"]: frozenset(row["columns"]) for row in rows}


def require(connection: Connection, needed: Mapping[str, Iterable[str]]) -> Mapping[str, frozenset[str]]:
    """Make sure that tables and columns exist.

    Args:
        connection: the session.
        needed: the columns by table.

    Returns:
        All columns of these tables, by `schema.name`.

    Raises:
        NotCheckedError: one does not exist.
    """
    found = columns_of(connection, *needed)
    for table, columns in needed.items():
        if table not in found:
            message = f"the table {table} is not in this database"
            raise NotCheckedError(message)
        missing = set(columns) - found[table]
        if missing:
            message = f"the table {table} has no column {', '.join(sorted(missing))}"
            raise NotCheckedError(message)
    return found


def existing(columns: frozenset[str], name: str, otherwise: LiteralString) -> sql.Composable:
    """A column, or a constant if a release does not have it.

    Args:
        columns: the columns of the table.
        name: the column.
        otherwise: SQL for a table without it.
    """
    return sql.Identifier(name) if name in columns else sql.SQL(otherwise)
