"""Rows in memory: single rows as tuples or many as a row block, limits for them, and the edits of rows.

A row is the tuple that the driver returns: `(tid, id, column, …[, user][, flag], size)`, with the ctid as 6 bytes, ids
as 16 bytes and texts as UTF-8 bytes. Rows of a table with one sealed text column and nothing else come as a row block
(see `store/row_block.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, overload

from fluxbase_cli.store.ctid import Ctid
from fluxbase_cli.store.relation import SIZE, SMALL_BYTES, TID, Row
from fluxbase_cli.store.row_block import RowBlock

Rows = RowBlock | Sequence[Row]


@dataclass(frozen=True, slots=True)
class Limits:
    """How much one batch may hold.

    Attributes:
        rows: rows in one batch's transaction.
        bytes: bytes of stored text in one batch; the first row always fits.
    """

    rows: int
    bytes: int


DEFAULT_LIMITS = Limits(rows=1_000, bytes=2 * 1024 * 1024)


#: A row to write: the row as it was read, and the new value of each of its sealed columns, in order (the text to store,
#: or for a document its `LeafEdit` list). A plain tuple, because there is one for every value.
Edit = tuple[Row, tuple[Any, ...]]


_SIZE_OF = itemgetter(SIZE)


def unpacked(rows: RowBlock, index: int) -> Row:
    """One row of a row block as a tuple."""
    text = rows.text(index)
    return rows.tid(index), rows.id(index), text, len(text)


class RowBlockEdits(Sequence[Edit]):
    """A row block with new values. An `Edit` tuple is made only when it is read.

    Args:
        rows: the rows.
        new: the new value of each row.
    """

    def __init__(self, rows: RowBlock, new: Sequence[bytes]) -> None:
        self.rows = rows
        self.new = new

    def __len__(self) -> int:
        return len(self.new)

    @overload
    def __getitem__(self, index: int) -> Edit: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Edit]: ...
    def __getitem__(self, index: int | slice) -> Edit | Sequence[Edit]:
        if isinstance(index, slice):
            return RowBlockEdits(self.rows[index], self.new[index])
        if not -len(self) <= index < len(self):
            raise IndexError
        return unpacked(self.rows, index), (self.new[index],)


def first_ctid(rows: Rows) -> Ctid:
    """The ctid of the first row."""
    return Ctid.of(rows.tid(0) if isinstance(rows, RowBlock) else rows[0][TID])


def last_ctid(rows: Rows) -> Ctid:
    """The ctid of the last row."""
    return Ctid.of(rows.tid(-1) if isinstance(rows, RowBlock) else rows[-1][TID])


def withheld(rows: Rows) -> bool:
    """Whether values of listed rows were not sent, because the rows are too large."""
    if isinstance(rows, RowBlock):
        return False
    return max(map(_SIZE_OF, rows), default=0) > SMALL_BYTES


def fitting(rows: Rows, limits: Limits) -> Rows:
    """As many of the first rows as the limits allow, but at least one."""
    if isinstance(rows, RowBlock):
        return rows[: min(limits.rows, max(1, limits.bytes // SMALL_BYTES))]
    first = rows[: limits.rows]
    if len(first) * SMALL_BYTES <= limits.bytes and not withheld(first):
        return first
    running = 0
    for number, row in enumerate(first):
        running += row[SIZE]
        if running > limits.bytes:
            return first[: max(number, 1)]
    return first
