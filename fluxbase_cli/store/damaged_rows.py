"""Reads rows of which some are damaged: the database can't read a value of theirs, for example a large one in TOAST.

Only used after such an error. The damaged rows are found by halving.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import psycopg

from fluxbase_cli.store.connection import Connection
from fluxbase_cli.store.relation import Relation, Row
from fluxbase_cli.unexamined import Unexamined, UnexaminedKind


def is_damage(error: psycopg.Error) -> bool:
    """Whether the database says that its own storage is damaged."""
    return isinstance(error, psycopg.errors.DataCorrupted)


@dataclass(frozen=True, slots=True)
class DamagedRow:
    """A row that can't be read.

    Attributes:
        relation: its table.
        id: its id.
        why: what the database says. Such a message names a page or a number in TOAST, never a value.
    """

    relation: Relation
    id: bytes
    why: str

    def unexamined(self) -> Unexamined:
        """The row as something that could not be examined."""
        return Unexamined(
            UnexaminedKind.DAMAGED_ROW,
            self.relation.name_row(self.id),
            f"the database can't read it ({self.why}); restore its table from a backup",
        )


@dataclass(slots=True)
class ReadableRows:
    """What could be read.

    Attributes:
        rows: the rows.
        damaged: what the database says about each key whose row it can't read.
    """

    rows: list[Row] = field(default_factory=list)
    damaged: list[tuple[bytes, str]] = field(default_factory=list)


def read_readable(
    connection: Connection, keys: Sequence[bytes], read: Callable[[Connection, Sequence[bytes]], list[Row]]
) -> ReadableRows:
    """Read the rows that can be read.

    Args:
        connection: a connection in a transaction.
        keys: what names each row: its ctid or its id.
        read: reads the rows with these keys.

    Raises:
        psycopg.Error: an error that does not say that storage is damaged.
    """
    found = ReadableRows()
    # The last group comes first, so that the rows stay in the order of their keys.
    pending = [keys] if keys else []
    while pending:
        group = pending.pop()
        connection.execute("SAVEPOINT readable")
        try:
            found.rows += read(connection, group)
        except psycopg.Error as error:
            if not is_damage(error):
                raise
            connection.execute("ROLLBACK TO SAVEPOINT readable")
            if len(group) == 1:
                found.damaged.append((group[0], str(error).partition("\n")[0]))
            else:
                middle = len(group) // 2
                pending += [group[middle:], group[:middle]]
        connection.execute("RELEASE SAVEPOINT readable")
    return found
