"""Looks at tables as a stranger: as `anon`, and as a signed-in user whom nobody knows. Only whether there is a row."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from uuid import uuid4

import psycopg
from psycopg import sql

from fluxbase_cli.security.database.tables import Table, read_tables
from fluxbase_cli.security.finding import NotCheckedError
from fluxbase_cli.store.connection import Connection, first_line

#: Each look ends within this time.
_TIMEOUT = "1s"
_MOST_TABLES = 1000


@dataclass(frozen=True, slots=True)
class SeenTable:
    """A table in which a stranger sees a row, or that could not be tried.

    Attributes:
        table: its name with the schema.
        role: the role of the stranger.
        problem: why it could not be tried; None: a row was seen.
    """

    table: str
    role: str
    problem: str | None = None


def probe_tables(connection: Connection) -> tuple[SeenTable, ...]:
    """Try all tables of users and of the schema `auth` that have row-level security and that a role may read.

    Raises:
        NotCheckedError: the role of this session may not take the role of a stranger, or there are too many tables.
    """
    tables = [
        each for each in read_tables(connection) if each.row_security and (each.is_users or each.schema == "auth")
    ]
    if len(tables) > _MOST_TABLES:
        message = f"there are more than {_MOST_TABLES} tables with row-level security"
        raise NotCheckedError(message)
    return tuple(found for table in tables for found in _probe(connection, table))


def _probe(connection: Connection, table: Table) -> Iterator[SeenTable]:
    # What `anon` sees, everybody sees.
    for role in sorted(table.readers):
        problem = None
        try:
            if not _sees(connection, table, role):
                continue
        except psycopg.errors.QueryCanceled:
            problem = f"no answer within {_TIMEOUT}"
        except psycopg.Error as error:
            problem = first_line(error)
        yield SeenTable(table.qualified, role, problem)
        if problem is None:
            return


def _sees(connection: Connection, table: Table, role: str) -> bool:
    """Whether a stranger with this role sees a row."""
    claims = json.dumps({"sub": str(uuid4()), "role": role})
    # All of it is rolled back, with the role and the settings.
    with connection.transaction(force_rollback=True):
        connection.execute("SELECT set_config('request.jwt.claims', %s, true)", (claims,))
        # Functions of policies may name tables without a schema, and find them on the path of the server's sessions.
        connection.execute(
            f"SET LOCAL statement_timeout = '{_TIMEOUT}'; SET LOCAL row_security = on;"
            " SET LOCAL search_path TO DEFAULT".encode()
        )
        try:
            connection.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(role)))
        except psycopg.errors.InsufficientPrivilege:
            message = f"the role of this session may not take the role {role}"
            raise NotCheckedError(message) from None
        query = sql.SQL("SELECT EXISTS (SELECT FROM {})").format(sql.Identifier(table.schema, table.name))
        row = connection.execute(query).fetchone()
        return row is not None and bool(row[0])
