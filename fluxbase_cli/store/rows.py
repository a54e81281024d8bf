"""Rows in memory: single rows as tuples or many as a row block, and the edits of rows.

A row is the tuple that the driver returns: `(tid, id, column, …[, user][, flag], writer, size)`, with the ctid as 6
bytes, ids as 16 bytes, texts as UTF-8 bytes, and as its writer the transaction number `xmin` as 4 bytes. Rows of a
table with one sealed text column and nothing else come as a row block (see `store/row_block.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter
from typing import Any, overload

from fluxbase_cli.store.ctid import Ctid
from fluxbase_cli.store.limits import SMALL_BYTES, Limits
from fluxbase_cli.store.relation import SIZE, TID, Row
from fluxbase_cli.store.row_block import RowBlock

_SIZE_OF = itemgetter(SIZE)


#: A row to write: the row as it was read, and the new value of each of its sealed columns, in order (the text to store;
#: None for a column that keeps its value). A plain tuple, because there is one for every value.
Edit = tuple[Row, tuple[Any, ...]]


class RowList:
    """Rows as tuples, in the order of their ctids. It has the methods of `RowBlock`.

    Args:
        rows: the rows.
    """

    __slots__ = ("_rows",)

    def __init__(self, rows: Sequence[Row] = ()) -> None:
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, part: slice) -> RowList:
        return RowList(self._rows[part])

    def tuples(self) -> Sequence[Row]:
        """The rows."""
        return self._rows

    @property
    def first_ctid(self) -> Ctid:
        """The ctid of the first row."""
        return Ctid.of(self._rows[0][TID])

    @property
    def last_ctid(self) -> Ctid:
        """The ctid of the last row."""
        return Ctid.of(self._rows[-1][TID])

    @property
    def incomplete(self) -> bool:
        """Whether values were not sent when the rows were listed, because the rows are too large."""
        return max(map(_SIZE_OF, self._rows), default=0) > SMALL_BYTES

    def fitting(self, limits: Limits) -> RowList:
        """As many of the first rows as the limits allow, but at least one."""
        first = self[: limits.rows]
        if len(first) * SMALL_BYTES <= limits.bytes and not first.incomplete:
            return first
        running = 0
        for number, row in enumerate(first.tuples()):
            running += row[SIZE]
            if running > limits.bytes:
                return first[: max(number, 1)]
        return first

    def after(self, cursor: Ctid) -> RowList:
        """The rows after a ctid."""
        if not self._rows or self.first_ctid > cursor:
            return self
        return RowList([row for row in self._rows if row[TID] > cursor.tid])


Rows = RowBlock | RowList
NO_ROWS = RowList()


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
        return self.rows.row(index), (self.new[index],)
