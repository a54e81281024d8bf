"""Transactions that were open when a snapshot was taken, and may have written sealed values that it does not see.

A value that was written and not committed is in no snapshot. So a proof from a snapshot that no value needs a key must
know which transactions were open then, and must wait for those that may have written to a sealed table. Transactions
that only read, such as a dump, don't take the lock of a writer, so nothing waits for them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from psycopg.rows import dict_row

from fluxbase_cli.store.connection import Connection
from fluxbase_cli.store.queries import named_queries
from fluxbase_cli.store.relation import Relation
from fluxbase_cli.unexamined import Unexamined, UnexaminedKind


@dataclass(frozen=True, slots=True)
class Writer:
    """A transaction that has written, or may have written.

    Attributes:
        xid: the lower 32 bits of its transaction id.
        pid: the server's process; None for a prepared transaction.
        gid: the name of a prepared transaction.
        age_s: for how long it is open, in seconds; None if this role may not see that.
        relations: the relations that it may have written to.
    """

    xid: int
    pid: int | None
    gid: str | None
    age_s: float | None
    relations: tuple[str, ...]

    def unexamined(self) -> Unexamined:
        """The transaction as something that could not be examined."""
        tables = ", ".join(self.relations)
        age = "" if self.age_s is None else f", open for {self.age_s:.0f}s"
        if self.pid is None:
            name = self.gid or f"number {self.xid}"
            return Unexamined(
                UnexaminedKind.PREPARED_TRANSACTION,
                f"'{name}'",
                f"it has written to {tables} and is not committed{age}: end it with COMMIT PREPARED or ROLLBACK "
                "PREPARED, then run this again",
            )
        return Unexamined(
            UnexaminedKind.TRANSACTION,
            f"of process {self.pid}",
            f"it has written to {tables} and is not committed{age}: wait for its end, then run this again",
        )


@dataclass(frozen=True, slots=True)
class OpenTransactions:
    """The transactions that were open at a snapshot, and may have written to some relations.

    Attributes:
        since: transactions below this one had ended when the snapshot was taken.
        ended: whether some have ended since, so that it is unknown which relations they wrote to.
        running: those that still run and hold the lock of a writer.
        oids: the object ids of the relations that matter.
    """

    since: int
    ended: bool
    running: tuple[Writer, ...]
    oids: tuple[int, ...]

    def __bool__(self) -> bool:
        return self.ended or bool(self.running)

    def still_running(self, outside: Connection) -> tuple[Writer, ...]:
        """The transactions of `running` that still run now.

        Args:
            outside: a connection outside a transaction.
        """
        known = {writer.xid for writer in self.running}
        return tuple(writer for writer in _running(outside, self.oids) if writer.xid in known) if known else ()


def open_transactions(connection: Connection, outside: Connection, relations: Sequence[Relation]) -> OpenTransactions:
    """Find the transactions that were open when a session's snapshot was taken.

    Args:
        connection: a connection in a transaction with a snapshot (see `begin_snapshot`).
        outside: another session outside a transaction, which sees what has ended since.
        relations: the relations that matter.
    """
    oids = tuple(relation.oid for relation in relations)
    since, upto, opened = _snapshot(connection)
    running = _running(outside, oids)
    _, upto_now, _ = _snapshot(outside)
    running_now = {writer.xid for writer in running}
    # Transactions that may have written and had ended before their locks were read: transactions that the snapshot
    # lists as open, or transactions with an id above all that the snapshot knows.
    ended = upto_now > upto or any(xid % 2**32 not in running_now for xid in opened)
    return OpenTransactions(since, ended, tuple(writer for writer in running if writer.relations), oids)


def in_recovery(connection: Connection) -> bool:
    """Whether the server is a standby, which does not show the primary's transactions."""
    row = connection.execute(named_queries("open_transactions.sql")["in_recovery"]).fetchone()
    return bool(row and row[0])


def _snapshot(connection: Connection) -> tuple[int, int, frozenset[int]]:
    with connection.cursor(row_factory=dict_row) as cursor:
        row = cursor.execute(named_queries("open_transactions.sql")["snapshot"]).fetchone() or {}
    return int(row["since"]), int(row["upto"]), frozenset(map(int, row["open"]))


def _running(connection: Connection, oids: Sequence[int]) -> tuple[Writer, ...]:
    with connection.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(named_queries("open_transactions.sql")["running"], {"relations": list(oids)}).fetchall()
    return tuple(Writer(int(row["xid"]), row["pid"], row["gid"], row["age_s"], tuple(row["relations"])) for row in rows)
