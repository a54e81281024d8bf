"""What a rehearsal needs of the database: progress tables that keep nothing, and sizes before and after."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from psycopg import sql
from psycopg.rows import dict_row

from fluxbase_cli.store.connect import Connection
from fluxbase_cli.store.jobs import JobStore, QuarantineEntry, Shard
from fluxbase_cli.store.queries import named_queries
from fluxbase_cli.store.values import Shape, Stretch


class RehearsedError(Exception):
    """A batch was done up to its record; raised so that its transaction is rolled back.

    Attributes:
        after: the shard as it would stand now.
    """

    def __init__(self, after: Shard) -> None:
        super().__init__()
        self.after = after


class NoJobStore(JobStore):
    """Progress tables for a rehearsal: a batch that records its progress here is rolled back, never committed."""

    def record(  # noqa: PLR0913  # as in JobStore
        self,
        shard: Shard,  # noqa: ARG002  # as in JobStore
        runner: int,  # noqa: ARG002
        after: Shard,
        *,
        done: bool,  # noqa: ARG002
        wrote: bool,  # noqa: ARG002
        unwritten: int,  # noqa: ARG002
    ) -> None:
        """Take no record.

        Raises:
            RehearsedError: always.
        """
        raise RehearsedError(after)

    def quarantine(self, job: int, entries: Iterable[QuarantineEntry]) -> None:
        """Record nothing."""

    def need_full_census(self, job: int) -> None:
        """Record nothing."""


@dataclass(frozen=True, slots=True)
class Size:
    """A relation on disk, in bytes, and what PostgreSQL counts in it.

    Attributes:
        heap: its rows.
        whole: with what is stored beside them (TOAST).
        indexes: its indexes, together.
        index_count: how many there are.
        live, dead: row versions, as the statistics have them.
    """

    heap: int
    whole: int
    indexes: int
    index_count: int
    live: int
    dead: int

    @property
    def total(self) -> int:
        """All of it."""
        return self.whole + self.indexes


def sizes(connection: Connection, shapes: Sequence[Shape]) -> Mapping[str, Size]:
    """The sizes of relations by `schema.name`."""
    with connection.cursor(row_factory=dict_row) as cursor:
        cursor.execute(named_queries("rehearsal.sql")["sizes"], _names(shapes))
        return {str(row.pop("relation")): Size(**row) for row in cursor.fetchall()}


def may_vacuum(connection: Connection, shapes: Sequence[Shape]) -> frozenset[str]:
    """The relations that this role may vacuum, as `schema.name`."""
    rows = connection.execute(named_queries("rehearsal.sql")["may_vacuum"], _names(shapes)).fetchall()
    return frozenset(str(relation) for relation, may in rows if may)


def vacuum(connection: Connection, shape: Shape) -> None:
    """Vacuum a relation and bring its statistics up to date. Outside a transaction only."""
    # As gently as autovacuum.
    connection.execute("SET vacuum_cost_delay = '2ms'")
    connection.execute(sql.SQL("VACUUM (ANALYZE) {}").format(shape.identifier))


def wal_position(connection: Connection) -> int:
    """Bytes of WAL written since the beginning of time."""
    row = connection.execute(named_queries("rehearsal.sql")["wal_position"]).fetchone()
    return int(row[0]) if row else 0


@dataclass(frozen=True, slots=True)
class WalSettings:
    """What decides how much WAL is written.

    Attributes:
        full_page_writes: pages are logged whole when they are first touched after a checkpoint.
        checkpoint_bytes: a checkpoint is made after so much WAL.
    """

    full_page_writes: bool
    checkpoint_bytes: int


def wal_settings(connection: Connection) -> WalSettings:
    """The server's settings."""
    row = connection.execute(named_queries("rehearsal.sql")["wal_settings"]).fetchone()
    return WalSettings(bool(row[0]), int(row[1])) if row else WalSettings(full_page_writes=True, checkpoint_bytes=2**30)


def next_transaction(connection: Connection) -> int:
    """The next transaction's id, without taking it."""
    row = connection.execute(named_queries("rehearsal.sql")["next_transaction"]).fetchone()
    return int(row[0]) if row else 0


def writers(connection: Connection, shape: Shape, stretch: Stretch) -> str:
    """The transactions that made the row versions of a stretch, in PostgreSQL's array notation."""
    row = connection.execute(
        sql.SQL(
            "SELECT coalesce(array_agg(DISTINCT t.xmin::text), '{{}}')::text FROM {} AS t "
            "WHERE t.ctid > %s::tid AND t.ctid <= %s::tid"
        ).format(shape.identifier),
        [str(stretch.after), str(stretch.upto)],
    ).fetchone()
    return str(row[0]) if row else "{}"


def _names(shapes: Sequence[Shape]) -> dict[str, list[str]]:
    return {"schemas": [shape.schema for shape in shapes], "names": [shape.name for shape in shapes]}
