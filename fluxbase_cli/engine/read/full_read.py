"""Reads all values without writing, for the audit and the dry run.

All sessions use the same snapshot (an exported one). So no row can be missed because an update moves it while they
read. A large plan is read by as many processes as there are processors, a small one over the connection that has the
snapshot.
"""

from __future__ import annotations

import queue
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import partial

import psycopg

from fluxbase_cli.catalogue.locations import CATALOGUE, SealedTable
from fluxbase_cli.config import DatabaseSettings
from fluxbase_cli.engine.allowed_workers import allowed_workers
from fluxbase_cli.engine.events import Observer, PassStarted
from fluxbase_cli.engine.further_process import processors
from fluxbase_cli.engine.goal import Goal
from fluxbase_cli.engine.prepare.plan import Plan
from fluxbase_cli.engine.read.collected import Collected, ReadResult
from fluxbase_cli.engine.read.processes import MOST_PARTS, ReadingProcesses
from fluxbase_cli.engine.read.range_reader import Part
from fluxbase_cli.engine.read.reading import OwnSession, Reading, explain, read_in_threads, read_parts
from fluxbase_cli.engine.read.snapshot import WRITERS_WAIT_S, snapshot_gone, take_snapshot
from fluxbase_cli.engine.read.visitor import RowVisitor
from fluxbase_cli.engine.retry import is_transient, retry_reading
from fluxbase_cli.engine.run.resealer import RowResealer
from fluxbase_cli.engine.stop import Stop
from fluxbase_cli.engine.tables import limits_for
from fluxbase_cli.errors import DatabaseError
from fluxbase_cli.keyring import Keyring, Opener
from fluxbase_cli.store.connection import (
    Connection,
    connect_for_values,
    find_by_ctid,
    first_line,
    for_values,
    session,
)
from fluxbase_cli.store.ctid import WHOLE_TABLE
from fluxbase_cli.store.limits import Limits
from fluxbase_cli.store.open_transactions import OpenTransactions
from fluxbase_cli.store.reader import BoundedReader, ChangedSince, Reader
from fluxbase_cli.store.relation import Relation
from fluxbase_cli.store.relations import find_relations
from fluxbase_cli.store.table_stats import count_blocks
from fluxbase_cli.store.transactions import SAVEPOINT, Access
from fluxbase_cli.unexamined import Unexamined

#: So few rows are read over one connection: a further connection costs as much time as to open some thousand values.
_FEW_ROWS = 20_000
#: A document, or a value under a user's key, takes as long as so many other rows.
_ROWS_A_DOCUMENT, _ROWS_A_USER = 20, 5
#: Into how many parts each thread's share is cut, so that all are busy until the end.
_PARTS_A_THREAD = 4
_LEAST_PAGES = 32


class RelationsChangedError(DatabaseError):
    """Tables or partitions were created, dropped or replaced while they were read."""


class FullRead:
    """Opens every value of a plan with threads and processes. Writes nothing.

    Args:
        database: how to connect.
        access: how to read values with this role.
        keyring: the keys to try; the key that opened the last value comes first.
        limits: how much to read at once.
        workers: how many threads of all processes, each with a connection.
        stop: ends it early.
        observer: gets an event for each range that was read.
        goal: decides how the observer's events count each value.
        catalogue: the sealed tables.
        wait_s: how long to wait for open transactions that may have written sealed values, in seconds.
        alone: use no other process, because other databases are read in this one at the same time.
        visitor: gets the rows too; None if nobody does. With a visitor, only the relations that it wants are read, and
            by this process alone.
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
        alone: bool = False,
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
        self._alone = alone or visitor is not None

    def run(self, plan: Plan, connection: Connection | None = None) -> ReadResult:
        """Open everything.

        Args:
            plan: the tables.
            connection: a session outside a transaction that may be used, since it has read the catalogues already.
                Further processes can't be forked while this process has a connection, so give none for a plan that is
                not `is_little`.

        Raises:
            RelationsChangedError: the relations are not those of the plan any more.
            Exception: an error of a thread or a process that did not end with retries.
        """
        relations = tuple(plan.shard_layouts)
        reading = Reading(
            self._database,
            self._access,
            self._keyring,
            self._limits,
            self._goal,
            plan.key_sample.tokens,
            self._visitor,
        )
        # A failure stops the readers, and not the caller: it may read everything again.
        with (
            self._stop.child() as stop,
            ReadingProcesses(reading, self._further_processes(plan), stop, self._observer) as processes,
            session(self._database) if connection is None else nullcontext(connection) as holder,
            session(self._database) as outside,
        ):
            if not is_little(plan):
                self._workers = allowed_workers(outside, self._workers, self._observer)
            take = partial(self._take_snapshot, holder, outside, relations, self._wait_s)
            opened = retry_reading(holder, take, self._stop, self._observer)
            try:
                collected = Collected(plan.rows_by_location)
                self._read(holder, plan, reading, processes, collected, stop)
                unexamined = self._read_late(for_values(holder), outside, plan, opened, collected)
                holder.execute("ROLLBACK")
            except psycopg.Error as error:
                if not is_transient(error):
                    raise
                raise snapshot_gone(first_line(error)) from None
            # A partition that was attached meanwhile may hold older rows that this snapshot did not read.
            self._refuse_changes(holder, relations)
        found = collected.result()
        return replace(found, unexamined=found.unexamined + unexamined)

    def _further_processes(self, plan: Plan) -> int:
        return 0 if self._alone or is_little(plan) else min(self._workers, processors()) - 1

    def _read(  # noqa: PLR0913, PLR0917  # what is read, where, and by whom
        self,
        holder: Connection,
        plan: Plan,
        reading: Reading,
        processes: ReadingProcesses,
        collected: Collected,
        stop: Stop,
    ) -> None:
        """Read all that the holder's snapshot shows."""
        little = is_little(plan)
        # A snapshot can't be exported after a savepoint.
        snapshot = "" if little else _export_snapshot(holder)
        self._refuse_changes(holder, tuple(plan.shard_layouts))
        self._observer.notify(PassStarted(0, plan.rows_by_location, {}))
        parts = _cut(holder, plan, self._wanted(plan), self._workers)
        if little:
            find_by_ctid(for_values(holder))
            holder.execute(SAVEPOINT)
            try:
                read_parts(reading, _Queue(parts), OwnSession(holder), collected, stop, self._observer)
            except psycopg.Error as error:
                if is_transient(error):
                    raise
                raise explain(error) from None
        else:
            self._read_in_threads(parts, snapshot, reading, processes, collected, stop)
        if collected.parts != len(parts) and not stop.requested:
            raise DatabaseError(
                f"{collected.parts} of {len(parts)} parts were read, so this proves nothing", hint="Run it again."
            )

    def _read_in_threads(  # noqa: PLR0913, PLR0917  # what is read, where, and by whom
        self,
        parts: Sequence[Part],
        snapshot: str,
        reading: Reading,
        processes: ReadingProcesses,
        collected: Collected,
        stop: Stop,
    ) -> None:
        """Read with the threads of all processes. Each process has at least one thread."""
        threads = max(1, self._workers // (1 + processes.number))
        with processes.reading(parts, tuple(collected.locations), snapshot, threads) as shared:
            try:
                read_in_threads(
                    reading,
                    _Queue(parts) if shared is None else shared,
                    max(1, self._workers - threads * processes.number),
                    snapshot=snapshot,
                    collected=collected,
                    stop=stop,
                    observer=self._observer,
                )
            except psycopg.Error as error:
                raise explain(error) from None
        processes.add_to(collected, stop)

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
        self, holder: Connection, outside: Connection, plan: Plan, opened: OpenTransactions, collected: Collected
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


class _Queue:
    """Parts that the threads of one process take."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self._parts: queue.SimpleQueue[Part] = queue.SimpleQueue()
        for part in parts:
            self._parts.put(part)

    def take(self) -> Part | None:
        try:
            return self._parts.get_nowait()
        except queue.Empty:
            return None


def is_little(plan: Plan) -> bool:
    """Whether it takes no longer to read over one connection than to open further ones."""
    weighted = 0
    for relation, found in plan.stats.items():
        rows_a_row = _ROWS_A_DOCUMENT if relation.holds_documents else _ROWS_A_USER if relation.user_column else 1
        weighted += found.rows * rows_a_row * len(relation.columns)
    return weighted <= _FEW_ROWS


def _export_snapshot(holder: Connection) -> str:
    row = holder.execute("SELECT pg_export_snapshot()").fetchone()
    return str(row[0]) if row else ""


def _cut(holder: Connection, plan: Plan, wanted: Sequence[Relation], threads: int) -> list[Part]:
    """Divide the relations into parts. The sizes are from after the snapshot, so the parts cover all that it sees."""
    parts = []
    sizes = count_blocks(holder, wanted)
    most = max(sum(sizes.values()) // (MOST_PARTS // 2), _LEAST_PAGES)
    for relation, blocks in sizes.items():
        step = max(min(plan.shard_layouts[relation].blocks, blocks // (threads * _PARTS_A_THREAD)), most)
        parts += [Part(relation, first, first + step, first + step >= blocks) for first in range(0, blocks, step)]
    return parts
