"""The tables, and what the roles of the API may do with them."""

from __future__ import annotations

from dataclasses import dataclass

from fluxbase_cli.security.database.schemas import is_user_schema
from fluxbase_cli.store.connection import Connection
from fluxbase_cli.store.queries import Statements


@dataclass(frozen=True, slots=True)
class Table:
    """A table or a partitioned table.

    Attributes:
        schema, name: its name.
        row_security: whether row-level security is enabled.
        forced: whether it also binds the owner.
        is_partition: whether it is a partition of another table.
        policies: the number of its policies.
        readers: those of `anon` and `authenticated` that may read a column of it.
        writers: those of `anon` and `authenticated` that may insert, update, delete or truncate.
        columns: the names of its columns.
    """

    schema: str
    name: str
    row_security: bool
    forced: bool
    is_partition: bool
    policies: int
    readers: frozenset[str]
    writers: frozenset[str]
    columns: tuple[str, ...]

    @property
    def qualified(self) -> str:
        """Its name with the schema, for people."""
        return f"{self.schema}.{self.name}"

    @property
    def is_users(self) -> bool:
        """Whether it holds the data of users, and is no table of the server."""
        return is_user_schema(self.schema)


def read_tables(connection: Connection) -> tuple[Table, ...]:
    """All tables but those of extensions, by name."""
    rows = Statements(connection, "security_tables.sql").rows("tables")
    return tuple(
        Table(
            **{**row, "readers": frozenset(row["readers"]), "writers": frozenset(row["writers"])}
            | {"columns": tuple(row["columns"])}
        )
        for row in rows
    )
