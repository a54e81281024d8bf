"""Reads all values without writing, for the audit and the dry run.

All threads use the same snapshot (an exported one). So no row can be missed because an update moves it while they read.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from operator import attrgetter
from typing import Self, TypeVar

import psycopg
from psycopg.pq import TransactionStatus

from fluxbase_cli.catalogue.locations import CATALOGUE, SealedTable
from fluxbase_cli.config import DatabaseSettings
from fluxbase_cli.counts import Counts
from fluxbase_cli.engine.allowed_workers import allowed_workers
from fluxbase_cli.engine.events import BatchDone, Observer, PassStarted
from fluxbase_cli.engine.goal import Goal
from fluxbase_cli.engine.prepare.plan import Plan
from fluxbase_cli.engine.read.snapshot import WRITERS_WAIT_S, begin_in_snapshot, snapshot_gone, take_snapshot
from fluxbase_cli.engine.read.visitor import RowVisitor
from fluxbase_cli.engine.retry import is_transient, retry_reading, retry_transient
from fluxbase_cli.engine.run.resealer import ResealResult, RowResealer
from fluxbase_cli.engine.stop import Stop
from fluxbase_cli.engine.tables import limits_for
from fluxbase_cli.engine.tally import Tally
from fluxbase_cli.errors import DatabaseError
from fluxbase_cli.keyring import Keyring, Opener
from fluxbase_cli.store.connection import Connection, connect_for_values, first_line, for_values, session
from fluxbase_cli.store.ctid import LAST_CTID, WHOLE_TABLE, Ctid, CtidRange
from fluxbase_cli.store.limits import Limits
from fluxbase_cli.store.open_transactions import OpenTransactions
from fluxbase_cli.store.quarantine import Quarantine, QuarantineCollector
from fluxbase_cli.store.reader import BoundedReader, ChangedSince, Reader
from fluxbase_cli.store.relation import Relation
from fluxbase_cli.store.relations import find_relations
from fluxbase_cli.store.table_stats import count_blocks
from fluxbase_cli.store.transactions import SAVEPOINT, Access
from fluxbase_cli.unexamined import Unexamined

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class ReadResult:
    """The result of reading all values.

    Attributes:
        tallies: the counts by `schema.table.column`, in the order of the catalogue.
        quarantine: the undecryptable values, ordered by location, row id and path.
        unexamined: damaged rows, and what was not committed when they were read.
    """

    tallies: Mapping[str, Tally]
    quarantine: Quarantine
    unexamined: tuple[Unexamined, ...] = ()


class RelationsChangedError(DatabaseError):
    """Tables or partitions were created, dropped or replaced while they were read."""


@dataclass(frozen=True, slots=True)
class _Part:
    relation: Relation
    ctid_range: CtidRange


class FullRead:
    """Opens every value of a plan with a pool of threads. Writes nothing.

    Args:
        database: how to connect.
        access: how to read values with this role.
        keyring: the keys to try; the key that opened the last value comes first.
        limits: how much to read at once.
        workers: how many threads, each with a connection.
        stop: ends it early.
        observer: gets an event for each batch.
        goal: decides how the observer's events count each value.
        catalogue: the sealed tables.
        wait_s: how long to wait for open transactions that may have written sealed values, in seconds.
        visitor: gets the rows too; None if nobody does. With a visitor, only the relations that it wants are read.
    """

    def __init__(  # noqa: PLR0913  # all that a full read needs
        self,
        database: DatabaseSettings,
        access: Access,
        keyring: Keyring,
        *,
        limits: Limits,
        workers: int,
        stop: Stop,
        observer: Observer,
        goal: Goal,
        catalogue: Sequence[SealedTable] = CATALOGUE,
        wait_s: float = WRITERS_WAIT_S,
        visitor: RowVisitor | None = None,
    ) -> None:
        self._catalogue = catalogue
        self._visitor = visitor
        self._wait_s = wait_s
        self._database = database
        self._access = access
        self._keyring = keyring
        self._limits = limits
        self._workers = workers
        self._stop = stop
        self._observer = observer
        self._goal = goal

    def run(self, plan: Plan) -> ReadResult:
        """Open everything.

        Raises:
            RelationsChangedError: the relations are not those of the plan any more.
            Exception: an error of a thread that did not end with retries.
        """
        relations = tuple(plan.shard_layouts)
        with session(self._database) as holder, session(self._database) as outside:
            self._workers = allowed_workers(outside, self._workers, self._observer)
            take = partial(self._take_snapshot, holder, outside, relations, self._wait_s)
            opened = retry_reading(holder, take, self._stop, self._observer)
            try:
                collected, unexamined = self._read(holder, outside, plan, opened)
            except psycopg.Error as error:
                if not is_transient(error):
                    raise
                raise snapshot_gone(first_line(error)) from None
            # A partition that was attached meanwhile may hold older rows that this snapshot did not read.
            self._refuse_changes(holder, relations)
        found = collected.result()
        return replace(found, unexamined=found.unexamined + unexamined)

    def _read(
        self, holder: Connection, outside: Connection, plan: Plan, opened: OpenTransactions
    ) -> tuple[_Collected, tuple[Unexamined, ...]]:
        """Read all that the holder's snapshot shows, and what was open then. Ends the holder's transaction."""
        row = holder.execute("SELECT pg_export_snapshot()").fetchone()
        self._refuse_changes(holder, tuple(plan.shard_layouts))
        collected = _Collected(plan)
        self._run(plan, str(row[0]) if row else "", _cut(holder, plan, self._wanted(plan)), collected)
        unexamined = self._read_late(for_values(holder), outside, plan, opened, collected)
        holder.execute("ROLLBACK")
        return collected, unexamined

    def _wanted(self, plan: Plan) -> tuple[Relation, ...]:
        """The relations to read."""
        return tuple(each for each in plan.shard_layouts if self._visitor is None or self._visitor.wants(each))

    def _take_snapshot(
        self, connection: Connection, outside: Connection, relations: Sequence[Relation], wait_s: float
    ) -> OpenTransactions:
        return take_snapshot(
            connection, outside, relations, self._access, stop=self._stop, observer=self._observer, wait_s=wait_s
        )

    def _refuse_changes(self, connection: Connection, relations: Sequence[Relation]) -> None:
        if find_relations(connection, self._catalogue).storage != frozenset((s.qualified, s.oid) for s in relations):
            raise RelationsChangedError(
                "tables with sealed values were created, dropped or replaced while they were read",
                hint="Nothing was written. Run it again when the migration has ended.",
            )

    def _read_late(
        self, holder: Connection, outside: Connection, plan: Plan, opened: OpenTransactions, collected: _Collected
    ) -> tuple[Unexamined, ...]:
        """Read what was written by transactions that were open at the snapshot and have ended since.

        Younger transactions may have committed before the snapshot. The holder still has the snapshot, and says which
        rows it shows.

        Returns:
            The transactions that are still open.
        """
        if not opened or self._stop.requested:
            return ()
        relations, running = tuple(plan.shard_layouts), opened.still_running(outside)
        if opened.ended or len(running) < len(opened.running):
            opener, since = Opener(self._keyring), ChangedSince(opened.since, "{}")
            with connect_for_values(self._database, self._access) as reading:
                self._take_snapshot(reading, outside, relations, 0.0)
                reading.execute(SAVEPOINT)
                for relation in self._wanted(plan):
                    resealer = RowResealer(relation, opener, None, plan.key_sample.tokens)
                    reader = Reader(relation)
                    bounded = BoundedReader(reader, WHOLE_TABLE, limits_for(relation, self._limits), since)
                    while (rows := bounded.next_rows(reading)) is not None and not self._stop.requested:
                        new = reader.unseen(holder, rows)
                        collected.add(relation, resealer.process(new))
                        if self._visitor is not None and len(new):
                            self._visitor.visit(relation, resealer, new, lambda action: action(reading))
                    collected.add_damaged(reader)
        return tuple(writer.unexamined() for writer in running)

    def _run(self, plan: Plan, snapshot: str, parts: queue.SimpleQueue[_Part], collected: _Collected) -> None:
        self._observer.notify(PassStarted(0, plan.rows_by_location, {}))
        failures: list[BaseException] = []
        # A failure stops the other threads, and not the caller: it may read everything again.
        with self._stop.child() as stop:

            def body() -> None:
                try:
                    self._work(parts, snapshot, collected, plan.key_sample.tokens, stop)
                except BaseException as error:  # noqa: BLE001  # handed to the caller's thread below
                    failures.append(error)
                    stop.request()

            threads = [threading.Thread(target=body, name=f"reader-{n}", daemon=True) for n in range(self._workers)]
            for thread in threads:
                thread.start()
            for thread in threads:
                # Short joins, so that Python handles signals meanwhile.
                while thread.is_alive():
                    thread.join(0.1)
        if failures:
            raise _explained(failures[0])

    def _work(
        self, parts: queue.SimpleQueue[_Part], snapshot: str, collected: _Collected, tokens: frozenset[str], stop: Stop
    ) -> None:
        opener = Opener(self._keyring)
        with _SnapshotSession(self._database, self._access, snapshot) as snapshot_session:
            while not stop.requested:
                try:
                    part = parts.get_nowait()
                except queue.Empty:
                    return
                resealer = RowResealer(part.relation, opener, None, tokens)
                reader = Reader(part.relation)
                bounded = BoundedReader(reader, part.ctid_range, limits_for(part.relation, self._limits))

                def read(action: Callable[[Connection], _T]) -> _T:
                    return retry_transient(partial(snapshot_session.run, action), stop, self._observer)

                while (rows := read(bounded.next_rows)) is not None:
                    result = resealer.process(rows)
                    collected.add(part.relation, result)
                    if self._visitor is not None:
                        self._visitor.visit(part.relation, resealer, rows, read)
                    self._observer.notify(
                        BatchDone(part.relation.table.qualified, len(rows), self._counts(part.relation, result), 0)
                    )
                    if stop.requested:
                        return
                collected.add_damaged(reader)

    def _counts(self, relation: Relation, result: ResealResult) -> Mapping[str, Counts]:
        return {
            column.name: tally.counts(self._goal, written=False)
            for column, tally in zip(relation.columns, result.tallies, strict=True)
        }


class _SnapshotSession:
    """Reads in a snapshot that another session has exported. Connects again after the connection was lost."""

    def __init__(self, database: DatabaseSettings, access: Access, snapshot: str) -> None:
        self._database = database
        self._access = access
        self._snapshot = snapshot
        self._connection: Connection | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        if self._connection is not None:
            self._connection.close()

    def run(self, action: Callable[[Connection], _T]) -> _T:
        connection = self._connection
        if connection is None or connection.closed:
            connection = self._connection = connect_for_values(self._database, self._access)
        status = connection.info.transaction_status
        if status is TransactionStatus.INERROR:
            # The error of the attempt before. The transaction takes no more statements.
            connection.execute("ROLLBACK")
        if status is not TransactionStatus.INTRANS:
            begin_in_snapshot(connection, self._access, self._snapshot)
        return action(connection)


def _cut(holder: Connection, plan: Plan, wanted: Sequence[Relation]) -> queue.SimpleQueue[_Part]:
    """Divide the relations into parts. The sizes are from after the snapshot, so the parts cover all that it sees."""
    parts: queue.SimpleQueue[_Part] = queue.SimpleQueue()
    for relation in wanted:
        blocks, step = count_blocks(holder, relation), plan.shard_layouts[relation].blocks
        for first in range(0, blocks, step):
            last = LAST_CTID if first + step >= blocks else Ctid(first + step, 0)
            parts.put(_Part(relation, CtidRange(Ctid(first, 0), last)))
    return parts


def _explained(error: BaseException) -> BaseException:
    if isinstance(error, psycopg.Error):
        return DatabaseError(
            f"reading ended early: {type(error).__name__}: {first_line(error)}",
            hint="Nothing was written. Run it again.",
        )
    return error


class _Collected:
    """The threads' results, added under a lock."""

    def __init__(self, plan: Plan) -> None:
        self._lock = threading.Lock()
        self._tallies: dict[str, Tally] = {location: Tally() for location in plan.rows_by_location}
        self._quarantine = QuarantineCollector()
        self._damaged: set[Unexamined] = set()

    def add_damaged(self, reader: Reader) -> None:
        damaged = {row.unexamined() for row in reader.take_damaged()}
        with self._lock:
            self._damaged |= damaged

    def add(self, relation: Relation, result: ResealResult) -> None:
        with self._lock:
            for column, tally in zip(relation.columns, result.tallies, strict=True):
                self._tallies[relation.table.location(column)].add(tally)
            self._quarantine.add(result.quarantine)

    def result(self) -> ReadResult:
        undecryptable = sum(tally.undecryptable for tally in self._tallies.values())
        return ReadResult(
            self._tallies,
            self._quarantine.result(undecryptable),
            tuple(sorted(self._damaged, key=attrgetter("where"))),
        )
