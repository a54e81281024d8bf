"""The deep audit: finds everything in any column of a database that opens under a key of the key ring.

The ordinary audit opens the values in the locations where a Fluxbase server seals. The deep audit searches all other
columns: a plugin's table, leftovers of an older release, events and logs that hold a copy of a row. All threads use the
same snapshot, and nothing is written. What could not be read is `Unexamined`, never "nothing found".
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from fluxbase_cli.config import DatabaseSettings
from fluxbase_cli.counts import Counts
from fluxbase_cli.engine.allowed_workers import allowed_workers
from fluxbase_cli.engine.events import BatchDone, Observer, PassStarted
from fluxbase_cli.engine.stop import Stop
from fluxbase_cli.engine.tally import Tally
from fluxbase_cli.keyring import Keyring
from fluxbase_cli.proof.searching import FoundSeal, Piece, SearchContext, Searcher
from fluxbase_cli.store.connection import session
from fluxbase_cli.store.ctid import LAST_CTID, Ctid, CtidRange
from fluxbase_cli.store.deep import HEAP, DeepColumn, DeepRelation, for_searching, list_relations
from fluxbase_cli.store.deep_reading import MOST_COLUMNS, DeepTable
from fluxbase_cli.store.transactions import Access, begin_snapshot
from fluxbase_cli.unexamined import Unexamined, UnexaminedKind

#: The progress counts pages, as if they were the rows of one location.
_PROGRESS, _PAGES = "deep audit", "pages"
#: A part is what one statement reads. It is large enough that its start costs nothing, and small enough that a stop
#: works soon and that all threads have work until the end.
_MIN_PIECE_BYTES = 2 * 1024 * 1024
_MAX_PIECE_BYTES = 32 * 1024 * 1024
_PIECES_A_WORKER = 8
#: How long a statement may take after a stop was requested before it is cancelled, in seconds.
_GRACE_S = 1.0


@dataclass(frozen=True, slots=True)
class DeepResult:
    """What the deep audit has found.

    Attributes:
        locations: counts of what opened, by `schema.table.column`. A column in which nothing opened is left out. A text
            that no key opens is not counted.
        examples: a few rows of each column, by ctid and key; never a value.
        tables: how many tables were searched.
        columns: how many of their columns were searched.
        bytes: the size of all these tables.
        unexamined: what could not be read.
    """

    locations: Mapping[str, Tally]
    examples: Mapping[str, tuple[str, ...]]
    tables: int
    columns: int
    bytes: int
    unexamined: tuple[Unexamined, ...]


def search_columns(  # noqa: PLR0913  # all that an audit needs
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
    """Search every column of every table and materialized view. A read-only role and a standby are enough.

    Args:
        database: how to connect.
        access: how to read values with this role.
        keyring: the keys to try.
        known: columns that the ordinary audit has opened, as `schema.table.column`; for a partitioned table, the
            columns of the partitions.
        skip: tables and columns that the operator leaves out, as `schema.table` or `schema.table.column`. A partitioned
            table includes its partitions.
        workers: threads, each with a connection.
        stop: ends it early.
        observer: gets the progress.
        snapshot: a snapshot that another session has exported and holds; a new one when left out.

    Raises:
        ConfigurationError: the connection is refused.
        DatabaseError: the server can't be reached, or the snapshot is gone.
    """
    with session(database) as holder:
        workers = allowed_workers(holder, workers, observer)
        for_searching(holder)
        holder.execute(begin_snapshot(access, snapshot))
        if snapshot is None:
            row = holder.execute("SELECT pg_export_snapshot()", binary=True).fetchone()
            snapshot = row[0].decode("ascii") if row else ""
        plan = _Plan.make(list_relations(holder), known, skip)
        pages = sum(table.relation.blocks for table in plan.tables)
        observer.notify(PassStarted(0, {f"{_PROGRESS}.{_PAGES}": pages}, {}))
        context = SearchContext(database, access, keyring, snapshot, stop, observer)
        found = _Run(context, plan.pieces(workers)).run(workers)
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
    """What is searched, and what can't be searched."""

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
                        f"its access method {relation.method} can't be searched; to leave it out on purpose, list it "
                        "under `skip` in the file of --locations",
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
        """All tables, divided into parts of about the same size. An empty table is one part."""
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
    # A location after the table's name is the column's name.
    return [
        column
        for column in relation.columns
        if column.location not in known and not {name + column.location[len(relation.where) :] for name in names} & skip
    ]


class _Run:
    """The threads of a search, and what they find."""

    def __init__(self, context: SearchContext, pieces: queue.SimpleQueue[Piece]) -> None:
        self._context = context
        self._pieces = pieces
        self._lock = threading.Lock()
        self._found = FoundSeal()
        self._failures: list[BaseException] = []

    def run(self, workers: int) -> FoundSeal:
        searchers = [Searcher(self._context) for _ in range(workers)]
        threads = [
            threading.Thread(target=self._body, args=(searcher,), name=f"searcher-{number}", daemon=True)
            for number, searcher in enumerate(searchers, 1)
        ]
        for thread in threads:
            thread.start()
        self._join(threads, searchers)
        if self._failures:
            raise self._failures[0]
        if self._context.stop.requested:
            self._found.leave_out("all columns", "the search was stopped before its end; run it again")
        return self._found

    def _body(self, searcher: Searcher) -> None:
        try:
            with searcher:
                while not self._context.stop.requested:
                    try:
                        piece = self._pieces.get_nowait()
                    except queue.Empty:
                        return
                    found = searcher.search(piece)
                    with self._lock:
                        self._found.add(found)
                    counts = {_PAGES: Counts(scanned=found.opened)}
                    self._context.observer.notify(BatchDone(_PROGRESS, piece.pages, counts, 0))
        except BaseException as error:  # noqa: BLE001  # handed to the caller's thread
            if not self._context.stop.requested:
                self._failures.append(error)
            self._context.stop.request()

    def _join(self, threads: list[threading.Thread], searchers: list[Searcher]) -> None:
        stopped_at: float | None = None
        while any(thread.is_alive() for thread in threads):
            for thread in threads:
                # Short joins, so that the main thread handles signals meanwhile.
                thread.join(0.05)
            if not self._context.stop.requested:
                continue
            stopped_at = stopped_at or time.monotonic()
            if time.monotonic() - stopped_at > _GRACE_S:
                for searcher in searchers:
                    searcher.cancel()
