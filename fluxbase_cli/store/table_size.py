"""Measures relations on disk, and vacuums and locks them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from fluxbase_cli.store.connection import APPLICATION_NAME, Connection
from fluxbase_cli.store.encoding import NO_PARAMETERS
from fluxbase_cli.store.queries import named_queries
from fluxbase_cli.store.relation import Relation, names_of

#: The first half of the key of the lock that `take_vacuum_lock` takes: "flxv" in ASCII.
_VACUUM_LOCK_CLASS = 0x666C7876


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
    def outside(self) -> int:
        """The large values outside the rows."""
        return self.whole - self.heap

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


def vacuum_in_a_job(connection: Connection, relation: Relation) -> None:
    """Vacuum a relation and its large values, so that their room can be used again. Only outside a transaction.

    It waits for no lock and takes none that a reader or writer would notice. Somebody else's lock makes it do nothing.
    """
    # The whole table need not be read because of its age now; autovacuum does that. The server lowers the figure.
    connection.execute("SET vacuum_freeze_table_age = 2000000000")
    connection.execute(
        sql.SQL("VACUUM (SKIP_LOCKED, TRUNCATE FALSE, PARALLEL 0) {}").format(relation.identifier), NO_PARAMETERS
    )


def oldest_snapshot(connection: Connection) -> tuple[int, int]:
    """The number of the next transaction, and of the one since which a snapshot of others keeps what dies.

    If there is no such snapshot, both are the same.
    """
    row = connection.execute(
        named_queries("table_size.sql")["oldest_snapshot"], {"ours": APPLICATION_NAME}, prepare=False
    ).fetchone()
    upcoming, age = (int(row[0]), int(row[1])) if row else (0, 0)
    return upcoming, upcoming - age


def take_vacuum_lock(connection: Connection, relation: Relation) -> bool:
    """Take the advisory lock of the one session that vacuums a relation during a job. Return whether it is this one.

    The session holds it until it ends.
    """
    row = connection.execute(
        named_queries("table_size.sql")["vacuum_lock"],
        {"lock_class": _VACUUM_LOCK_CLASS, "schema": relation.schema, "name": relation.name},
        prepare=False,
    ).fetchone()
    return bool(row and row[0])


def others_wait_for(connection: Connection, process: int) -> bool:
    """Whether a session waits for a relation that another session has locked.

    Args:
        connection: any session.
        process: the backend of the session that has the lock.
    """
    row = connection.execute(
        named_queries("table_size.sql")["others_wait_for"], {"process": process}, prepare=False
    ).fetchone()
    return bool(row and row[0])


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
