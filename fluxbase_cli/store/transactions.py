"""How a transaction that reads or writes values begins: its isolation, its role, and which triggers fire."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from psycopg import sql


@dataclass(frozen=True, slots=True)
class Access:
    """How values may be read and written on this database, as preflight found it.

    Attributes:
        role: the role to switch to for the values, or None to stay who we are.
        quiet: whether triggers can be kept silent with `session_replication_role = replica`.
    """

    role: str | None = None
    quiet: bool = True


def begin_stats_read(access: Access) -> sql.Composed:
    """The statements that open a read-only transaction for counts and samples."""
    return sql.SQL("BEGIN READ ONLY") + _as_role(access)


def begin_reading(access: Access) -> sql.Composed:
    """The statements that open a read-only transaction for reading values; see `connect_for_values`."""
    return sql.SQL("BEGIN READ ONLY") + _as_role(access)


def begin_snapshot(access: Access, snapshot: str | None = None) -> sql.Composed:
    """The statements that open a read-only transaction on the values as they are at one moment.

    Args:
        access: how to read.
        snapshot: the name of a snapshot that another session exported, to see what it sees.
    """
    start = sql.SQL("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
    statements = sql.Composed([start])
    if snapshot is not None:
        statements += sql.SQL("; SET TRANSACTION SNAPSHOT {}").format(sql.Literal(snapshot))
    # A census may think for a while between two reads.
    return statements + sql.SQL("; SET LOCAL idle_in_transaction_session_timeout = 0") + _as_role(access)


def lock_for_reading(tables: Sequence[sql.Identifier]) -> sql.Composed:
    """The statements that keep tables from being rewritten or emptied until the transaction's end.

    They come before the transaction's first query, which takes its snapshot: a table that an ALTER rewrote or a
    TRUNCATE emptied after the snapshot was taken looks empty in it (PostgreSQL's documentation, "Caveats" of MVCC).
    Readers and writers are not kept waiting.
    """
    return sql.SQL("; ").join(sql.SQL("LOCK TABLE ONLY {} IN ACCESS SHARE MODE").format(table) for table in tables)


def begin_batch(access: Access) -> sql.Composed:
    """The statements that open a batch's transaction, in one round trip.

    Losing the last few commits in a crash of the server is harmless, since progress and values go together; so
    `synchronous_commit` is off.
    """
    start = sql.Composed([sql.SQL("BEGIN; SET LOCAL synchronous_commit = off")])
    if access.quiet:
        # Before the switch of roles: service_role is denied this setting (docs/developers/format.md, "Triggers").
        # The session has it already; a pooler that has dropped it must not have triggers fire.
        start += sql.SQL("; SET LOCAL session_replication_role = replica")
    return start + _as_role(access)


def _as_role(access: Access) -> sql.Composed:
    # Again in each transaction: a pooler between us and the server may have dropped the session's setting.
    statements = sql.Composed([sql.SQL("; SET LOCAL row_security = off")])
    if access.role is not None:
        statements += sql.SQL("; SET LOCAL ROLE {}").format(sql.Identifier(access.role))
    return statements
