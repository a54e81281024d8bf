"""Reads the parts of tables with several threads, all in the same snapshot."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol, TypeVar

import psycopg
from psycopg.pq import TransactionStatus

from fluxbase_cli.config import DatabaseSettings
from fluxbase_cli.counts import Counts
from fluxbase_cli.engine.events import BatchDone, Observer
from fluxbase_cli.engine.goal import Goal
from fluxbase_cli.engine.read.collected import Collected
from fluxbase_cli.engine.read.range_reader import Part, RangeReader, Read, ReadingSession
from fluxbase_cli.engine.read.snapshot import begin_in_snapshot
from fluxbase_cli.engine.read.visitor import RowVisitor
from fluxbase_cli.engine.retry import retry_transient
from fluxbase_cli.engine.run.resealer import ResealResult
from fluxbase_cli.engine.stop import Stop
from fluxbase_cli.errors import DatabaseError
from fluxbase_cli.keyring import Keyring, Opener
from fluxbase_cli.store.connection import Connection, connect_for_values, failure_text
from fluxbase_cli.store.limits import Limits
from fluxbase_cli.store.relation import Relation
from fluxbase_cli.store.transactions import Access

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Reading:
    """What all readers of one full read share.

    Attributes:
        database: how to connect.
        access: how to read values with this role.
        keyring: the keys to try.
        limits: how many whole rows to read at once.
        goal: decides how the observer's events count each value.
        tokens: as for `RowResealer`.
        visitor: gets the rows too; None if nobody does.
    """

    database: DatabaseSettings
    access: Access
    keyring: Keyring
    limits: Limits
    goal: Goal
    tokens: frozenset[str]
    visitor: RowVisitor | None = None


class Parts(Protocol):
    """The parts that are left to read."""

    def take(self) -> Part | None:
        """The next part, which no other reader gets; None if none is left. Called from any thread."""
        ...


def read_parts(  # noqa: PLR0913, PLR0917  # what is read, where, and who is told
    reading: Reading, parts: Parts, session: ReadingSession, collected: Collected, stop: Stop, observer: Observer
) -> None:
    """Read parts until none is left or a stop is requested.

    Args:
        reading: what all readers share.
        parts: where to take the parts from.
        session: where to read.
        collected: gets what is found.
        stop: ends it early.
        observer: gets an event for each range.
    """
    opener = Opener(reading.keyring)
    readers: dict[Relation, RangeReader] = {}
    while not stop.requested:
        part = parts.take()
        if part is None:
            return
        relation = part.relation
        if relation not in readers:
            readers[relation] = RangeReader(relation, opener, reading.limits, reading.tokens, reading.visitor)
        reader = readers[relation]
        for rows, result in reader.read(part, session):
            collected.add(relation, result)
            observer.notify(BatchDone(relation.table.qualified, rows, _counts(relation, result, reading.goal), 0))
            if stop.requested:
                return
        collected.add_damaged(reader.reader)
        collected.part_done()


def _counts(relation: Relation, result: ResealResult, goal: Goal) -> Mapping[str, Counts]:
    return {
        column.name: tally.counts(goal, written=False)
        for column, tally in zip(relation.columns, result.tallies, strict=True)
    }


def read_in_threads(  # noqa: PLR0913  # as for `read_parts`
    reading: Reading,
    parts: Parts,
    threads: int,
    *,
    snapshot: str,
    collected: Collected,
    stop: Stop,
    observer: Observer,
) -> None:
    """Read parts with several threads, each with a connection.

    Args:
        reading: what all readers share.
        parts: where to take the parts from.
        threads: how many threads.
        snapshot: the snapshot that another session has exported.
        collected: gets what is found.
        stop: ends it early.
        observer: gets an event for each range.

    Raises:
        Exception: an error of a thread that did not end with retries. The others have ended then.
    """
    failures: list[BaseException] = []
    # A failure stops the other threads, and not the caller: it may read everything again.
    with stop.child() as ours:

        def body() -> None:
            try:
                with _snapshot_session(reading, snapshot, ours, observer) as session:
                    read_parts(reading, parts, session, collected, ours, observer)
            except BaseException as error:  # noqa: BLE001  # handed to the caller's thread below
                failures.append(error)
                ours.request()

        started = [threading.Thread(target=body, name=f"reader-{n}", daemon=True) for n in range(threads)]
        for thread in started:
            thread.start()
        for thread in started:
            # Short joins, so that Python handles signals meanwhile.
            while thread.is_alive():
                thread.join(0.1)
    if failures:
        raise failures[0]


def explain(error: BaseException) -> BaseException:
    """An error of a reader as it is told to the user."""
    if isinstance(error, psycopg.Error):
        return DatabaseError(
            f"reading ended early: {failure_text(error)}",
            hint="Nothing was written. Run it again.",
        )
    return error


class OwnSession:
    """Reads over a connection that is in the snapshot's transaction already.

    Args:
        connection: in a transaction after `SAVEPOINT`.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def read(self, action: Read[_T]) -> _T:
        """Call a function with the connection. If it fails, the snapshot is gone, so there is no second attempt."""
        return action(self._connection)


@contextmanager
def _snapshot_session(reading: Reading, snapshot: str, stop: Stop, observer: Observer) -> Iterator[_SnapshotSession]:
    session = _SnapshotSession(reading, snapshot, stop, observer)
    try:
        yield session
    finally:
        session.close()


class _SnapshotSession:
    """Reads in a snapshot that another session has exported. Connects again after the connection was lost."""

    def __init__(self, reading: Reading, snapshot: str, stop: Stop, observer: Observer) -> None:
        self._reading = reading
        self._snapshot = snapshot
        self._stop = stop
        self._observer = observer
        self._connection: Connection | None = None

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()

    def read(self, action: Read[_T]) -> _T:
        def attempt() -> _T:
            return action(self._connected())

        return retry_transient(attempt, self._stop, self._observer)

    def _connected(self) -> Connection:
        connection = self._connection
        if connection is None or connection.closed:
            connection = self._connection = connect_for_values(self._reading.database, self._reading.access)
        status = connection.info.transaction_status
        if status is TransactionStatus.INERROR:
            # The error of the attempt before. The transaction takes no more statements.
            connection.execute("ROLLBACK")
        if status is not TransactionStatus.INTRANS:
            begin_in_snapshot(connection, self._reading.access, self._snapshot)
        return connection
