"""Measures the load of the server: the lag of standbys, and the number of checkpoints."""

from __future__ import annotations

from dataclasses import dataclass

from psycopg.rows import dict_row

from fluxbase_cli.store.connection import Connection
from fluxbase_cli.store.queries import named_queries

_VERSION_17 = 170_000


@dataclass(frozen=True, slots=True)
class Standby:
    """A standby that streams from this server.

    Attributes:
        name: its name (`application_name`).
        hidden: this role may not see how far it is.
        written: the primary's position in the WAL, in bytes from its beginning.
        replayed: the standby's position in the WAL; None if that is hidden.
        lag_s: PostgreSQL's measure of the lag, in seconds; None if it has none.
    """

    name: str
    hidden: bool
    written: int
    replayed: int | None
    lag_s: float | None


def standbys(connection: Connection) -> list[Standby]:
    """All standbys that are connected now."""
    with connection.cursor(row_factory=dict_row) as cursor:
        cursor.execute(named_queries("server_load.sql")["standbys"])
        return [Standby(**row) for row in cursor.fetchall()]


def sees_standbys(connection: Connection) -> bool:
    """Whether this role may see how far standbys are."""
    row = connection.execute(named_queries("server_load.sql")["sees_standbys"]).fetchone()
    return bool(row and row[0])


def checkpoints(connection: Connection) -> tuple[int, int]:
    """The number of checkpoints requested before their time, and the position in the WAL, in bytes."""
    name = "checkpoints" if connection.info.server_version >= _VERSION_17 else "checkpoints_before_17"
    row = connection.execute(named_queries("server_load.sql")[name]).fetchone()
    return (int(row[0]), int(row[1])) if row else (0, 0)
