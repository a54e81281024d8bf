"""Reads a whole shard at once, and returns its rows lane by lane and batch by batch.

If all rows of a page are updated in one transaction, the page has no room for their new versions. Each new version goes
to another page, with a new entry in every index. So a batch takes every twelfth row of twelve times as many pages. When
a later batch comes to a page, PostgreSQL can reuse the room that earlier batches have freed there (a HOT update). The
lane of a row is its line on the page, modulo twelve, so that the rows of each page are spread evenly. With a hash of
the ids instead, many rows found no room.

Buffered rows may be out of date when they are written. That costs only a second read: a row is overwritten only if it
still holds what was read (compare-and-set), and a catch-up pass finds what others wrote since.
"""

from __future__ import annotations

import time
from collections import defaultdict, deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial

from fluxbase_cli.store.connection import Connection
from fluxbase_cli.store.ctid import Ctid, CtidRange
from fluxbase_cli.store.damaged_rows import DamagedRow
from fluxbase_cli.store.limits import Limits
from fluxbase_cli.store.reader import BeforeJob, Reader
from fluxbase_cli.store.records import Shard
from fluxbase_cli.store.relation import TID, Row
from fluxbase_cli.store.rows import NO_ROWS, RowList, Rows
from fluxbase_cli.store.transactions import Access, begin_reading

#: Buffered rows at most: twice the rows of a usual shard, because some pages hold more rows than the average.
_MOST_ROWS = 60_000
#: Rows that were read longer ago are read again, in seconds: a job may have been paused.
_FRESH_S = 10.0
#: The index, in a binary ctid, of the last byte of the line on the page (`tidsend` in PostgreSQL's
#: src/backend/utils/adt/tid.c).
_LINE = 5


@dataclass(slots=True)
class _Part:
    """Rows of one lane that were read and not returned yet.

    Attributes:
        rows: the rows.
        after: the shard once they are done, without its new counts.
    """

    rows: Rows
    after: Shard


@dataclass(slots=True)
class _Buffer:
    """The rows of a shard that were read and not returned yet.

    Attributes:
        parts: the rows, in the order in which they are done; empty only at the end.
        following: the shard before the next batch, without its new counts.
        read_at: when the rows were read, by the monotonic clock.
    """

    parts: deque[_Part]
    following: Shard
    read_at: float

    def continues(self, shard: Shard) -> bool:
        """Whether the buffer continues exactly where the shard is, with rows that are not too old."""
        mine = self.following
        return (
            bool(self.parts)
            and (mine.id, mine.lane, mine.cursor) == (shard.id, shard.lane, shard.cursor)
            and time.monotonic() - self.read_at < _FRESH_S
        )

    def take(self, limits: Limits) -> Rows:
        """Return the rows of the next batch; none only if nothing is left."""
        while self.parts:
            part = self.parts[0]
            rows = part.rows.fitting(limits)
            if len(rows) == len(part.rows):
                self.parts.popleft()
                self.following = part.after
            else:
                part.rows = part.rows[len(rows) :]
                self.following = replace(self.following, cursor=rows.last_ctid)
            if len(rows):
                return rows
        return NO_ROWS


class ShardReader:
    """Returns the rows of one relation's shards, batch by batch.

    Args:
        store: reads the rows.
        access: how to read values with this role.
        most_bytes: bytes of stored text in one batch.
        began: the first transaction that may belong to the job; only row versions from before it are read.
    """

    def __init__(self, store: Reader, access: Access, most_bytes: int, began: int) -> None:
        self._store = store
        self._begin = begin_reading(access).as_bytes(None)
        self._most_bytes = most_bytes
        self._old = BeforeJob(began)
        self._row_blocks = store.relation.packable
        self._buffer: _Buffer | None = None

    def next_rows(self, connection: Connection, shard: Shard, most: int) -> tuple[Rows, Shard]:
        """Read the rows of the next batch.

        Args:
            connection: where to read, outside a transaction.
            shard: the shard as it is in the database. The buffer is used only if it continues there. So after an
                error, when it is unknown what was committed, the rows are read again.
            most: rows of this batch, at most.

        Returns:
            The rows, and the shard as it will be once they are done, without its new counts. There may be no rows if a
            part of the shard holds nothing.
        """
        return self._store.read_with_care(partial(self._next_rows, connection, shard, most), self._forget)

    def take_damaged(self) -> list[DamagedRow]:
        """The damaged rows that were found since the last call. They are not among the rows."""
        return self._store.take_damaged()

    def _forget(self) -> None:
        self._buffer = None

    def _next_rows(self, connection: Connection, shard: Shard, most: int) -> tuple[Rows, Shard]:
        buffer = self._buffer
        if buffer is None or not buffer.continues(shard):
            self._buffer = None
            buffer = self._buffer = self._read(connection, shard)
        rows = buffer.take(Limits(most, self._most_bytes))
        if rows.incomplete:
            with self._reading(connection):
                rows = self._store.complete(connection, rows)
        return rows, replace(buffer.following, rows_done=shard.rows_done + len(rows), counts=shard.counts)

    def prepare(self, connection: Connection, shard: Shard) -> int:
        """Fill the buffer and return how many rows it holds.

        Args:
            connection: where to read, outside a transaction.
            shard: the same shard as in the following `next_rows`.
        """
        self._buffer = self._store.read_with_care(partial(self._read, connection, shard), self._forget)
        return sum(len(part.rows) for part in self._buffer.parts)

    def _read(self, connection: Connection, shard: Shard) -> _Buffer:
        """Read the rest of a shard, or as much of its present lane as the buffer may hold."""
        with self._reading(connection):
            lanes, last = self._list(connection, shard, shard.first)
            whole = last is None
            if not whole:
                lanes, last = self._list(connection, shard, shard.cursor)
        present = lanes.pop(shard.lane, NO_ROWS).after(shard.cursor)
        after = _at(shard, shard.lane + 1) if last is None else replace(shard, cursor=last)
        parts = deque([_Part(present, after)])
        if whole:
            following = range(shard.lane + 1, shard.lanes)
            parts.extend(_Part(lanes.pop(number, NO_ROWS), _at(shard, number + 1)) for number in following)
        return _Buffer(parts, shard, time.monotonic())

    def _list(self, connection: Connection, shard: Shard, after: Ctid) -> tuple[dict[int, Rows], Ctid | None]:
        """A shard's rows by lane, and the last ctid if these are not all rows."""
        ctid_range = CtidRange(after, shard.upto)
        lanes: dict[int, Rows] = {}
        blocks = None
        if self._row_blocks:
            blocks = self._store.list_blocks(
                connection, ctid_range, _MOST_ROWS, lanes=shard.lanes, began=self._old.began
            )
        if blocks is not None:
            lanes.update(blocks)
        else:
            # A large value does not fit into a row block. Where there is one, there are probably more.
            self._row_blocks = False
            by_lane: dict[int, list[Row]] = defaultdict(list)
            for row in self._store.list_rows(connection, ctid_range, _MOST_ROWS, self._old):
                by_lane[row[TID][_LINE] % shard.lanes].append(row)
            lanes.update((lane, RowList(rows)) for lane, rows in by_lane.items())
        if sum(map(len, lanes.values())) < _MOST_ROWS:
            return lanes, None
        return lanes, max(rows.last_ctid for rows in lanes.values())

    @contextmanager
    def _reading(self, connection: Connection) -> Iterator[None]:
        connection.execute(self._begin)
        try:
            yield
        finally:
            # If the connection is lost, there is no transaction to end.
            if not connection.closed:
                # Nothing was written, so COMMIT and ROLLBACK do the same. But after a ROLLBACK the driver forgets its
                # prepared statements.
                connection.execute("COMMIT")


def _at(shard: Shard, lane: int) -> Shard:
    """A shard at the beginning of a lane."""
    return replace(shard, lane=lane, cursor=shard.first)
