"""Searches one part of a table for seals: reads it over a session, and tries the keys on what it reads."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Self

import psycopg
from psycopg.pq import TransactionStatus

from fluxbase_cli.config import DatabaseSettings
from fluxbase_cli.engine.events import Observer
from fluxbase_cli.engine.read.snapshot import begin_in_snapshot
from fluxbase_cli.engine.retry import retry_transient
from fluxbase_cli.engine.stop import Stop
from fluxbase_cli.engine.tally import Tally
from fluxbase_cli.keyring import Keyring
from fluxbase_cli.proof.candidates import worth_a_look
from fluxbase_cli.proof.opening import OpenResult, ValueOpener
from fluxbase_cli.store.connection import Connection, connect, failure_text, first_line
from fluxbase_cli.store.ctid import Ctid, CtidRange
from fluxbase_cli.store.deep import ColumnKind, for_searching
from fluxbase_cli.store.deep_reading import MAX_RAW_BYTES, DeepTable
from fluxbase_cli.store.transactions import Access
from fluxbase_cli.unexamined import Unexamined, UnexaminedKind

#: How many rows are named for each column.
EXAMPLES = 3
#: Values that are too large to be sent with others are fetched up to this many bytes at a time; a larger one alone.
_FETCHED_BYTES = 4 * 1024 * 1024
#: For how many rows at once the users that they name are read.
_ROWS_OF_USERS = 500
#: The class of errors about a limit of the server. A retry does not help.
_LIMIT_CLASS = "54"
#: The start of SQLSTATEs which mean that the server or the connection is gone.
_SERVER_GONE = ("08", "57P")


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a table.

    Attributes:
        table: the table.
        ctid_range: where to read.
        pages: the number of pages, for the progress.
    """

    table: DeepTable
    ctid_range: CtidRange
    pages: int


@dataclass(slots=True)
class FoundSeal:
    """What was found in a part of the database, by `schema.table.column`.

    Attributes:
        tallies: counts of what opened.
        examples: a few rows with such values.
        unexamined: what could not be read, by its name.
    """

    tallies: dict[str, Tally] = field(default_factory=lambda: defaultdict(Tally))
    examples: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    unexamined: dict[str, Unexamined] = field(default_factory=dict)

    def add(self, other: FoundSeal) -> None:
        """Add what was found in another part."""
        for location, tally in other.tallies.items():
            self.tallies[location].add(tally)
        for location, examples in other.examples.items():
            self.examples[location] = (self.examples[location] + examples)[:EXAMPLES]
        for where, unexamined in other.unexamined.items():
            self.unexamined.setdefault(where, unexamined)

    def leave_out(self, where: str, reason: str) -> None:
        """Record what could not be read."""
        self.unexamined.setdefault(where, Unexamined(UnexaminedKind.COLUMN, where, reason))

    @property
    def opened(self) -> int:
        """How many seals opened."""
        return sum(tally.scanned for tally in self.tallies.values())


_SKIP = "look at it yourself; if it holds no sealed value, list it under `skip` in the file of --locations"
_CHANGED = "it was dropped, renamed or rewritten after the snapshot of this audit; run it again"


class UnreadableError(Exception):
    """A table can't be read; the message says why."""


@dataclass(frozen=True, slots=True)
class SearchContext:
    """What all searchers of a run share.

    Attributes:
        database: how to connect.
        access: how to read values with this role.
        keyring: the keys to try.
        snapshot: the name of the exported snapshot.
        stop: ends the search.
        observer: gets an event that says what is waited for.
        large: a lock, so that only one thread at a time has a very large value in memory.
    """

    database: DatabaseSettings
    access: Access
    keyring: Keyring
    snapshot: str
    stop: Stop
    observer: Observer
    large: threading.Lock = field(default_factory=threading.Lock)


class Searcher:
    """Searches parts of tables, one after the other. One for each thread."""

    def __init__(self, context: SearchContext) -> None:
        self._context = context
        self._opener = ValueOpener(context.keyring)
        self._connection: Connection | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        if self._connection is not None:
            self._connection.close()

    def cancel(self) -> None:
        """Cancel the running statement. Callable from any thread."""
        connection = self._connection
        if connection is not None and not connection.closed:
            with suppress(psycopg.Error):
                connection.cancel_safe(timeout=1.0)

    def search(self, piece: Piece) -> FoundSeal:
        """Search a part of a table. An error that concerns only this table is recorded in the result.

        Raises:
            ConfigurationError, psycopg.OperationalError: the server can't be reached any more.
            DatabaseError: the snapshot does not exist any more.
        """
        found = FoundSeal()

        def attempt() -> None:
            nonlocal found
            found = FoundSeal()
            with self._transaction() as connection:
                _PartReader(connection, piece, self._opener, self._context).read(found)

        where = piece.table.relation.where
        try:
            retry_transient(attempt, self._context.stop, self._context.observer)
        except UnreadableError as error:
            found.leave_out(where, str(error))
        except psycopg.Error as error:
            if self._context.stop.requested:
                return found
            if error.sqlstate is None or error.sqlstate.startswith(_SERVER_GONE):
                raise
            found.leave_out(where, f"reading failed: {failure_text(error)}; correct that, then run this again")
        return found

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        """A transaction with the snapshot. Each part has one transaction, so that no table is locked for longer."""
        connection = self._connection
        if connection is None or connection.closed:
            connection = self._connection = for_searching(connect(self._context.database))
        begin_in_snapshot(connection, self._context.access, self._context.snapshot, "the snapshot of the deep audit")
        try:
            yield connection
        finally:
            if connection.info.transaction_status is not TransactionStatus.UNKNOWN:
                with suppress(psycopg.Error):
                    connection.execute("ROLLBACK")


class _PartReader:
    """Reads one part of a table in one transaction, and tries the keys on all that passes the server's filter."""

    def __init__(self, connection: Connection, piece: Piece, opener: ValueOpener, context: SearchContext) -> None:
        self._connection = connection
        self._table = piece.table
        self._ctid_range = piece.ctid_range
        self._opener = opener
        self._context = context
        self._found = FoundSeal()

    def read(self, found: FoundSeal) -> None:
        """Read to the end of the part, or until a stop.

        Args:
            found: gets what is found, also if the reading ends with an error.

        Raises:
            UnreadableError: the table can't be read.
        """
        self._found = found
        table, ctid_range, listed = self._table, self._ctid_range, False
        while not self._context.stop.requested:
            try:
                columns, last = table.matches(self._connection, ctid_range)
            except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn):
                raise UnreadableError(_CHANGED) from None
            except psycopg.Error as error:
                if (error.sqlstate or "").startswith(_LIMIT_CLASS):
                    raise UnreadableError(
                        f"a value is too large to be searched: {first_line(error)}; {_SKIP}"
                    ) from None
                raise
            # The first read has locked the table until the transaction ends, so one check is enough.
            if not listed and not table.stands_as_listed(self._connection):
                raise UnreadableError(_CHANGED)
            listed = True
            for number, matched in enumerate(columns):
                self._look(number, matched.places, matched.values)
                self._look_at_large(number, matched.large)
            if last is None:
                return
            ctid_range = CtidRange(Ctid.of(last), ctid_range.upto)

    def _look_at_large(self, column: int, large: Sequence[tuple[bytes, int]]) -> None:
        """Fetch the values that were not sent: several at a time, and very large ones one at a time."""
        few: list[bytes] = []
        held = 0
        for ctid, size in large:
            if self._context.stop.requested:
                return
            if size > _FETCHED_BYTES:
                with self._context.large:
                    self._look_at(column, [ctid])
                continue
            if held + size > _FETCHED_BYTES:
                self._look_at(column, few)
                few, held = [], 0
            few.append(ctid)
            held += size
        if few:
            self._look_at(column, few)

    def _look_at(self, column: int, ctids: Sequence[bytes]) -> None:
        rows = self._table.fetch(self._connection, column, ctids)
        self._look(column, [ctid for ctid, _ in rows], [value for _, value in rows])

    def _look(self, column: int, ctids: Sequence[bytes], values: Sequence[bytes]) -> None:
        is_bytes = self._table.columns[column].kind is ColumnKind.BYTES
        doubtful: list[tuple[bytes, OpenResult]] = []
        for number in range(len(values)) if is_bytes else worth_a_look(values):
            looked = self._opener.look(values[number], is_bytes=is_bytes, most_raw=MAX_RAW_BYTES)
            if looked is None:
                continue
            if looked.doubts:
                doubtful.append((ctids[number], looked))
            else:
                self._count(ctids[number], column, looked)
        for start in range(0, len(doubtful), _ROWS_OF_USERS):
            group = doubtful[start : start + _ROWS_OF_USERS]
            rows = self._table.hints(self._connection, [ctid for ctid, _ in group])
            for ctid, looked in group:
                if self._context.stop.requested:
                    return
                self._opener.try_users(looked, rows.get(ctid, b""))
                self._count(ctid, column, looked)

    def _count(self, ctid: bytes, column: int, looked: OpenResult) -> None:
        location = self._table.columns[column].location
        if looked.overflowed:
            self._found.leave_out(
                location,
                f"the row at {Ctid.of(ctid)} holds too many texts like a seal to try the keys of users on all of them; "
                f"{_SKIP}",
            )
        if not looked.opened:
            return
        for layers in looked.opened.values():
            self._found.tallies[location].opened[layers] += 1
        examples = self._found.examples[location]
        if len(examples) < EXAMPLES:
            key, where = self._table.name_row(self._connection, ctid), f"ctid {Ctid.of(ctid)}"
            examples.append(where if key is None else f"{key} ({where})")
