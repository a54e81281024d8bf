"""The sessions of others on a database, as the server lists them (`pg_stat_activity`)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from fluxbase_cli.config import DatabaseSettings
from fluxbase_cli.printable import printable
from fluxbase_cli.store.connection import Connection, session
from fluxbase_cli.store.queries import Statements

#: At most so many sessions are named.
_NAMED = 5


@dataclass(frozen=True, slots=True)
class OtherSession:
    """A session that is not ours.

    Attributes:
        pid: the number of its server process.
        role: its role.
        database: the database's name.
        application_name: what it calls itself; may be empty. None if this role may not see it.
        address: where it comes from; None for a local socket, or if this role may not see it.
        state: what it does, as PostgreSQL says it.
    """

    pid: int
    role: str
    database: str
    application_name: str | None
    address: str | None
    state: str | None

    def __str__(self) -> str:
        """For messages, in one line."""
        name = f" ({printable(self.application_name)})" if self.application_name else ""
        where = f" from {self.address}" if self.address else ""
        state = f", {self.state}" if self.state else ""
        return f"{printable(self.role)}{name}{where}, process {self.pid}{state}"


def other_sessions(connection: Connection, databases: Sequence[str]) -> tuple[OtherSession, ...]:
    """The sessions of others on these databases, the oldest first."""
    rows = Statements(connection, "sessions.sql").rows("others", databases=list(databases))
    return tuple(OtherSession(**row) for row in rows)


def sessions_of(database: DatabaseSettings) -> tuple[OtherSession, ...]:
    """The sessions of others on the main database, the oldest first.

    Raises:
        ConfigurationError, DatabaseError: the database can't be reached.
    """
    with session(database) as connection:
        return other_sessions(connection, [connection.info.dbname])


def without(sessions: Sequence[OtherSession], names: Collection[str]) -> tuple[OtherSession, ...]:
    """The sessions without those of these application names and roles."""
    return tuple(each for each in sessions if each.application_name not in names and each.role not in names)


def named(sessions: Sequence[OtherSession]) -> str:
    """Some of the sessions, for a message."""
    more = len(sessions) - _NAMED
    text = "; ".join(str(each) for each in sessions[:_NAMED])
    return f"{text}; and {more} more" if more > 0 else text
