"""The SQL of RPC procedures."""

from __future__ import annotations

from dataclasses import dataclass, field

from fluxbase_cli.security.database.rows import FILE, require
from fluxbase_cli.store.connection import Connection
from fluxbase_cli.store.queries import Statements


@dataclass(frozen=True, slots=True)
class Procedure:
    """An RPC procedure that is switched on.

    Attributes:
        namespace, name: its name.
        query: its SQL. It may hold a secret: never show it.
    """

    namespace: str
    name: str
    query: str = field(repr=False)


def read_procedures(connection: Connection) -> tuple[Procedure, ...]:
    """The RPC procedures that are switched on.

    Raises:
        NotCheckedError: this release has no such table.
    """
    require(connection, {"rpc.procedures": ("namespace", "name", "sql_query", "enabled")})
    return tuple(Procedure(**row) for row in Statements(connection, FILE).rows("procedures"))
