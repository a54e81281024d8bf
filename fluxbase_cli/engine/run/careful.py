"""Writes a batch whose first write failed, so that one row does not stop the others.

Only used after an error. A row that the database refuses is found by halving the batch behind savepoints. A row that
another transaction has locked is found without waiting (SKIP LOCKED).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import psycopg

from fluxbase_cli.store.connection import Connection
from fluxbase_cli.store.ctid import EMPTY_PAGE_RANGE, PageRange
from fluxbase_cli.store.locked_rows import LockedRow, find_locked_rows
from fluxbase_cli.store.relation import TID
from fluxbase_cli.store.rows import Edit
from fluxbase_cli.store.writer import ValueStore

_R = TypeVar("_R")

#: If the database refuses more rows of a table than this, the fault is not in single rows.
MOST_REFUSED = 1_000

#: SQLSTATE classes that say nothing about a row: connections, transactions, resources, locks,
#: shutdowns, the system.
_NOT_OF_A_ROW = frozenset({"08", "0Z", "25", "26", "28", "2D", "3B", "3D", "40", "53", "55", "57", "58", "72", "F0"})
#: Errors of privileges and names. A row causes one only through a function that a trigger calls.
_OF_A_FUNCTION = "42"
#: The raising function in the context of an error. The rest of the context may hold values.
_FUNCTION = re.compile(r"^(?:PL/pgSQL|SQL) function ([\w.$\"]+\([\w.,$\" \[\]]*\))", re.MULTILINE)


def refuses_rows(error: psycopg.Error) -> bool:
    """Whether the database refuses what is written, so that other rows of the batch can be written."""
    if error.sqlstate is None or error.sqlstate[:2] in _NOT_OF_A_ROW:
        return False
    return error.sqlstate[:2] != _OF_A_FUNCTION or _FUNCTION.search(error.diag.context or "") is not None


def why_refused(error: psycopg.Error) -> str:
    """What refused a row, without any value: the kind of the error and the names in it, never its message."""
    names = [
        f"{what} {name}"
        for what, name in (
            ("constraint", error.diag.constraint_name),
            ("column", error.diag.column_name),
            ("type", error.diag.datatype_name),
        )
        if name
    ]
    raised = _FUNCTION.search(error.diag.context or "")
    names += [f"raised by function {raised[1]}"] if raised else []
    return ", ".join([f"{type(error).__name__}, SQLSTATE {error.sqlstate}", *names])


@dataclass(frozen=True, slots=True, repr=False)
class Refused:
    """An edit that the database refuses, and why. It has no `repr` of its fields, which hold values."""

    edit: Edit
    reason: str


@dataclass(slots=True, repr=False)
class CarefulWriter:
    """Writes edits in groups that can fail alone.

    Attributes:
        store: writes.
        skip_locked: leave rows that others have locked. If not, such a row ends the batch with an error.
        most_refused: so many edits may be refused. With one more, the error is raised.
        refused: the edits that the database refuses.
        locked: the rows that others have locked.
    """

    store: ValueStore
    skip_locked: bool = False
    most_refused: int = MOST_REFUSED
    refused: list[Refused] = field(default_factory=list)
    locked: list[LockedRow] = field(default_factory=list)
    _taken: int = 0

    def write(self, connection: Connection, edits: Sequence[Edit], pruned: PageRange = EMPTY_PAGE_RANGE) -> int:  # noqa: ARG002  # as in `ValueStore.write`
        """As `ValueStore.write`. The edits in `refused` and `locked` were not written."""
        return sum(self._groups(connection, edits, self.store.write))

    def write_by_ctid(self, connection: Connection, edits: Sequence[Edit]) -> set[bytes]:
        """As `ValueStore.write_by_ctid`. The edits in `refused` and `locked` were not written."""
        return set().union(*self._groups(connection, edits, self.store.write_by_ctid))

    def take_refused(self) -> list[Refused]:
        """The edits that the database has refused since the last call."""
        taken, self._taken = self.refused[self._taken :], len(self.refused)
        return taken

    @property
    def left(self) -> frozenset[bytes]:
        """The ctids of the edits that were not written."""
        return frozenset(row.row[TID] for row in self.locked) | {each.edit[0][TID] for each in self.refused}

    def _groups(
        self, connection: Connection, edits: Sequence[Edit], write: Callable[[Connection, Sequence[Edit]], _R]
    ) -> Iterator[_R]:
        """Write the edits in groups, and yield what each group returned."""
        if self.skip_locked:
            found = find_locked_rows(connection, self.store.relation, [row for row, _ in edits])
            self.locked += found
            locked = {each.row[TID] for each in found}
            edits = [edit for edit in edits if edit[0][TID] not in locked]
        # The last group comes first, so that the halves of a group are done before what follows it.
        pending = [edits] if edits else []
        while pending:
            group = pending.pop()
            connection.execute("SAVEPOINT careful")
            try:
                written = write(connection, group)
                # Otherwise a deferred constraint would be checked at the commit, where nothing says which row it is.
                connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
            except psycopg.Error as error:
                if not refuses_rows(error):
                    raise
                connection.execute("ROLLBACK TO SAVEPOINT careful")
                if len(group) == 1:
                    self._refuse(group[0], error)
                else:
                    middle = len(group) // 2
                    pending += [group[middle:], group[:middle]]
            else:
                yield written
            connection.execute("RELEASE SAVEPOINT careful")

    def _refuse(self, edit: Edit, error: psycopg.Error) -> None:
        self.refused.append(Refused(edit, why_refused(error)))
        if len(self.refused) > self.most_refused:
            raise error
