"""The views of the API that read with the rights of their owners."""

from __future__ import annotations

from dataclasses import dataclass

from fluxbase_cli.store.connection import Connection
from fluxbase_cli.store.queries import Statements


@dataclass(frozen=True, slots=True)
class ViewRead:
    """A table that a view without `security_invoker` reads, itself or through other views.

    Attributes:
        schema, name: the view.
        roles: those of `anon` and `authenticated` that may use the view.
        owner: the role with whose rights the table is read.
        table_schema, table_name: the table.
        bypassed: whether row-level security is enabled on the table and does not bind that role.
    """

    schema: str
    name: str
    roles: frozenset[str]
    owner: str
    table_schema: str
    table_name: str
    bypassed: bool


def read_views(connection: Connection) -> tuple[ViewRead, ...]:
    """The tables behind views that `anon` or `authenticated` may use, by view and table."""
    rows = Statements(connection, "security_tables.sql").rows("views")
    return tuple(ViewRead(**(row | {"roles": frozenset(row["roles"])})) for row in rows)
