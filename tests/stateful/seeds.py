"""The first rows of every example: a few rows in each sealed table, most of them under version 1."""

from __future__ import annotations

from tests.stateful.writer import Cell, How, What, Write

_BEFORE_JOB, _NEW = Cell(How.STALE, 0), Cell(How.STALE, 1)
_TWICE, _PLAIN = Cell(How.TWICE, 0), Cell(How.PLAIN)
_MASTER = Cell(How.MASTER, 0)
_TABLES = 8


def _insert(table: int, *cells: Cell, flag: bool | None = True) -> Write:
    return Write(What.INSERT, table, 0, cells, flag=flag)


#: Three rows of each table; in tables with more than one value, the cells rotate.
SEEDS: tuple[Write, ...] = (
    *(_insert(table, _BEFORE_JOB, _BEFORE_JOB, _NEW) for table in range(_TABLES)),
    *(_insert(table, _BEFORE_JOB, _PLAIN, _TWICE, flag=None) for table in range(_TABLES)),
    *(_insert(table, _MASTER, _NEW, _BEFORE_JOB) for table in range(_TABLES)),
    # No later row version gets the ctid of the first one; later ctids can be used again.
    *(Write(What.TOUCH, table, 0, (_BEFORE_JOB,)) for table in range(_TABLES)),
)
