"""Reading ahead: a whole shard is read at once, and handed out stride by stride and batch by batch.

When all rows of a page are updated in one transaction there is no room for their new versions, and each goes to another
page, with a new entry in every index. So a batch takes every twelfth row of twelve times as many pages: when a later
one comes to a page, PostgreSQL can reuse what the earlier ones have freed there (a HOT update). Rows are told apart by
their lines, so that each page's are spread evenly; by a hash of their ids, many found no room.

What is in hand may be out of date when it is written. That costs nothing but a second look: a row is overwritten only
if it still holds what was read (compare-and-set), and what others wrote since is the closing census's business.
"""

from __future__ import annotations

import time
from bisect import bisect_right
from collections import defaultdict, deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from fluxbase_cli.store.connection import Connection
from fluxbase_cli.store.ctid import Ctid, CtidRange
from fluxbase_cli.store.reader import BeforeJob, Reader
from fluxbase_cli.store.records import Shard
from fluxbase_cli.store.relation import TID, Row
from fluxbase_cli.store.row_block import RowBlock
from fluxbase_cli.store.rows import Limits, Rows, first_ctid, fitting, last_ctid, withheld
from fluxbase_cli.store.transactions import Access, begin_reading

#: Rows in hand at most: twice those of a usual shard, for where a table's rows lie closer than on average.
_MOST_ROWS = 60_000
#: Rows that were read longer ago are read again, in seconds: a job may have been paused.
_FRESH_S = 10.0
#: Where in a tid the last byte of the line on the page stands (`tidsend` in PostgreSQL's src/backend/utils/adt/tid.c).
_LINE = 5


@dataclass(slots=True)
class _Part:
    """Rows of one stride that were read and not handed out yet.

    Attributes:
        rows: the rows.
        after: the shard once they are done, but for its counts.
    """

    rows: Rows
    after: Shard


@dataclass(slots=True)
class _Buffer:
    """What is left of what was read of a shard.

    Attributes:
        parts: in the order in which they are done; never empty but at the end.
        following: the shard before the next batch, but for its counts.
        read_at: when, by the monotonic clock.
    """

    parts: deque[_Part]
    following: Shard
    read_at: float

    def continues(self, shard: Shard) -> bool:
        """Whether this goes on from exactly there, with rows that are fresh."""
        mine = self.following
        return (
            bool(self.parts)
            and (mine.id, mine.lane, mine.cursor) == (shard.id, shard.lane, shard.cursor)
            and time.monotonic() - self.read_at < _FRESH_S
        )

    def take(self, limits: Limits) -> Rows:
        """Hand out the rows of the next batch; none only where nothing is left."""
        while self.parts:
            part = self.parts[0]
            rows = fitting(part.rows, limits)
            if len(rows) == len(part.rows):
                self.parts.popleft()
                self.following = part.after
            else:
                part.rows = part.rows[len(rows) :]
                self.following = replace(self.following, cursor=last_ctid(rows))
            if rows:
                return rows
        return ()


class ShardReader:
    """Hands out the rows of one relation's shards, batch by batch.

    Args:
        store: reads them.
        access: how values are read.
        most_bytes: bytes of stored text in one batch.
        began: the job's first possible transaction; only row versions from before are read.
    """

    def __init__(self, store: Reader, access: Access, most_bytes: int, began: int) -> None:
        self._store = store
        self._begin = begin_reading(access).as_bytes(None)
        self._most_bytes = most_bytes
        self._old = BeforeJob(began)
        self._packed = store.relation.packable
        self._buffer: _Buffer | None = None

    def next_rows(self, connection: Connection, shard: Shard, most: int) -> tuple[Rows, Shard]:
        """The rows of the next batch.

        Args:
            connection: where to read, outside a transaction.
            shard: as the database has it. What is in hand is used only where it goes on from there; so after trouble,
                when nobody knows what was committed, the rows are read again.
            most: rows of this batch, at most.

        Returns:
            The rows, and the shard as it will be once they are done, but for its counts. There may be none where a
            part of the shard holds nothing.
        """
        buffer = self._buffer
        if buffer is None or not buffer.continues(shard):
            self._buffer = None
            buffer = self._buffer = self._read(connection, shard)
        rows = buffer.take(Limits(most, self._most_bytes))
        if withheld(rows):
            with self._reading(connection):
                rows = self._store.complete(connection, rows)
        return rows, replace(buffer.following, rows_done=shard.rows_done + len(rows), counts=shard.counts)

    def prepare(self, connection: Connection, shard: Shard) -> int:
        """Read ahead without handing anything out; return how many rows are in hand.

        Args:
            connection: where to read, outside a transaction.
            shard: as for the `next_rows` that is to come.
        """
        self._buffer = self._read(connection, shard)
        return sum(len(part.rows) for part in self._buffer.parts)

    def _read(self, connection: Connection, shard: Shard) -> _Buffer:
        """Read what is left of a shard, or as much of its present stride as may be in hand."""
        with self._reading(connection):
            lanes, last = self._list(connection, shard, shard.first)
            whole = last is None
            if not whole:
                lanes, last = self._list(connection, shard, shard.cursor)
        present = _behind(lanes.pop(shard.lane, ()), shard.cursor)
        after = _at(shard, shard.lane + 1) if last is None else replace(shard, cursor=last)
        parts = deque([_Part(present, after)])
        if whole:
            following = range(shard.lane + 1, shard.lanes)
            parts.extend(_Part(lanes.pop(number, ()), _at(shard, number + 1)) for number in following)
        return _Buffer(parts, shard, time.monotonic())

    def _list(self, connection: Connection, shard: Shard, after: Ctid) -> tuple[dict[int, Rows], Ctid | None]:
        """A shard's rows by stride, and where they end if these are not all."""
        ctid_range = CtidRange(after, shard.upto)
        lanes: dict[int, Rows] = {}
        packed = None
        if self._packed:
            packed = self._store.list_packed(
                connection, ctid_range, _MOST_ROWS, lanes=shard.lanes, began=self._old.began
            )
        if packed is not None:
            lanes.update(packed)
        else:
            # Where there is one large value there are more.
            self._packed = False
            by_stride: dict[int, list[Row]] = defaultdict(list)
            for row in self._store.list_rows(connection, ctid_range, _MOST_ROWS, self._old):
                by_stride[row[TID][_LINE] % shard.lanes].append(row)
            lanes.update(by_stride)
        if sum(map(len, lanes.values())) < _MOST_ROWS:
            return lanes, None
        return lanes, max(map(last_ctid, lanes.values()))

    @contextmanager
    def _reading(self, connection: Connection) -> Iterator[None]:
        connection.execute(self._begin)
        try:
            yield
        finally:
            # Nothing to do where the connection is gone.
            if not connection.closed:
                # Nothing was written; only after a ROLLBACK would the driver forget its prepared statements.
                connection.execute("COMMIT")


def _behind(rows: Rows, cursor: Ctid) -> Rows:
    """Rows behind a place, of rows in order."""
    if not rows or first_ctid(rows) > cursor:
        return rows
    if isinstance(rows, RowBlock):
        return rows[bisect_right(range(len(rows)), cursor.tid, key=rows.tid) :]
    return [row for row in rows if row[TID] > cursor.tid]


def _at(shard: Shard, lane: int) -> Shard:
    """A shard at the beginning of a stride."""
    return replace(shard, lane=lane, cursor=shard.first)
