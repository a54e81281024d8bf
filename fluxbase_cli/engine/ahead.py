"""Reading ahead: rows are read by the thousand, however small the batches are that they are written in.

What is in hand may be out of date when it is written. That costs nothing but a second look: a row is overwritten only
if it still holds what was read (compare-and-set), and what others wrote since is the closing census's business.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from fluxbase_cli.store.connect import Access, Connection, begin_reading
from fluxbase_cli.store.jobs import Shard
from fluxbase_cli.store.values import Limits, Old, Place, Reader, Row, Stretch

#: How many rows are read at once at least. Reading also makes room on the pages, and needs some time between the
#: writing of one stride and the reading of the next for that; so it does not go further ahead.
_LEAST_ROWS = 1_000
#: Rows that were read longer ago are read again, in seconds: a job may have been paused.
_FRESH_S = 10.0


@dataclass(slots=True)
class _InHand:
    """Rows that were read and not handed out yet.

    Attributes:
        rows: what was read of one stride of a shard.
        position: how many of them were handed out.
        following: the shard before the next batch, but for its counts.
        after: the same once all rows are done.
        read_at: when, by the monotonic clock.
    """

    rows: Sequence[Row]
    position: int
    following: Shard
    after: Shard
    read_at: float

    def continues(self, shard: Shard) -> bool:
        """Whether this goes on from exactly there, with rows that are fresh."""
        mine = self.following
        return (
            self.position < len(self.rows)
            and (mine.id, mine.stride, mine.cursor) == (shard.id, shard.stride, shard.cursor)
            and time.monotonic() - self.read_at < _FRESH_S
        )


class ReadAhead:
    """Hands out the rows of one relation's shards, batch by batch.

    Args:
        store: reads them.
        access: how values are read.
        limits: how much the largest batch may hold.
        began: the job's first possible transaction; only row versions from before are read.
    """

    def __init__(self, store: Reader, access: Access, limits: Limits, began: int) -> None:
        self._store = store
        self._begin = begin_reading(access).as_bytes(None)
        self._read_limits = Limits(max(limits.rows, _LEAST_ROWS), limits.bytes)
        self._began = began
        self._hand: _InHand | None = None

    def next_rows(self, connection: Connection, shard: Shard, most: int) -> tuple[Sequence[Row], Shard]:
        """The rows of the next batch.

        Args:
            connection: where to read, outside a transaction.
            shard: as the database has it. What is in hand is used only where it goes on from there; so after trouble,
                when nobody knows what was committed, the rows are read again.
            most: rows of this batch, at most.

        Returns:
            The rows, none where nothing of the stride is left, and the shard as it will be once they are done, but for
            its counts.
        """
        hand = self._hand
        if hand is None or not hand.continues(shard):
            hand = self._hand = self._read(connection, shard)
        rows = hand.rows[hand.position : hand.position + most]
        hand.position += len(rows)
        if hand.position == len(hand.rows):
            hand.following = hand.after
        else:
            hand.following = replace(hand.following, cursor=Place.of(rows[-1]))
        return rows, replace(hand.following, rows_done=shard.rows_done + len(rows), counts=shard.counts)

    def _read(self, connection: Connection, shard: Shard) -> _InHand:
        connection.execute(self._begin)
        try:
            rows, ended = self._store.read(
                connection,
                Stretch(shard.cursor, shard.upto),
                self._read_limits,
                Old(self._began, shard.stride, shard.strides),
            )
        finally:
            # Nothing to do where the connection is gone.
            if not connection.closed:
                connection.execute("ROLLBACK")
        if ended:
            after = replace(shard, stride=shard.stride + 1, cursor=shard.first)
        else:
            after = replace(shard, cursor=Place.of(rows[-1]))
        return _InHand(rows, 0, shard, after, time.monotonic())
