"""Finds the databases of branches and tenants, which may hold sealed values too."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

import psycopg
from psycopg.rows import dict_row

from fluxbase_cli.store.connection import Connection, first_line
from fluxbase_cli.store.queries import named_queries
from fluxbase_cli.store.transactions import Access, begin_stats_read
from fluxbase_cli.unexamined import Unexamined, UnexaminedKind


class Databases(StrEnum):
    """Which databases a command is for (`--databases`)."""

    MAIN = "main"
    BRANCHES = "branches"
    TENANTS = "tenants"
    ALL = "all"

    @property
    def has_main(self) -> bool:
        """Whether the main database is one of them."""
        return self in (Databases.MAIN, Databases.ALL)


@dataclass(frozen=True, slots=True)
class SecondaryDatabase:
    """The database of a branch or a tenant.

    Attributes:
        name: its name.
        kind: `branch` or `tenant`.
    """

    name: str
    kind: str


@dataclass(frozen=True, slots=True)
class FurtherDatabases:
    """The databases of branches and tenants, from the lists in the main database.

    Attributes:
        found: the databases that exist.
        unexamined: lists that this role may not read.
    """

    found: tuple[SecondaryDatabase, ...] = ()
    unexamined: tuple[Unexamined, ...] = ()


_LISTS = (
    ("branch", Databases.BRANCHES, "branching.branches", "branch_databases"),
    ("tenant", Databases.TENANTS, "platform.tenants", "tenant_databases"),
)


def find_databases(connection: Connection, access: Access, wanted: Databases = Databases.ALL) -> FurtherDatabases:
    """Find the databases that the main database lists and that exist.

    Args:
        connection: a connection to the main database, outside a transaction.
        access: the role to use; perhaps only this role may read a list.
        wanted: which databases.
    """
    if wanted is Databases.MAIN:
        return FurtherDatabases()
    with connection.cursor(row_factory=dict_row) as cursor:
        there = {row["table_name"] for row in cursor.execute(named_queries("databases.sql")["lists"]).fetchall()}
    found: dict[str, SecondaryDatabase] = {}
    unexamined: list[Unexamined] = []
    for kind, scope, table, query in _LISTS:
        if wanted not in (scope, Databases.ALL):
            continue
        if table not in there:
            if scope is Databases.BRANCHES:
                unexamined += _unlisted(connection)
            continue
        try:
            names = _names(connection, access, query)
        except psycopg.Error as error:
            needs = isinstance(error, psycopg.errors.InsufficientPrivilege)
            remedy = "grant the role USAGE on its schema and SELECT on it" if needs else "correct that"
            reason = f"this list of {kind} databases can't be read: {first_line(error)}; {remedy}, then run this again"
            unexamined.append(Unexamined(UnexaminedKind.LIST, table, reason))
            continue
        found |= {name: SecondaryDatabase(name, kind) for name in names if name not in found}
    return FurtherDatabases(tuple(found.values()), tuple(unexamined))


def exists(connection: Connection, name: str) -> bool:
    """Whether a database of that name exists on the server."""
    row = connection.execute(named_queries("databases.sql")["exists"], {"name": name}).fetchone()
    return bool(row and row[0])


def _names(connection: Connection, access: Access, query: str) -> list[str]:
    connection.execute(begin_stats_read(access))
    try:
        rows = connection.execute(named_queries("databases.sql")[query]).fetchall()
    finally:
        if not connection.closed:
            connection.execute("ROLLBACK")
    return [str(row[0]) for row in rows]


def _unlisted(connection: Connection) -> Iterator[Unexamined]:
    names = [str(row[0]) for row in connection.execute(named_queries("databases.sql")["unlisted_branches"]).fetchall()]
    if names:
        yield Unexamined(
            UnexaminedKind.LIST,
            "branching.branches",
            f"the list of branch databases is not there, and there are databases with the name of a branch: {names[0]}"
            + (f" and {len(names) - 1} more" if len(names) > 1 else "")
            + "; restore the table, or use --databases main if they are no branches",
        )
