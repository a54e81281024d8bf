"""Where rows lie on disk, and stretches of a table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class Ctid(NamedTuple):
    """A row version's place in its table: PostgreSQL's `tid`."""

    block: int
    line: int

    @classmethod
    def of(cls, tid: bytes) -> Ctid:
        """The place that PostgreSQL sent as 6 bytes (`tidsend` in its src/backend/utils/adt/tid.c)."""
        return cls(int.from_bytes(tid[:4], "big"), int.from_bytes(tid[4:], "big"))

    @property
    def tid(self) -> bytes:
        """The inverse of `of`; these bytes have the order of places."""
        return self.block.to_bytes(4, "big") + self.line.to_bytes(2, "big")

    @classmethod
    def unpack(cls, number: int) -> Ctid:
        """The inverse of `packed`."""
        return cls(number >> 16, number & 0xFFFF)

    @property
    def packed(self) -> int:
        """The place as one number, in the same order."""
        return self.block << 16 | self.line

    def __str__(self) -> str:
        return f"({self.block},{self.line})"


LAST_CTID = Ctid(0xFFFFFFFE, 0xFFFF)


@dataclass(frozen=True, slots=True)
class CtidRange:
    """A part of a table on disk: the rows behind `after`, up to and including `upto`."""

    after: Ctid
    upto: Ctid


@dataclass(frozen=True, slots=True)
class PageRange:
    """The pages from that of `first` to that of `last`; none when `last` comes before `first`."""

    first: Ctid
    last: Ctid


EMPTY_PAGE_RANGE = PageRange(Ctid(0, 1), Ctid(0, 0))

WHOLE_TABLE = CtidRange(Ctid(0, 0), LAST_CTID)
