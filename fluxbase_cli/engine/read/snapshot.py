"""Takes a snapshot that can prove that a value does not exist.

The relations are locked before the snapshot is taken, so that none of them is rewritten meanwhile. Then the tool waits,
with a limit, for open transactions that may have written to them. It names the transactions that are still open.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import psycopg

from fluxbase_cli.engine.events import Observer, Waiting
from fluxbase_cli.engine.stop import Stop
from fluxbase_cli.errors import DatabaseError
from fluxbase_cli.store.connection import Connection
from fluxbase_cli.store.encoding import NO_PARAMETERS
from fluxbase_cli.store.open_transactions import OpenTransactions, in_recovery, open_transactions
from fluxbase_cli.store.relation import Relation
from fluxbase_cli.store.transactions import SNAPSHOT_GONE, Access, begin_snapshot, lock_for_reading

#: How long to wait for open transactions that may have written sealed values, in seconds.
WRITERS_WAIT_S = 10.0
_POLL_S = 0.05
#: After how many seconds of waiting it is reported.
_REPORT_AFTER_S = 1.0
#: On a busy server there is always a transaction that ended between the snapshot and the query for locks, or that has
#: just begun to write. After this number of attempts, what such transactions wrote is read after the snapshot instead.
_ATTEMPTS = 20

NOTHING_OPEN = OpenTransactions(since=0, ended=False, running=(), oids=())


class SnapshotGoneError(DatabaseError):
    """The session that held the snapshot has ended: it was lost, or cancelled on a standby that replays changes."""


def snapshot_gone(why: str, what: str = "the snapshot") -> SnapshotGoneError:
    """The error for a snapshot that can't be read any more.

    Args:
        why: what happened.
        what: which snapshot it is.
    """
    return SnapshotGoneError(
        f"{what} is gone: {why}",
        hint="Nothing was written. Run it again. On a standby, max_standby_streaming_delay says how long a query may "
        "delay replay.",
    )


def begin_in_snapshot(connection: Connection, access: Access, snapshot: str, what: str = "the snapshot") -> None:
    """Begin a transaction in a snapshot that another session has exported.

    Args:
        connection: a connection outside a transaction.
        access: how to read values with this role.
        snapshot: its name.
        what: which snapshot it is, for the error.

    Raises:
        SnapshotGoneError: the session that held it has ended.
        psycopg.Error: another error.
    """
    try:
        connection.execute(begin_snapshot(access, snapshot))
    except psycopg.Error as error:
        if error.sqlstate not in SNAPSHOT_GONE:
            raise
        raise snapshot_gone("the session that held it has ended", what) from None


def take_snapshot(  # noqa: PLR0913  # what a snapshot is taken of, and how long to wait for it
    connection: Connection,
    outside: Connection,
    relations: Sequence[Relation],
    access: Access,
    *,
    stop: Stop,
    observer: Observer,
    wait_s: float = WRITERS_WAIT_S,
) -> OpenTransactions:
    """Begin a transaction with a snapshot of the values. The caller ends it with ROLLBACK.

    Args:
        connection: a connection outside a transaction.
        outside: another session outside a transaction.
        relations: the relations that will be read.
        access: how to read values with this role.
        stop: ends the waiting.
        observer: gets an event that says what is waited for.
        wait_s: how long to wait for open transactions, in seconds.

    Returns:
        The transactions whose writes the snapshot may not see. On a standby none, because a standby does not show them.

    Raises:
        psycopg.Error: a relation can't be locked, or does not exist any more.
    """
    deadline = time.monotonic() + wait_s
    for attempt in range(1, _ATTEMPTS + 1):
        opened = _begin(connection, outside, relations, access)
        if not opened or stop.requested or time.monotonic() >= deadline or attempt == _ATTEMPTS:
            return opened
        connection.execute("ROLLBACK")
        _wait_for(outside, opened, deadline, stop, observer)
    raise AssertionError  # pragma: no cover  # the last attempt returns


def _begin(
    connection: Connection, outside: Connection, relations: Sequence[Relation], access: Access
) -> OpenTransactions:
    connection.execute(begin_snapshot(access))
    try:
        if relations:
            connection.execute(lock_for_reading([relation.identifier for relation in relations]), NO_PARAMETERS)
        if in_recovery(connection):
            return NOTHING_OPEN
        return open_transactions(connection, outside, relations)
    except psycopg.Error:
        if not connection.closed:
            connection.execute("ROLLBACK")
        raise


def _wait_for(outside: Connection, opened: OpenTransactions, deadline: float, stop: Stop, observer: Observer) -> None:
    began, reported = time.monotonic(), False
    while (running := opened.still_running(outside)) and time.monotonic() < deadline:
        if not reported and time.monotonic() - began >= _REPORT_AFTER_S:
            reported = True
            writer = running[0].unexamined()
            name = f"{writer.kind.value.replace('-', ' ')} {writer.where}"
            observer.notify(Waiting(f"the end of {name}, which has written to a sealed table", None))
        if stop.wait(_POLL_S):
            return
