"""What a trial run needs from the database: a recorder that stores nothing, and figures about the WAL."""

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
from fluxbase_cli.unexamined import Unexamined


class TriedError(Exception):
    """A batch was done up to its record. Raised so that its transaction is rolled back.

    Attributes:
        after: the shard as it would be after the batch.
    """

    def __init__(self, after: Shard) -> None:
        super().__init__()
        self.after = after


class TrialRecorder:
    """Records nothing for a batch of a trial run (see `BatchRecorder`): the batch is rolled back, never committed."""

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

    def need_full_catch_up(self, job: int) -> None:
        """Record nothing."""

    def note_unexamined(self, job: int, found: Iterable[Unexamined]) -> None:
        """Record nothing."""


@dataclass(frozen=True, slots=True)
class WalSettings:
    """The settings that decide how much WAL is written.

    Attributes:
        full_page_writes: whether a page is logged whole at its first change after a checkpoint.
        checkpoint_bytes: after how much WAL a checkpoint begins.
    """

    full_page_writes: bool
    checkpoint_bytes: int


def wal_settings(connection: Connection) -> WalSettings:
    """Read the server's settings."""
    row = connection.execute(named_queries("trial.sql")["wal_settings"]).fetchone()
    return WalSettings(bool(row[0]), int(row[1])) if row else WalSettings(full_page_writes=True, checkpoint_bytes=2**30)


def wal_position(connection: Connection) -> int:
    """The position in the WAL, in bytes from its beginning."""
    row = connection.execute(named_queries("trial.sql")["wal_position"]).fetchone()
    return int(row[0]) if row else 0


def next_transaction(connection: Connection) -> int:
    """The next transaction id, without using it."""
    row = connection.execute(named_queries("trial.sql")["next_transaction"]).fetchone()
    return int(row[0]) if row else 0


def writers(connection: Connection, relation: Relation, ctid_range: CtidRange) -> str:
    """The transactions that wrote the row versions of a range, in PostgreSQL's array notation."""
    row = connection.execute(
        sql.SQL(
            "SELECT coalesce(array_agg(DISTINCT t.xmin::text), '{{}}')::text FROM ONLY {} AS t "
            "WHERE t.ctid > %s::tid AND t.ctid <= %s::tid"
        ).format(relation.identifier),
        [str(ctid_range.after), str(ctid_range.upto)],
    ).fetchone()
    return str(row[0]) if row else "{}"
