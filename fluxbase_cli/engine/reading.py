"""Going through all values without writing: the audit's census and the dry run.

All threads see the database as it was at one moment (an exported snapshot), so that no row can escape by being moved
while they read.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Self

import psycopg

from fluxbase_cli.config import DatabaseSettings
from fluxbase_cli.counts import Counts
from fluxbase_cli.engine.goal import Goal
from fluxbase_cli.engine.judge import Judge, Judged
from fluxbase_cli.engine.observer import BatchDone, Observer, PassStarted
from fluxbase_cli.engine.plan import Plan
from fluxbase_cli.engine.retry import patiently
from fluxbase_cli.engine.settled import WRITERS_WAIT_S, take_snapshot
from fluxbase_cli.engine.stopping import Stop
from fluxbase_cli.engine.tables import limits_for
from fluxbase_cli.engine.tally import Tally
from fluxbase_cli.errors import DatabaseError
from fluxbase_cli.keyring import Keyring, Opener
from fluxbase_cli.locations import CATALOGUE, SealedTable
from fluxbase_cli.store.connect import (
    Access,
    Connection,
    begin_snapshot,
    connect_for_values,
    first_line,
    for_values,
    session,
)
from fluxbase_cli.store.jobs import QuarantineEntry
from fluxbase_cli.store.places import LAST_PLACE, WHOLE, Place, Stretch
from fluxbase_cli.store.relations import find_relations
from fluxbase_cli.store.survey import count_blocks
from fluxbase_cli.store.values import Limits, News, Portions, Reader, Rows, Shape
from fluxbase_cli.store.writers import OpenTransactions
from fluxbase_cli.unexamined import Unexamined


@dataclass(frozen=True, slots=True)
class Findings:
    """What all values were found to be.

    Attributes:
        tallies: by `schema.table.column`, in the catalogue's order.
        quarantine: the values that no key opens, ordered by place.
        unexamined: what was not committed when they were read.
    """

    tallies: Mapping[str, Tally]
    quarantine: tuple[QuarantineEntry, ...]
    unexamined: tuple[Unexamined, ...] = ()


class RelationsChangedError(DatabaseError):
    """Tables or partitions came, went or were replaced while they were read."""


@dataclass(frozen=True, slots=True)
class _Piece:
    shape: Shape
    stretch: Stretch


class ReadingRun:
    """Opens every value of a plan with a pool of threads, and writes nothing anywhere.

    Args:
        database: where.
        access: how values may be read.
        keyring: the keys to try, the last that opened something first.
        limits: how much to read at once.
        workers: how many threads, each with a connection.
        stop: ends it early.
        observer: is told of each batch.
        goal: for the counts told to the observer.
        catalogue: the sealed tables.
        wait_s: how long open transactions that may have written sealed values are waited for, in seconds.
    """

    def __init__(  # noqa: PLR0913  # what a run is told
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
    ) -> None:
        self._catalogue = catalogue
        self._wait_s = wait_s
        self._database = database
        self._access = access
        self._keyring = keyring
        self._limits = limits
        self._workers = workers
        self._stop = stop
        self._observer = observer
        self._goal = goal

    def run(self, plan: Plan) -> Findings:
        """Open everything.

        Raises:
            RelationsChangedError: the plan is not that of the relations that are there now.
            Exception: what a thread could not mend by retrying.
        """
        shapes = tuple(plan.cuts)
        with session(self._database) as holder, session(self._database) as looking:
            take = partial(self._take_snapshot, holder, looking, shapes, self._wait_s)
            opened = patiently(take, self._stop, self._observer)
            row = holder.execute("SELECT pg_export_snapshot()").fetchone()
            self._refuse_changes(holder, shapes)
            collected = _Collected(plan)
            self._run(plan, str(row[0]) if row else "", _cut(holder, plan), collected)
            unexamined = self._read_late(for_values(holder), looking, plan, opened, collected)
            holder.execute("ROLLBACK")
            # A partition that was attached meanwhile may hold rows that are older than the snapshot.
            self._refuse_changes(holder, shapes)
        return replace(collected.findings(), unexamined=unexamined)

    def _take_snapshot(
        self, connection: Connection, looking: Connection, shapes: Sequence[Shape], wait_s: float
    ) -> OpenTransactions:
        return take_snapshot(
            connection, looking, shapes, self._access, stop=self._stop, observer=self._observer, wait_s=wait_s
        )

    def _refuse_changes(self, connection: Connection, shapes: Sequence[Shape]) -> None:
        if find_relations(connection, self._catalogue).storage != frozenset((s.relation, s.oid) for s in shapes):
            raise RelationsChangedError(
                "tables with sealed values came, went or were replaced while they were read",
                hint="Nothing was written. Run it again when the migration has ended.",
            )

    def _read_late(
        self, holder: Connection, looking: Connection, plan: Plan, opened: OpenTransactions, collected: _Collected
    ) -> tuple[Unexamined, ...]:
        """Read what transactions wrote that were open at the snapshot and have ended since; name the others.

        Younger ones may have committed before the snapshot. The holder still has it, and says which rows it shows.
        """
        if not opened or self._stop.requested:
            return ()
        shapes, running = tuple(plan.cuts), opened.still_running(looking)
        if opened.ended or len(running) < len(opened.running):
            opener, since = Opener(self._keyring), News(opened.since, "{}")
            with connect_for_values(self._database, self._access) as reading:
                self._take_snapshot(reading, looking, shapes, 0.0)
                for shape in shapes:
                    judge, reader = Judge(shape, opener, None, plan.canary.tokens), Reader(shape)
                    portions = Portions(reader, WHOLE, limits_for(shape, self._limits), since)
                    while (rows := portions.next_rows(reading)) is not None and not self._stop.requested:
                        collected.add(shape, judge.judge(reader.unseen(holder, rows)))
        return tuple(writer.unexamined() for writer in running)

    def _run(self, plan: Plan, snapshot: str, pieces: queue.SimpleQueue[_Piece], collected: _Collected) -> None:
        self._observer.notify(PassStarted(0, plan.rows_by_location, {}))
        failures: list[BaseException] = []

        def body() -> None:
            try:
                self._work(pieces, snapshot, collected, plan.canary.tokens)
            except BaseException as error:  # noqa: BLE001  # handed to the caller's thread below
                failures.append(error)
                self._stop.request()

        threads = [threading.Thread(target=body, name=f"reader-{n}", daemon=True) for n in range(self._workers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            # In short steps, so that signals are handled meanwhile.
            while thread.is_alive():
                thread.join(0.1)
        if failures:
            raise _explained(failures[0])

    def _work(
        self, pieces: queue.SimpleQueue[_Piece], snapshot: str, collected: _Collected, tokens: frozenset[str]
    ) -> None:
        opener = Opener(self._keyring)
        with _Window(self._database, self._access, snapshot) as window:
            while not self._stop.requested:
                try:
                    piece = pieces.get_nowait()
                except queue.Empty:
                    return
                judge = Judge(piece.shape, opener, None, tokens)
                portions = Portions(Reader(piece.shape), piece.stretch, limits_for(piece.shape, self._limits))
                read = partial(window.next_rows, portions)
                while (rows := patiently(read, self._stop, self._observer)) is not None:
                    judged = judge.judge(rows)
                    collected.add(piece.shape, judged)
                    self._observer.notify(
                        BatchDone(piece.shape.table.qualified, len(rows), self._counts(piece.shape, judged), 0)
                    )
                    if self._stop.requested:
                        return

    def _counts(self, shape: Shape, judged: Judged) -> Mapping[str, Counts]:
        return {
            column.name: tally.counts(self._goal, written=False)
            for column, tally in zip(shape.columns, judged.tallies, strict=True)
        }


class _Window:
    """Looks at the database in a snapshot that another session has exported; over a new connection after trouble."""

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

    def next_rows(self, portions: Portions) -> Rows | None:
        connection = self._connection
        if connection is None or connection.closed:
            connection = self._connection = connect_for_values(self._database, self._access)
            connection.execute(begin_snapshot(self._access, self._snapshot))
        return portions.next_rows(connection)


def _cut(holder: Connection, plan: Plan) -> queue.SimpleQueue[_Piece]:
    """Cut the relations into pieces, by their sizes now that the snapshot is taken: all it can see lies within."""
    pieces: queue.SimpleQueue[_Piece] = queue.SimpleQueue()
    for shape, cut in plan.cuts.items():
        blocks, step = count_blocks(holder, shape), cut.blocks
        for first in range(0, blocks, step):
            last = LAST_PLACE if first + step >= blocks else Place(first + step, 0)
            pieces.put(_Piece(shape, Stretch(Place(first, 0), last)))
    return pieces


def _explained(error: BaseException) -> BaseException:
    if isinstance(error, psycopg.Error):
        return DatabaseError(
            f"reading was broken off: {type(error).__name__}: {first_line(error)}",
            hint="Nothing was written. Run it again.",
        )
    return error


class _Collected:
    """The threads' results, added under a lock."""

    def __init__(self, plan: Plan) -> None:
        self._lock = threading.Lock()
        self._tallies: dict[str, Tally] = {location: Tally() for location in plan.rows_by_location}
        self._quarantine: list[QuarantineEntry] = []

    def add(self, shape: Shape, judged: Judged) -> None:
        with self._lock:
            for column, tally in zip(shape.columns, judged.tallies, strict=True):
                self._tallies[shape.table.location(column)].add(tally)
            self._quarantine.extend(judged.quarantine)

    def findings(self) -> Findings:
        # One that was read again after the snapshot is listed once.
        ordered = sorted(set(self._quarantine), key=lambda entry: (entry.location, entry.id, entry.path))
        return Findings(self._tallies, tuple(ordered))
