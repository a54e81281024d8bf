"""Standbys, slots and other receivers of this server's WAL: how far each is, and which were connected before."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from operator import itemgetter

from psycopg.rows import dict_row

from fluxbase_cli.store.connection import Connection
from fluxbase_cli.store.queries import named_queries
from fluxbase_cli.store.schema import Schema

#: The names of receivers that make one backup and then disconnect.
_TEMPORARY = frozenset({"pg_basebackup", "pg_receivewal"})
_NOWHERE = "0/0"


@dataclass(frozen=True, slots=True)
class Receiver:
    """A session that receives WAL from this server.

    Attributes:
        name: its name (`application_name`).
        hidden: this role may not see how far it is.
        replays: it replays what it receives, as a standby does.
        lsn: how far it is: the replayed WAL, or the flushed WAL if it only stores WAL; None if that is unknown.
        reached: whether it is at the requested LSN.
        lag_s: PostgreSQL's measure of the delay in seconds; None if it has none.
        slot: the name of its replication slot, if it uses one.
        logical: it receives decoded changes of one database.
    """

    name: str
    hidden: bool
    replays: bool
    lsn: str | None
    reached: bool
    lag_s: float | None
    slot: str | None
    logical: bool

    @property
    def is_standby(self) -> bool:
        """Whether it is a standby, as far as can be seen."""
        return not self.logical and (self.replays or (self.hidden and self.name not in _TEMPORARY))


@dataclass(frozen=True, slots=True)
class Slot:
    """A replication slot.

    Attributes:
        name: its name.
        logical: whether it decodes one database.
        active: whether a receiver uses it.
        lsn: where a receiver would continue; None if nothing is reserved.
        reached: whether that is at the requested LSN.
    """

    name: str
    logical: bool
    active: bool
    lsn: str | None
    reached: bool


@dataclass(frozen=True, slots=True)
class Seen:
    """Standbys with the same name that were connected.

    Attributes:
        number: how many at the same time.
        at: when they were last seen.
    """

    number: int
    at: datetime


def is_standby(connection: Connection) -> bool:
    """Whether this server is a standby."""
    return bool(_value(connection, "is_standby"))


def wal_position(connection: Connection) -> str:
    """The end of the server's WAL now, as an LSN. Makes the server send the WAL up to there.

    Raises:
        psycopg.Error: the server is a standby.
    """
    position = str(_value(connection, "position"))
    _value(connection, "push")
    return position


def receivers(connection: Connection, lsn: str = _NOWHERE) -> tuple[Receiver, ...]:
    """All sessions that receive WAL now, except base backups.

    Args:
        connection: a session on the server.
        lsn: the LSN for `reached`.
    """
    with connection.cursor(row_factory=dict_row) as cursor:
        cursor.execute(named_queries("replication.sql")["receivers"], {"lsn": lsn})
        return tuple(Receiver(**row) for row in cursor.fetchall())


def slots(connection: Connection, lsn: str, databases: Iterable[str]) -> tuple[Slot, ...]:
    """All physical slots, and the logical slots of this database and of some others.

    Args:
        connection: a session on the server.
        lsn: the LSN for `reached`.
        databases: the names of the others.
    """
    with connection.cursor(row_factory=dict_row) as cursor:
        cursor.execute(named_queries("replication.sql")["slots"], {"lsn": lsn, "databases": list(databases)})
        return tuple(Slot(**row) for row in cursor.fetchall())


def synchronous_standby_names(connection: Connection) -> str:
    """The server's setting of that name."""
    return str(_value(connection, "synchronous_names"))


def connected_standbys(connection: Connection) -> list[str]:
    """The names of the standbys that are connected now. A name may occur several times."""
    return [receiver.name for receiver in receivers(connection) if receiver.is_standby]


def seen_standbys(connection: Connection) -> Mapping[str, Seen]:
    """The standbys that our events name, without those that were forgotten since."""
    schema = Schema(connection)
    names = (["seen"] if schema.exists() else []) + (["seen_by_keys"] if schema.has_keys() else [])
    seen: dict[str, Seen] = {}
    with connection.cursor(row_factory=dict_row) as cursor:
        rows = [row for name in names for row in cursor.execute(named_queries("replication.sql")[name]).fetchall()]
    for row in sorted(rows, key=itemgetter("at")):
        for name in row["forgotten"] or ():
            seen.pop(name, None)
        counted = Counter(each if isinstance(each, str) else each["name"] for each in row["standbys"] or ())
        for name, number in counted.items():
            before = seen.get(name)
            seen[name] = Seen(number if before is None else max(number, before.number), row["at"])
    return seen


def _value(connection: Connection, name: str) -> object:
    row = connection.execute(named_queries("replication.sql")[name]).fetchone()
    return row[0] if row else None
