"""How many more connections the server, the database and the role allow."""

from __future__ import annotations

from dataclasses import dataclass

from fluxbase_cli.store.connection import Connection
from fluxbase_cli.store.queries import Statements

#: Of the free connections, this share stays free for others, and at least so many.
_OTHERS_SHARE = 0.25
_OTHERS_LEAST = 2


@dataclass(frozen=True, slots=True)
class FreeConnections:
    """The connections that are free, by the limit that allows the fewest.

    Attributes:
        free: how many.
        limit: that limit, for messages.
        most: how many connections there may be by that limit, those of others included.
    """

    free: int
    limit: str
    most: int

    @property
    def ours(self) -> int:
        """How many of them we may use, so that others can still connect. At least one."""
        return max(1, self.free - max(_OTHERS_LEAST, round(self.free * _OTHERS_SHARE)))


def free_connections(connection: Connection) -> FreeConnections:
    """Count the connections that are free.

    Args:
        connection: any session of the role.
    """
    row = Statements(connection, "sessions.sql").rows("free")[0]
    # Role and database limits do not hold for a superuser (`InitializeSessionUserId`, `CheckMyDatabase`).
    found = [
        FreeConnections(
            row["server_limit"] - row["server_used"], f"max_connections {row['server_limit']}", row["server_limit"]
        )
    ]
    if not row["superuser"] and row["role_limit"] >= 0:
        limit = f"CONNECTION LIMIT {row['role_limit']} of role {row['role']}"
        found.append(FreeConnections(row["role_limit"] - row["role_used"], limit, row["role_limit"]))
    if not row["superuser"] and row["database_limit"] >= 0:
        limit = f"CONNECTION LIMIT {row['database_limit']} of database {row['database']}"
        found.append(FreeConnections(row["database_limit"] - row["database_used"], limit, row["database_limit"]))
    return min(found, key=lambda each: each.free)
