"""The sessions in the database: from where, and whether they are encrypted."""

from __future__ import annotations

from dataclasses import dataclass

from fluxbase_cli.store.connection import Connection
from fluxbase_cli.store.queries import Statements

#: Why a hidden session says nothing.
ONLY_MONITORS = "only members of pg_monitor may see that"


@dataclass(frozen=True, slots=True)
class Session:
    """A session in the database.

    Attributes:
        role: the role that logged in.
        address: the address of the client; None for a Unix socket, and if it is hidden.
        encrypted: whether the connection is encrypted; None if it is hidden.
        hidden: whether our role may not see where it comes from.
    """

    role: str
    address: str | None
    encrypted: bool | None
    hidden: bool


def read_sessions(connection: Connection) -> tuple[Session, ...]:
    """All sessions of clients in this database, without our own."""
    return tuple(Session(**row) for row in Statements(connection, "security_sessions.sql").rows("sessions"))
