"""The sessions that the server has open in the database: from where, and whether they are encrypted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from fluxbase_cli.store.connection import Connection
from fluxbase_cli.store.queries import Statements


@dataclass(frozen=True, slots=True)
class ServerSession:
    """A session of the role as which the server connects.

    Attributes:
        address: the address of the client; None for a Unix socket, and if it is hidden.
        encrypted: whether the connection is encrypted; None if it is hidden.
        hidden: whether our role may not see where it comes from (PostgreSQL shows that to members of pg_monitor).
    """

    address: str | None
    encrypted: bool | None
    hidden: bool


@cache
def read_sessions_of(role: str) -> Callable[[Connection], tuple[ServerSession, ...]]:
    """A reader of the sessions of a role. It is the same one each time, so that the database is asked once.

    Args:
        role: the role as which the server connects.
    """

    def read(connection: Connection) -> tuple[ServerSession, ...]:
        rows = Statements(connection, "security_sessions.sql").rows("sessions", role=role)
        return tuple(ServerSession(row["address"], row["encrypted"], row["hidden"]) for row in rows)

    return read
