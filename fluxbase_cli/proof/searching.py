"""Searching one piece of a table for seals: a session that reads, and the keys that are tried on what it gets."""

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
from fluxbase_cli.engine.retry import retry_transient
from fluxbase_cli.engine.stop import Stop
from fluxbase_cli.engine.tally import Tally
from fluxbase_cli.errors import DatabaseError
from fluxbase_cli.keyring import Keyring
from fluxbase_cli.proof.candidates import worth_a_look
from fluxbase_cli.proof.opening import OpenResult, ValueOpener
from fluxbase_cli.store.connection import Connection, connect, first_line
from fluxbase_cli.store.ctid import Ctid, CtidRange
from fluxbase_cli.store.deep import ColumnKind, speak_its_encoding
from fluxbase_cli.store.deep_reading import MAX_RAW_BYTES, DeepTable
from fluxbase_cli.store.transactions import Access, begin_snapshot
from fluxbase_cli.unexamined import Unexamined, UnexaminedKind

#: Rows named for each column.
EXAMPLES = 3
#: Values that are too large to be sent with others are fetched so many bytes at a time, or one alone.
_FETCHED_BYTES = 4 * 1024 * 1024
#: Rows that are asked at once for the users that they name.
_ROWS_OF_USERS = 500
#: Errors of one statement that come again however often it is tried: a limit of the server.
_LIMIT_CLASS = "54"
#: Classes of errors, and single ones, that say that the server or the connection is gone.
_SERVER_GONE = ("08", "57P")
_SNAPSHOT_GONE = ("22023", "55000")


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a table.

    Attributes:
        table: the table.
        ctid_range: where to read.
        pages: how many pages that are, for the progress.
    """

    table: DeepTable
    ctid_range: CtidRange
    pages: int


@dataclass(slots=True)
class FoundSeal:
    """What was found in a part of the database; by `schema.table.column`.

    Attributes:
        tallies: what opened.
        examples: a few rows with it.
        unexamined: what could not be read, by its name.
    """

    tallies: dict[str, Tally] = field(default_factory=lambda: defaultdict(Tally))
    examples: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    unexamined: dict[str, Unexamined] = field(default_factory=dict)

    def add(self, other: FoundSeal) -> None:
        """Take another part in."""
        for location, tally in other.tallies.items():
            self.tallies[location].add(tally)
        for location, examples in other.examples.items():
            self.examples[location] = (self.examples[location] + examples)[:EXAMPLES]
        for where, unexamined in other.unexamined.items():
            self.unexamined.setdefault(where, unexamined)

    def leave_out(self, where: str, reason: str) -> None:
        """Take note of what could not be read."""
        self.unexamined.setdefault(where, Unexamined(UnexaminedKind.COLUMN, where, reason))

    @property
    def opened(self) -> int:
        """How many seals opened."""
        return sum(tally.scanned for tally in self.tallies.values())


_CHANGED = "it was dropped, renamed or written anew after the moment that was looked at; run it again"


class UnreadableError(Exception):
    """A table can't be read; the message says why."""


@dataclass(frozen=True, slots=True)
class SearchContext:
    """What all searchers of a run share.

    Attributes:
        database: where.
        access: how values may be read.
        keyring: the keys to try.
        snapshot: the name of the exported snapshot.
        stop: ends the search.
        observer: is told of what is waited for.
        large: held while a value is in hand that is too large for several at a time.
    """

    database: DatabaseSettings
    access: Access
    keyring: Keyring
    snapshot: str
    stop: Stop
    observer: Observer
    large: threading.Lock = field(default_factory=threading.Lock)


class Searcher:
    """Searches pieces, one after the other; one a thread."""

    def __init__(self, around: SearchContext) -> None:
        self._around = around
        self._opener = ValueOpener(around.keyring)
        self._connection: Connection | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        if self._connection is not None:
            self._connection.close()

    def cancel(self) -> None:
        """Cancel the statement that runs; from any thread."""
        connection = self._connection
        if connection is not None and not connection.closed:
            with suppress(psycopg.Error):
                connection.cancel_safe(timeout=1.0)

    def search(self, piece: Piece) -> FoundSeal:
        """Search a piece. What is wrong with its table is told in the result.

        Raises:
            ConfigurationError, psycopg.OperationalError: the server can't be reached any more.
            DatabaseError: the snapshot is gone.
        """
        found = FoundSeal()

        def attempt() -> None:
            nonlocal found
            found = FoundSeal()
            with self._transaction() as connection:
                _Reading(connection, piece, self._opener, self._around).read(found)

        where = piece.table.relation.where
        try:
            retry_transient(attempt, self._around.stop, self._around.observer)
        except UnreadableError as error:
            found.leave_out(where, str(error))
        except psycopg.Error as error:
            if self._around.stop.requested:
                return found
            if error.sqlstate is None or error.sqlstate.startswith(_SERVER_GONE):
                raise
            found.leave_out(where, f"reading failed: {type(error).__name__}: {first_line(error)}")
        return found

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        """A transaction with the snapshot; each piece has its own, so that no table is locked for longer."""
        connection = self._connection
        if connection is None or connection.closed:
            connection = self._connection = speak_its_encoding(connect(self._around.database))
        try:
            connection.execute(begin_snapshot(self._around.access, self._around.snapshot))
        except psycopg.Error as error:
            if error.sqlstate not in _SNAPSHOT_GONE:
                raise
            raise DatabaseError(
                "the snapshot of the deep census is gone: the session that held it has ended",
                hint="Nothing was written. Run it again. On a standby, max_standby_streaming_delay says how long a "
                "query may hold up replay.",
            ) from None
        try:
            yield connection
        finally:
            if connection.info.transaction_status is not TransactionStatus.UNKNOWN:
                with suppress(psycopg.Error):
                    connection.execute("ROLLBACK")


class _Reading:
    """Reads one piece within one transaction, and looks into all that the server's filter lets through."""

    def __init__(self, connection: Connection, piece: Piece, opener: ValueOpener, around: SearchContext) -> None:
        self._connection = connection
        self._table = piece.table
        self._ctid_range = piece.ctid_range
        self._opener = opener
        self._around = around
        self._found = FoundSeal()

    def read(self, found: FoundSeal) -> None:
        """Read to the end of the piece, or until a stop.

        Args:
            found: takes what is found, also when the reading breaks off.

        Raises:
            UnreadableError: the table can't be read.
        """
        self._found = found
        table, ctid_range, listed = self._table, self._ctid_range, False
        while not self._around.stop.requested:
            try:
                columns, last = table.matches(self._connection, ctid_range)
            except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn):
                raise UnreadableError(_CHANGED) from None
            except psycopg.Error as error:
                if (error.sqlstate or "").startswith(_LIMIT_CLASS):
                    raise UnreadableError(f"a value is too large: {first_line(error)}") from None
                raise
            # The first read has locked the table until the transaction's end.
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
        """Fetch the values that were not sent, a few at a time, and those that are larger than a few alone."""
        few: list[bytes] = []
        held = 0
        for place, size in large:
            if self._around.stop.requested:
                return
            if size > _FETCHED_BYTES:
                with self._around.large:
                    self._look_at(column, [place])
                continue
            if held + size > _FETCHED_BYTES:
                self._look_at(column, few)
                few, held = [], 0
            few.append(place)
            held += size
        if few:
            self._look_at(column, few)

    def _look_at(self, column: int, scope: Sequence[bytes]) -> None:
        rows = self._table.fetch(self._connection, column, scope)
        self._look(column, [place for place, _ in rows], [value for _, value in rows])

    def _look(self, column: int, scope: Sequence[bytes], values: Sequence[bytes]) -> None:
        is_bytes = self._table.columns[column].kind is ColumnKind.BYTES
        doubtful: list[tuple[bytes, OpenResult]] = []
        for number in range(len(values)) if is_bytes else worth_a_look(values):
            looked = self._opener.look(values[number], is_bytes=is_bytes, most_raw=MAX_RAW_BYTES)
            if looked is None:
                continue
            if looked.doubts:
                doubtful.append((scope[number], looked))
            else:
                self._count(scope[number], column, looked)
        for start in range(0, len(doubtful), _ROWS_OF_USERS):
            group = doubtful[start : start + _ROWS_OF_USERS]
            rows = self._table.hints(self._connection, [place for place, _ in group])
            for place, looked in group:
                if self._around.stop.requested:
                    return
                self._opener.try_users(looked, rows.get(place, b""))
                self._count(place, column, looked)

    def _count(self, place: bytes, column: int, looked: OpenResult) -> None:
        location = self._table.columns[column].location
        if looked.overflowed:
            self._found.leave_out(
                location,
                f"the row at {Ctid.of(place)} holds more texts like a seal than are tried under the keys of users",
            )
        if not looked.opened:
            return
        for layers in looked.opened.values():
            self._found.tallies[location].opened[layers] += 1
        examples = self._found.examples[location]
        if len(examples) < EXAMPLES:
            key, where = self._table.name_row(self._connection, place), f"ctid {Ctid.of(place)}"
            examples.append(where if key is None else f"{key} ({where})")
