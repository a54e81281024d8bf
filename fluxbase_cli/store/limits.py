"""How much may be held in memory, and written in one transaction."""

from __future__ import annotations

from dataclasses import dataclass

#: If a row has more stored text than this, in bytes, its values are not sent when many rows are listed at once.
SMALL_BYTES = 256


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
