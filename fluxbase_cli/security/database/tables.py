"""The tables, and what the roles of the API may do with them."""

from __future__ import annotations

from dataclasses import dataclass

from fluxbase_cli.security.database.schemas import is_user_schema
from fluxbase_cli.store.connection import Connection
from fluxbase_cli.store.queries import Statements

#: Privileges that change rows. TRUNCATE is not subject to row-level security.
_WRITES = ("INSERT", "UPDATE", "DELETE", "TRUNCATE")


@dataclass(frozen=True, slots=True)
class Table:
    """A table or a partitioned table.

    Attributes:
        oid: its object id.
        schema, name: its name.
        row_security: whether row-level security is enabled.
        parents: the object ids of the tables of which it is a partition or from which it inherits.
        policies: the number of its policies.
        privileges: what `anon` and `authenticated` may do, as (role, privilege).
        columns: the names of its columns.
    """

    oid: int
    schema: str
    name: str
    row_security: bool
    parents: tuple[int, ...]
    policies: int
    privileges: frozenset[tuple[str, str]]
    columns: tuple[str, ...]

    @property
    def qualified(self) -> str:
        """Its name with the schema, for people."""
        return f"{self.schema}.{self.name}"

    @property
    def is_users(self) -> bool:
        """Whether it holds the data of users, and is no table of the server."""
        return is_user_schema(self.schema)

    @property
    def readers(self) -> frozenset[str]:
        """Those of `anon` and `authenticated` that may read a column of it."""
        return frozenset(role for role, privilege in self.privileges if privilege == "SELECT")

    @property
    def writers(self) -> frozenset[str]:
        """Those of `anon` and `authenticated` that may insert, update, delete or truncate."""
        return frozenset(role for role, privilege in self.privileges if privilege in _WRITES)

    @property
    def reached(self) -> frozenset[str]:
        """Those of `anon` and `authenticated` that may do anything with it."""
        return self.readers | self.writers


def read_tables(connection: Connection) -> tuple[Table, ...]:
    """All tables but those of extensions, by name."""
    return tuple(
        Table(
            oid=row["oid"],
            schema=row["schema"],
            name=row["name"],
            row_security=row["row_security"],
            parents=tuple(row["parents"]),
            policies=row["policies"],
            privileges=frozenset(_privilege(each) for each in row["privileges"]),
            columns=tuple(row["columns"]),
        )
        for row in Statements(connection, "security_tables.sql").rows("tables")
    )


def _privilege(text: str) -> tuple[str, str]:
    role, _, privilege = text.partition(":")
    return role, privilege
