"""The deep census: everything in any column of a database that opens under a key of the ring.

The ordinary census opens the values at the places where a Fluxbase server seals. This one looks at all other columns:
a plugin's table, what an older release has left, events and logs that hold a copy of a row. All threads see the
database as it was at one moment, and nothing is written. What could not be read is `Unexamined`, never "nothing found".
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from fluxbase_cli.config import DatabaseSettings
from fluxbase_cli.counts import Counts
from fluxbase_cli.engine.events import BatchDone, Observer, PassStarted
from fluxbase_cli.engine.stop import Stop
from fluxbase_cli.engine.tally import Tally
from fluxbase_cli.keyring import Keyring
from fluxbase_cli.proof.searching import FoundSeal, Piece, SearchContext, Searcher
from fluxbase_cli.store.connection import session
from fluxbase_cli.store.ctid import LAST_CTID, Ctid, CtidRange
from fluxbase_cli.store.deep import HEAP, DeepColumn, DeepRelation, list_relations, speak_its_encoding
from fluxbase_cli.store.deep_reading import MOST_COLUMNS, DeepTable
from fluxbase_cli.store.transactions import Access, begin_snapshot
from fluxbase_cli.unexamined import Unexamined, UnexaminedKind

#: The observer is told of pages, as of one location.
_PROGRESS, _PAGES = "deep census", "pages"
#: A piece is what one statement reads: large enough that its start costs nothing, small enough that a stop is heard
#: soon and that all threads have work to the end.
_MIN_PIECE_BYTES = 2 * 1024 * 1024
_MAX_PIECE_BYTES = 32 * 1024 * 1024
_PIECES_A_WORKER = 8
#: After a stop was asked for, how long a statement may take before it is cancelled, in seconds.
_GRACE_S = 1.0


@dataclass(frozen=True, slots=True)
class DeepResult:
    """What the deep census has found.

    Attributes:
        locations: what opened, by `schema.table.column`; columns in which nothing did are left out. A text that no key
            opens counts nowhere.
        examples: a few rows of each, by place and key; never a value.
        tables: how many tables were looked into.
        columns: how many of their columns.
        bytes: how much all of these tables hold.
        unexamined: what could not be read.
    """

    locations: Mapping[str, Tally]
    examples: Mapping[str, tuple[str, ...]]
    tables: int
    columns: int
    bytes: int
    unexamined: tuple[Unexamined, ...]


def search_columns(  # noqa: PLR0913  # what a census is told
    database: DatabaseSettings,
    access: Access,
    keyring: Keyring,
    *,
    known: frozenset[str],
    skip: frozenset[str],
    workers: int,
    stop: Stop,
    observer: Observer,
    snapshot: str | None = None,
) -> DeepResult:
    """Look into every column of every table and materialized view. A read-only role and a standby are enough.

    Args:
        database: where.
        access: how values may be read.
        keyring: the keys to try.
        known: columns that the ordinary census has opened, as `schema.table.column`; of a partitioned table, those of
            the partitions.
        skip: tables and columns that the operator leaves out, as `schema.table` or `schema.table.column`; a
            partitioned table stands for its partitions.
        workers: threads, each with a connection.
        stop: ends it early.
        observer: is told of the progress.
        snapshot: a snapshot that another session has exported and keeps; one of our own when left out.

    Raises:
        ConfigurationError: the connection is refused.
        DatabaseError: the server can't be reached, or the snapshot is gone.
    """
    with session(database) as holder:
        speak_its_encoding(holder)
        holder.execute(begin_snapshot(access, snapshot))
        if snapshot is None:
            row = holder.execute("SELECT pg_export_snapshot()", binary=True).fetchone()
            snapshot = row[0].decode("ascii") if row else ""
        plan = _Plan.make(list_relations(holder), known, skip)
        pages = sum(table.relation.blocks for table in plan.tables)
        observer.notify(PassStarted(0, {f"{_PROGRESS}.{_PAGES}": pages}, {}))
        around = SearchContext(database, access, keyring, snapshot, stop, observer)
        found = _Run(around, plan.pieces(workers)).run(workers)
    return DeepResult(
        locations=dict(sorted(found.tallies.items())),
        examples={location: tuple(examples) for location, examples in sorted(found.examples.items())},
        tables=len(plan.relations),
        columns=sum(len(table.columns) for table in plan.tables),
        bytes=sum(relation.bytes for relation in plan.relations),
        unexamined=(*plan.unexamined, *found.unexamined.values()),
    )


@dataclass(slots=True)
class _Plan:
    """What is looked into, and what can't be."""

    relations: list[DeepRelation] = field(default_factory=list)
    tables: list[DeepTable] = field(default_factory=list)
    unexamined: list[Unexamined] = field(default_factory=list)

    @classmethod
    def make(cls, relations: list[DeepRelation], known: frozenset[str], skip: frozenset[str]) -> _Plan:
        plan = cls()
        for relation in relations:
            columns = _wanted(relation, known, skip)
            if not columns or not relation.populated:
                continue
            if not relation.readable:
                plan.unexamined.append(
                    Unexamined(
                        UnexaminedKind.COLUMN,
                        relation.where,
                        "the role may not read it; grant it USAGE on the schema and SELECT on the table",
                    )
                )
            elif relation.method != HEAP:
                plan.unexamined.append(
                    Unexamined(
                        UnexaminedKind.COLUMN,
                        relation.where,
                        f"its access method {relation.method} is not one that can be searched; leave it out on purpose",
                    )
                )
            else:
                plan.relations.append(relation)
                plan.tables += (
                    DeepTable(relation, columns[first : first + MOST_COLUMNS])
                    for first in range(0, len(columns), MOST_COLUMNS)
                )
        return plan

    def pieces(self, workers: int) -> queue.SimpleQueue[Piece]:
        """All tables, cut into pieces of about one size; an empty one is a piece too."""
        total = sum(table.relation.bytes for table in self.tables)
        wanted = min(max(total // (workers * _PIECES_A_WORKER), _MIN_PIECE_BYTES), _MAX_PIECE_BYTES)
        pieces: queue.SimpleQueue[Piece] = queue.SimpleQueue()
        for table in self.tables:
            blocks = table.relation.blocks
            step = max(blocks // (table.relation.bytes // wanted + 1), 1)
            for first in range(0, max(blocks, 1), step):
                last = LAST_CTID if first + step >= blocks else Ctid(first + step, 0)
                pieces.put(Piece(table, CtidRange(Ctid(first, 0), last), min(step, blocks - first)))
        return pieces


def _wanted(relation: DeepRelation, known: frozenset[str], skip: frozenset[str]) -> list[DeepColumn]:
    names = {relation.where, *relation.ancestors}
    if names & skip:
        return []
    # What stands below the table's name is the column's.
    return [
        column
        for column in relation.columns
        if column.location not in known and not {name + column.location[len(relation.where) :] for name in names} & skip
    ]


class _Run:
    """The threads of a search, and what they find."""

    def __init__(self, around: SearchContext, pieces: queue.SimpleQueue[Piece]) -> None:
        self._around = around
        self._pieces = pieces
        self._lock = threading.Lock()
        self._found = FoundSeal()
        self._failures: list[BaseException] = []

    def run(self, workers: int) -> FoundSeal:
        searchers = [Searcher(self._around) for _ in range(workers)]
        threads = [
            threading.Thread(target=self._body, args=(searcher,), name=f"searcher-{number}", daemon=True)
            for number, searcher in enumerate(searchers, 1)
        ]
        for thread in threads:
            thread.start()
        self._join(threads, searchers)
        if self._failures:
            raise self._failures[0]
        if self._around.stop.requested:
            self._found.leave_out("all columns", "the search was stopped before its end")
        return self._found

    def _body(self, searcher: Searcher) -> None:
        try:
            with searcher:
                while not self._around.stop.requested:
                    try:
                        piece = self._pieces.get_nowait()
                    except queue.Empty:
                        return
                    found = searcher.search(piece)
                    with self._lock:
                        self._found.add(found)
                    counts = {_PAGES: Counts(scanned=found.opened)}
                    self._around.observer.notify(BatchDone(_PROGRESS, piece.pages, counts, 0))
        except BaseException as error:  # noqa: BLE001  # handed to the caller's thread
            if not self._around.stop.requested:
                self._failures.append(error)
            self._around.stop.request()

    def _join(self, threads: list[threading.Thread], searchers: list[Searcher]) -> None:
        asked: float | None = None
        while any(thread.is_alive() for thread in threads):
            for thread in threads:
                # In short steps, so that the main thread handles signals meanwhile.
                thread.join(0.05)
            if not self._around.stop.requested:
                continue
            asked = asked or time.monotonic()
            if time.monotonic() - asked > _GRACE_S:
                for searcher in searchers:
                    searcher.cancel()
