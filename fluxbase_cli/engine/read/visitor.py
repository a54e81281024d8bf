"""What a full read does with the rows that it reads, besides counting their values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

from fluxbase_cli.engine.run.resealer import RowResealer
from fluxbase_cli.store.connection import Connection
from fluxbase_cli.store.relation import Relation
from fluxbase_cli.store.rows import Rows

T = TypeVar("T")


class SnapshotReading(Protocol):
    """Runs a function in the snapshot in which rows were read, again after a transient error."""

    def __call__(self, action: Callable[[Connection], T]) -> T:
        """Run the function, and return what it returns."""
        ...


class RowVisitor(Protocol):
    """Gets all rows of a full read, in the order of the catalogue and on disk if there is one worker."""

    @property
    def began(self) -> bool:
        """Whether it has handed something on, so that the read can't begin again."""
        ...

    def wants(self, relation: Relation) -> bool:
        """Whether to read a relation."""
        ...

    def visit(self, relation: Relation, resealer: RowResealer, rows: Rows, reading: SnapshotReading) -> None:
        """Look at rows.

        Args:
            relation: the relation.
            resealer: opens the values of its rows.
            rows: some of its rows.
            reading: reads more about them.
        """
        ...
