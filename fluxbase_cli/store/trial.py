"""What a trial run needs of the database: a recorder that keeps nothing, and what decides how much is logged."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass

from psycopg import sql

from fluxbase_cli.store.connection import Connection
from fluxbase_cli.store.ctid import CtidRange
from fluxbase_cli.store.queries import named_queries
from fluxbase_cli.store.records import QuarantineEntry, Shard
from fluxbase_cli.store.relation import Relation


class TriedError(Exception):
    """A batch was done up to its record; raised so that its transaction is rolled back.

    Attributes:
        after: the shard as it would stand now.
    """

    def __init__(self, after: Shard) -> None:
        super().__init__()
        self.after = after


class TrialRecorder:
    """Takes the record of a batch in a trial run (see `BatchRecorder`): the batch is rolled back, never committed."""

    def recorded(  # noqa: PLR0913  # as in BatchRecorder
        self,
        shard: Shard,  # noqa: ARG002  # as in BatchRecorder
        runner: int,  # noqa: ARG002
        after: Shard,
        *,
        done: bool,  # noqa: ARG002
        wrote: bool,  # noqa: ARG002
        unwritten: int,  # noqa: ARG002
    ) -> AbstractContextManager[None]:
        """Take no record.

        Raises:
            TriedError: always.
        """
        raise TriedError(after)

    def quarantine(self, job: int, entries: Iterable[QuarantineEntry]) -> None:
        """Record nothing."""

    def need_full_census(self, job: int) -> None:
        """Record nothing."""


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
    row = connection.execute(named_queries("trial.sql")["wal_settings"]).fetchone()
    return WalSettings(bool(row[0]), int(row[1])) if row else WalSettings(full_page_writes=True, checkpoint_bytes=2**30)


def wal_position(connection: Connection) -> int:
    """Bytes of WAL written since the beginning of time."""
    row = connection.execute(named_queries("trial.sql")["wal_position"]).fetchone()
    return int(row[0]) if row else 0


def next_transaction(connection: Connection) -> int:
    """The next transaction's id, without taking it."""
    row = connection.execute(named_queries("trial.sql")["next_transaction"]).fetchone()
    return int(row[0]) if row else 0


def writers(connection: Connection, relation: Relation, ctid_range: CtidRange) -> str:
    """The transactions that made the row versions of a stretch, in PostgreSQL's array notation."""
    row = connection.execute(
        sql.SQL(
            "SELECT coalesce(array_agg(DISTINCT t.xmin::text), '{{}}')::text FROM ONLY {} AS t "
            "WHERE t.ctid > %s::tid AND t.ctid <= %s::tid"
        ).format(relation.identifier),
        [str(ctid_range.after), str(ctid_range.upto)],
    ).fetchone()
    return str(row[0]) if row else "{}"
