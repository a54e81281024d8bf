"""Measures relations on disk, and vacuums and locks them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from fluxbase_cli.store.connection import Connection
from fluxbase_cli.store.encoding import NO_PARAMETERS
from fluxbase_cli.store.queries import named_queries
from fluxbase_cli.store.relation import Relation, names_of


@dataclass(frozen=True, slots=True)
class TableSize:
    """The size of a relation on disk, in bytes, and its row versions as PostgreSQL counts them.

    Attributes:
        heap: its rows.
        whole: its rows with large values outside the rows (TOAST).
        indexes: all its indexes together.
        entries_a_row: how many index entries a row has, on average.
        live, dead: row versions, from PostgreSQL's statistics.
    """

    heap: int
    whole: int
    indexes: int
    entries_a_row: float
    live: int
    dead: int

    @property
    def total(self) -> int:
        """Rows, TOAST and indexes together."""
        return self.whole + self.indexes


def table_sizes(connection: Connection, relations: Sequence[Relation]) -> Mapping[str, TableSize]:
    """The sizes of relations by `schema.name`."""
    with connection.cursor(row_factory=dict_row) as cursor:
        cursor.execute(named_queries("table_size.sql")["sizes"], names_of(relations))
        return {str(row.pop("relation")): TableSize(**row) for row in cursor.fetchall()}


def may_vacuum(connection: Connection, relations: Sequence[Relation]) -> frozenset[str]:
    """The relations that this role may vacuum, as `schema.name`."""
    rows = connection.execute(named_queries("table_size.sql")["may_vacuum"], names_of(relations)).fetchall()
    return frozenset(str(name) for name, may in rows if may)


def vacuum(connection: Connection, relation: Relation) -> None:
    """Vacuum a relation and update its statistics. Only outside a transaction."""
    # The same delay as autovacuum, so that the load is low.
    connection.execute("SET vacuum_cost_delay = '2ms'")
    connection.execute(sql.SQL("VACUUM (ANALYZE) {}").format(relation.identifier), NO_PARAMETERS)


def try_lock_relation(connection: Connection, relation: Relation) -> bool:
    """Lock a relation against VACUUM and ANALYZE, if the lock is free and this role may take it. Return whether.

    Args:
        connection: a connection in a transaction, which holds the lock.
        relation: the relation.
    """
    connection.execute("SAVEPOINT try_lock")
    try:
        connection.execute(
            sql.SQL("LOCK TABLE ONLY {} IN SHARE UPDATE EXCLUSIVE MODE NOWAIT").format(relation.identifier),
            NO_PARAMETERS,
        )
    except (psycopg.errors.LockNotAvailable, psycopg.errors.InsufficientPrivilege):
        connection.execute("ROLLBACK TO SAVEPOINT try_lock")
        return False
    return True


def others_wait(connection: Connection) -> bool:
    """Whether another session waits for a relation that this one has locked. Leaves no snapshot open."""
    # Never prepared: the portal of a prepared statement keeps its snapshot until the session's next statement. That
    # snapshot would keep the room of dead row versions from being used again.
    row = connection.execute(named_queries("table_size.sql")["others_wait"], prepare=False).fetchone()
    return bool(row and row[0])
