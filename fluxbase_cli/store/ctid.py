"""Ctids, the addresses of row versions on disk, and ranges of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class Ctid(NamedTuple):
    """The ctid of a row version: its page and its line on the page. The type in PostgreSQL is `tid`."""

    block: int
    line: int

    @classmethod
    def of(cls, tid: bytes) -> Ctid:
        """The ctid that PostgreSQL sent as 6 bytes (`tidsend` in its src/backend/utils/adt/tid.c)."""
        return cls(int.from_bytes(tid[:4], "big"), int.from_bytes(tid[4:], "big"))

    @property
    def tid(self) -> bytes:
        """The inverse of `of`. The bytes have the same order as the ctids."""
        return self.block.to_bytes(4, "big") + self.line.to_bytes(2, "big")

    @classmethod
    def unpack(cls, number: int) -> Ctid:
        """The inverse of `packed`."""
        return cls(number >> 16, number & 0xFFFF)

    @property
    def packed(self) -> int:
        """The ctid as one number, in the same order."""
        return self.block << 16 | self.line

    def __str__(self) -> str:
        return f"({self.block},{self.line})"


LAST_CTID = Ctid(0xFFFFFFFE, 0xFFFF)


@dataclass(frozen=True, slots=True)
class CtidRange:
    """A range of rows on disk: the rows after `after`, up to and including `upto`."""

    after: Ctid
    upto: Ctid


@dataclass(frozen=True, slots=True)
class PageRange:
    """The pages from the page of `first` to the page of `last`; none if `last` is before `first`."""

    first: Ctid
    last: Ctid


EMPTY_PAGE_RANGE = PageRange(Ctid(0, 1), Ctid(0, 0))

WHOLE_TABLE = CtidRange(Ctid(0, 0), LAST_CTID)
