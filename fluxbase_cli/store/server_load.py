"""What the server is going through besides our job: standbys that fall behind, checkpoints that come too often."""

from __future__ import annotations

from dataclasses import dataclass

from psycopg.rows import dict_row

from fluxbase_cli.store.connection import Connection
from fluxbase_cli.store.queries import named_queries

_NEW_STATISTICS = 170_000


@dataclass(frozen=True, slots=True)
class Standby:
    """A standby that streams from this server.

    Attributes:
        name: what it calls itself (`application_name`).
        hidden: this role may not see how far it is.
        written: WAL that the primary has written, in bytes since the beginning of time.
        replayed: how much of it the standby shows; None where that is hidden.
        lag_s: PostgreSQL's own measure of that, where it has one.
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
    """Checkpoints that were asked for before their time, and bytes of WAL written; both since the beginning of time."""
    name = "checkpoints" if connection.info.server_version >= _NEW_STATISTICS else "checkpoints_before_17"
    row = connection.execute(named_queries("server_load.sql")[name]).fetchone()
    return (int(row[0]), int(row[1])) if row else (0, 0)
