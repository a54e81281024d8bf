"""Tells one database from another, also from its own copy in another cluster, and from a new one of the same name."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from fluxbase_cli.config import DatabaseSettings
from fluxbase_cli.store.connection import session
from fluxbase_cli.store.queries import Statements


@dataclass(frozen=True, slots=True)
class DatabaseIdentity:
    """Which database it is.

    Attributes:
        host, port: the server, as the connection names it.
        database: the database's name.
        oid: its object id. A database that was dropped and made again has another one.
        system_identifier: the number of the cluster; None if the role may not read it.
        role: the role that logged in.
    """

    host: str
    port: int
    database: str
    oid: int
    system_identifier: str | None
    role: str


def identify(database: DatabaseSettings) -> tuple[DatabaseIdentity, datetime]:
    """Which database it is, and the time by the server's clock. Writes nothing.

    Raises:
        ConfigurationError, DatabaseError: the database can't be reached.
    """
    with session(database) as connection:
        statements, info = Statements(connection, "identity.sql"), connection.info
        found = statements.rows("database")[0]
        may = statements.rows("may_name_cluster")[0]["may"]
        identity = DatabaseIdentity(
            info.host or "local socket",
            info.port,
            str(found["name"]),
            int(found["oid"]),
            str(statements.rows("cluster")[0]["identifier"]) if may else None,
            info.user,
        )
        return identity, found["now"]
