"""Row blocks: rows as arrays in PostgreSQL's binary form, for tables with one sealed text column, as most have.

A million tuples of four objects each cost more time than to open the values in them. In a row block the rows of a shard
are four blocks of memory, and the ctids go back to the server exactly as they came.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, chain, pairwise
from struct import Struct

from fluxbase_cli.store.ctid import Ctid
from fluxbase_cli.store.limits import SMALL_BYTES, Limits
from fluxbase_cli.store.relation import Row

#: An array's binary form is a header, then its elements: a length of 4 bytes and the binary form of the element's type
#: (`array_send` in PostgreSQL's src/backend/utils/adt/arrayfuncs.c).
_HEADER_BYTES = 20
_LENGTH = Struct(">i")
LENGTH_BYTES = _LENGTH.size
_TID_BYTES = LENGTH_BYTES + 6
_ID_BYTES = LENGTH_BYTES + 16
_XID_BYTES = LENGTH_BYTES + 4


@dataclass(frozen=True, slots=True, repr=False)
class RowBlock:
    """Rows of a table with one sealed column, in the order of their ctids. Its `repr` hides the values.

    Attributes:
        tids, ids, writers: the elements of arrays of `tid`, `uuid` and `xid`.
        texts: elements of an array of text, none of them NULL. It may hold elements of other rows before and after
            those of these rows.
        offsets: where in `texts` the element of each row begins, and where the last one ends.
    """

    tids: bytes
    ids: bytes
    writers: bytes
    texts: bytes
    offsets: Sequence[int]

    @classmethod
    def of(cls, tids: bytes, ids: bytes, writers: bytes, texts: bytes, *, equal: bool) -> RowBlock:
        """Make a row block from four arrays that `array_send` returned.

        Args:
            tids: an array of `tid` with at least one element.
            ids: the ids of these rows, an array of `uuid`.
            writers: the `xmin` of these rows, an array of `xid`.
            texts: the texts of these rows, an array of text without NULL.
            equal: whether all texts have the same length.
        """
        number = (len(tids) - _HEADER_BYTES) // _TID_BYTES
        offsets: Sequence[int]
        if equal:
            step = (len(texts) - _HEADER_BYTES) // number
            offsets = range(_HEADER_BYTES, len(texts) + 1, step)
        else:
            offsets = list(accumulate(range(number), lambda at, _: _next(texts, at), initial=_HEADER_BYTES))
        return cls(tids[_HEADER_BYTES:], ids[_HEADER_BYTES:], writers[_HEADER_BYTES:], texts, offsets)

    @classmethod
    def joined(cls, parts: Sequence[RowBlock]) -> RowBlock:
        """Join row blocks, at least one, in this order."""
        if len(parts) == 1:
            return parts[0]
        texts = b"".join(part.elements for part in parts)
        offsets: Sequence[int]
        steps = {part.offsets.step if isinstance(part.offsets, range) else 0 for part in parts}
        if len(steps) == 1 and 0 not in steps:
            offsets = range(0, len(texts) + 1, steps.pop())
        else:
            offsets = [0]
            for part in parts:
                shift = offsets[-1] - part.offsets[0]
                offsets.extend(offset + shift for offset in part.offsets[1:])
        tids, ids, writers = (
            b"".join(columns) for columns in zip(*((part.tids, part.ids, part.writers) for part in parts), strict=True)
        )
        return cls(tids, ids, writers, texts, offsets)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, rows: slice) -> RowBlock:
        first, end, _ = rows.indices(len(self))
        end = max(first, end)
        return RowBlock(
            self.tids[first * _TID_BYTES : end * _TID_BYTES],
            self.ids[first * _ID_BYTES : end * _ID_BYTES],
            self.writers[first * _XID_BYTES : end * _XID_BYTES],
            self.texts,
            self.offsets[first : end + 1],
        )

    def tid(self, index: int) -> bytes:
        """A row's ctid as PostgreSQL sends it, 6 bytes."""
        end = (index % len(self) + 1) * _TID_BYTES
        return self.tids[end - 6 : end]

    def id(self, index: int) -> bytes:
        """A row's id, 16 bytes."""
        end = (index % len(self) + 1) * _ID_BYTES
        return self.ids[end - 16 : end]

    def text(self, index: int) -> bytes:
        """A row's value as stored."""
        return self.texts[self.offsets[index] + LENGTH_BYTES : self.offsets[index + 1]]

    def each_text(self) -> Iterator[bytes]:
        """The rows' values as stored, in order."""
        if isinstance(self.offsets, range):
            # All have the same length, so `Struct` splits them without a Python step for each.
            text = Struct(f"{LENGTH_BYTES}x{self.offsets.step - LENGTH_BYTES}s")
            return chain.from_iterable(text.iter_unpack(memoryview(self.texts)[self.offsets[0] : self.offsets[-1]]))
        return (self.texts[start + LENGTH_BYTES : end] for start, end in pairwise(self.offsets))

    def row(self, index: int) -> Row:
        """One row as a tuple."""
        text = self.text(index)
        end = (index % len(self) + 1) * _XID_BYTES
        return self.tid(index), self.id(index), text, self.writers[end - 4 : end], len(text)

    def tuples(self) -> Sequence[Row]:
        """All rows as tuples."""
        return [self.row(index) for index in range(len(self))]

    @property
    def first_ctid(self) -> Ctid:
        """The ctid of the first row."""
        return Ctid.of(self.tid(0))

    @property
    def last_ctid(self) -> Ctid:
        """The ctid of the last row."""
        return Ctid.of(self.tid(-1))

    @property
    def incomplete(self) -> bool:
        """Whether values were not sent when the rows were listed; never, since a row block holds no large ones."""
        return False

    def fitting(self, limits: Limits) -> RowBlock:
        """As many of the first rows as the limits allow, but at least one."""
        return self[: min(limits.rows, max(1, limits.bytes // SMALL_BYTES))]

    def after(self, cursor: Ctid) -> RowBlock:
        """The rows after a ctid."""
        if not len(self) or self.first_ctid > cursor:
            return self
        return self[bisect_right(range(len(self)), cursor.tid, key=self.tid) :]

    @property
    def elements(self) -> bytes:
        """The elements of the texts of these rows only."""
        return self.texts[self.offsets[0] : self.offsets[-1]]


def _next(texts: bytes, at: int) -> int:
    length: int = _LENGTH.unpack_from(texts, at)[0]
    return at + LENGTH_BYTES + length
