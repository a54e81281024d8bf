"""Holding autovacuum off the large tables while a job rewrites them.

A page's freed row versions can be reused once no snapshot may still see them. Autovacuum's ANALYZE, set off by the very
rows that a job writes, holds one snapshot for as long as it reads the table, and meanwhile each row that is written
needs room elsewhere and a new entry in every index: measured on 1,000,000 rows, one ANALYZE of 6 seconds in a run of 25
made the table grow by 36% instead of 13%. It is as useful a moment later, once the job is done.

The means is a lock that conflicts with VACUUM, ANALYZE and changes to the table, and with no reader or writer (SHARE
UPDATE EXCLUSIVE; autovacuum passes over a table that it can't lock). Who else waits for it gets it within a second.
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

#: Tables with fewer rows are done before autovacuum wakes up.
LARGE_ROWS = 50_000
#: How long autovacuum is held off at most, in seconds. In longer runs an ANALYZE takes little of the time, and other
#: writers' rows want to be vacuumed.
_LONGEST_S = 600.0


class AutovacuumLock:
    """Holds the locks, over a connection of its own outside any snapshot. For one thread.

    Args:
        database: where.
        access: as whom.
        relations: the large tables.
        clock: seconds.
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
        """Take the locks that can be had at once, or give them back. To be called every second.

        Args:
            wanted: whether the job is writing now.
        """
        if not self._relations:
            return
        try:
            wanted = wanted and self._clock() < self._until
            if self._connection is not None and self._held:
                if others_wait(self._connection):
                    # Whoever it is has work of his own on the table; the rest of the job does without.
                    self._until = self._clock()
                elif wanted:
                    return
                self.close()
            elif wanted:
                self._take()
        except (psycopg.Error, FluxbaseCliError):
            # Nothing depends on it, and a lost connection holds no lock.
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
        # Those that an ANALYZE has now are let be.
        held = [try_lock_relation(connection, relation) for relation in self._relations]
        self._held = any(held)
        if not self._held:
            connection.execute("ROLLBACK")
