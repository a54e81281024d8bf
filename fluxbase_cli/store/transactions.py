"""The statements that begin a transaction on values: its isolation, its role, and which triggers fire."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from psycopg import sql

#: SQLSTATEs with which PostgreSQL refuses an exported snapshot whose session has ended its transaction.
#: 42704 since version 18.
SNAPSHOT_GONE = ("22023", "42704", "55000")


@dataclass(frozen=True, slots=True)
class Access:
    """How to read and write values on this database, as the preflight checks found it.

    Attributes:
        role: the role to switch to for the values; None to stay the login role.
        quiet: whether triggers can be kept silent with `session_replication_role = replica`.
    """

    role: str | None = None
    quiet: bool = True


#: A savepoint before values are read. After a damaged row the transaction returns to it, with its snapshot and its
#: locks. A snapshot can't be exported after it.
SAVEPOINT = sql.SQL("SAVEPOINT reading")
TO_SAVEPOINT = sql.SQL("ROLLBACK TO SAVEPOINT reading")


def begin_stats_read(access: Access) -> sql.Composed:
    """The statements that open a read-only transaction for counts and samples."""
    return sql.SQL("BEGIN READ ONLY") + _as_role(access) + sql.SQL("; ") + SAVEPOINT


def begin_reading(access: Access) -> sql.Composed:
    """The statements that open a read-only transaction for reading values; see `connect_for_values`."""
    return sql.SQL("BEGIN READ ONLY") + _as_role(access)


def begin_snapshot(access: Access, snapshot: str | None = None) -> sql.Composed:
    """The statements that open a read-only transaction with one snapshot.

    Args:
        access: how to read values with this role.
        snapshot: the name of a snapshot that another session exported; None for a new snapshot. With a name, the
            statements end with `SAVEPOINT`.
    """
    start = sql.SQL("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
    statements = sql.Composed([start])
    if snapshot is not None:
        statements += sql.SQL("; SET TRANSACTION SNAPSHOT {}").format(sql.Literal(snapshot))
    # There may be a long time between two reads, while values are opened.
    statements += sql.SQL("; SET LOCAL idle_in_transaction_session_timeout = 0") + _as_role(access)
    return statements if snapshot is None else statements + sql.SQL("; ") + SAVEPOINT


def lock_for_reading(tables: Sequence[sql.Composable]) -> sql.Composed:
    """The statements that keep tables from being rewritten or truncated until the transaction ends.

    They come before the transaction's first query, because that query takes the snapshot. A table that an ALTER rewrote
    or a TRUNCATE emptied after the snapshot looks empty in it (PostgreSQL's documentation, "Caveats" of MVCC). Readers
    and writers do not wait for these locks.
    """
    return sql.SQL("; ").join(sql.SQL("LOCK TABLE ONLY {} IN ACCESS SHARE MODE").format(table) for table in tables)


def begin_batch(access: Access) -> sql.Composed:
    """The statements that open a batch's transaction, in one round trip.

    `synchronous_commit` is off. After a crash of the server the last few commits may be lost. That is harmless, because
    progress and values are lost together.
    """
    start = sql.Composed([sql.SQL("BEGIN; SET LOCAL synchronous_commit = off")])
    if access.quiet:
        # Before the switch of roles: service_role may not change this setting (docs/developers/format.md, "Triggers").
        # The session has it already. But if a pooler has dropped it, triggers would fire.
        start += sql.SQL("; SET LOCAL session_replication_role = replica")
    return start + _as_role(access)


def _as_role(access: Access) -> sql.Composed:
    # In each transaction again: a pooler between us and the server may have dropped the session's setting.
    statements = sql.Composed([sql.SQL("; SET LOCAL row_security = off")])
    if access.role is not None:
        statements += sql.SQL("; SET LOCAL ROLE {}").format(sql.Identifier(access.role))
    return statements
