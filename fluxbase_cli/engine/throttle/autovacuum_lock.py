"""Keeps autovacuum away from the large tables while a job rewrites them.

PostgreSQL can reuse the space of a dead row version when no snapshot can see it any more. The rows that a job writes
make autovacuum start an ANALYZE. It holds one snapshot as long as it reads the table. In that time each written row
needs new space and a new entry in every index. Measured on 1,000,000 rows: one ANALYZE of 6 seconds in a run of 25
seconds made the table grow by 36% instead of 13%. The ANALYZE is as useful a moment later, after the job.

So the runner holds a lock (SHARE UPDATE EXCLUSIVE) that conflicts with VACUUM, ANALYZE and changes to the table, but
with no reader and no writer. Autovacuum skips a table that it can't lock. If another session waits for the lock, the
runner gives it back within a second.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress

import psycopg

from fluxbase_cli.config import DatabaseSettings
from fluxbase_cli.engine.throttle.pacing import Clock
from fluxbase_cli.errors import FluxbaseCliError
from fluxbase_cli.store.connection import Connection, connect
from fluxbase_cli.store.relation import Relation
from fluxbase_cli.store.table_size import others_wait, try_lock_relation
from fluxbase_cli.store.transactions import Access, begin_stats_read

#: Smaller tables are finished before autovacuum starts.
LARGE_ROWS = 50_000
#: How long the lock is held at most, in seconds. In a longer run an ANALYZE is a small part of the time, and the rows
#: of other writers need a vacuum.
_LONGEST_S = 600.0


class AutovacuumLock:
    """Holds the locks, over a separate connection outside any snapshot. For one thread.

    Args:
        database: how to connect.
        access: the role to use.
        relations: the large tables.
        clock: returns the time in seconds.
    """

    def __init__(
        self, database: DatabaseSettings, access: Access, relations: Sequence[Relation], clock: Clock = time.monotonic
    ) -> None:
        self._database = database
        self._begin = begin_stats_read(access)
        self._relations = relations
        self._clock = clock
        self._until = clock() + _LONGEST_S
        self._connection: Connection | None = None
        self._held = False

    def look(self, *, wanted: bool) -> None:
        """Take the locks that are free, or give them back. Call this every second.

        Args:
            wanted: whether the job is writing now.
        """
        if not self._relations:
            return
        try:
            wanted = wanted and self._clock() < self._until
            if self._connection is not None and self._held:
                if others_wait(self._connection):
                    # Another session needs the table. The rest of the job runs without the lock.
                    self._until = self._clock()
                elif wanted:
                    return
                self.close()
            elif wanted:
                self._take()
        except (psycopg.Error, FluxbaseCliError):
            # The job does not depend on the lock, and a lost connection holds no lock.
            self.close()

    def close(self) -> None:
        """Give the locks back."""
        self._held = False
        if self._connection is not None:
            with suppress(psycopg.Error):
                self._connection.close()
            self._connection = None

    def _take(self) -> None:
        if self._connection is None:
            self._connection = connect(self._database)
        connection = self._connection
        connection.execute(self._begin)
        # A table that an ANALYZE is reading now stays without a lock.
        held = [try_lock_relation(connection, relation) for relation in self._relations]
        self._held = any(held)
        if not self._held:
            connection.execute("ROLLBACK")
