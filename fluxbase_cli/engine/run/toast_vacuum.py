"""Vacuums tables with large values while a job rewrites them, so that the disk does not fill up.

PostgreSQL keeps values of several kilobytes outside their rows (TOAST). Each rewrite puts the new text in a new place.
The place of the old text can be used again only after a VACUUM, which alone records free space there. Without one, the
table doubles. With one after each tenth of the rows it grows by about a quarter. All of them together took 0.6 s of
processor time where one UPDATE of the table took 2.9 s (docs/developers/benchmark.md).

One runner does this for all, where its role may vacuum the table. The job never waits for it: a table that is locked is
skipped, and a VACUUM that somebody waits for is cancelled.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Self

import psycopg

from fluxbase_cli.engine.events import Message, Observer
from fluxbase_cli.engine.run.context import RunContext
from fluxbase_cli.engine.stop import Stop
from fluxbase_cli.engine.throttle.throttler import Throttler
from fluxbase_cli.errors import FluxbaseCliError
from fluxbase_cli.log_events import LogEvent
from fluxbase_cli.store.connection import Connection, connect
from fluxbase_cli.store.jobs import JobStore
from fluxbase_cli.store.relation import Relation
from fluxbase_cli.store.table_size import (
    TableSize,
    may_vacuum,
    oldest_snapshot,
    others_wait_for,
    take_vacuum_lock,
    vacuum_in_a_job,
)

#: Smaller tables are not worth it, in bytes outside the rows.
LEAST_BYTES = 16 * 1024 * 1024
#: After this share of a table's rows, the table is vacuumed. So it grows by about this share.
_STEP = 0.1
#: After so many steps without a VACUUM that would help, it is said why.
_STEPS_UNTIL_TOLD = 2
#: How often the progress is read, in seconds: a table of 50,000 values of 4 KiB takes some seconds.
_LOOK_S = 0.2


@dataclass(frozen=True, slots=True)
class _Vacuumed:
    """When a table was vacuumed last.

    Attributes:
        rows: how many of its rows were done then.
        transaction: the next transaction then.
    """

    rows: int
    transaction: int


def vacuumed_in_the_job(
    connection: Connection, relations: Sequence[Relation], sizes: Mapping[str, TableSize]
) -> tuple[Relation, ...]:
    """The relations with much outside their rows, more than in them, that this role may vacuum.

    Args:
        connection: a session of the role.
        relations: the relations that the job writes to.
        sizes: their sizes, by `schema.name`.
    """
    large = [
        relation
        for relation in relations
        if (size := sizes.get(relation.qualified)) is not None and size.outside >= max(LEAST_BYTES, size.heap)
    ]
    may = may_vacuum(connection, large) if large else frozenset()
    return tuple(relation for relation in large if relation.qualified in may)


class ToastVacuum:
    """Runs in a thread for the length of a block.

    Args:
        context: the job, and the relations.
        throttler: no VACUUM begins or continues while the job waits.
        stop: ends a VACUUM that runs.
        observer: gets one message for each table.
    """

    def __init__(self, context: RunContext, throttler: Throttler, stop: Stop, observer: Observer) -> None:
        self._context = context
        self._throttler = throttler
        self._stop = stop
        self._observer = observer
        stats = context.prepared.plan.stats
        self._steps = {each.qualified: max(1.0, found.rows * _STEP) for each, found in stats.items()}
        self._relations = [relation for relation in context.vacuumed if relation.qualified in self._steps]
        self._vacuumed: dict[str, _Vacuumed] = {}
        self._told: set[str] = set()
        self._connection: Connection | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="toast-vacuum", daemon=True)

    def __enter__(self) -> Self:
        if self._relations:
            self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._ended.set()
        if self._relations:
            self._thread.join(1.0)

    def _run(self) -> None:
        while not self._ended.wait(_LOOK_S):
            # The job does not depend on it. A server that is down is waited for by the workers.
            with suppress(psycopg.Error, FluxbaseCliError):
                self._look()
        if self._connection is not None:
            self._connection.close()

    def _look(self) -> None:
        if self._unwanted:
            return
        if self._connection is None or self._connection.closed:
            self._connection = connect(self._context.database)
        done = JobStore(self._connection).shards.main_rows_done(self._context.job)
        upcoming, kept_since = oldest_snapshot(self._connection)
        for relation in self._relations:
            name = relation.qualified
            rows, step = done.get(name, 0), self._steps[name]
            last = self._vacuumed.setdefault(name, _Vacuumed(rows, upcoming))
            if rows - last.rows < step:
                continue
            if kept_since < last.transaction:
                # Nothing that died since then can be removed. Looked at again and again: the snapshot may end.
                if rows - last.rows >= _STEPS_UNTIL_TOLD * step:
                    self._tell_useless(name)
                continue
            # Another process of the job, perhaps on another machine, does it as long as it lives.
            if take_vacuum_lock(self._connection, relation):
                self._vacuumed[name] = _Vacuumed(rows, upcoming)
                self._vacuum(self._connection, relation)

    @property
    def _unwanted(self) -> bool:
        return self._throttler.waiting or self._stop.requested or self._ended.is_set()

    def _vacuum(self, connection: Connection, relation: Relation) -> None:
        name = relation.qualified
        self._tell(Message(LogEvent.VACUUM_BEGUN, f"vacuuming {name} from time to time, so that it grows less"))
        with connect(self._context.database) as vacuuming, self._watched(vacuuming, connection):
            vacuum_in_a_job(vacuuming, relation)

    def _tell_useless(self, name: str) -> None:
        self._tell(
            Message(
                LogEvent.VACUUM_USELESS,
                f"{name} grows: an old transaction, a standby or a replication slot still needs what was in it before",
                warning=True,
            )
        )

    def _tell(self, message: Message) -> None:
        if message.message not in self._told:
            self._told.add(message.message)
            self._observer.notify(message)

    @contextmanager
    def _watched(self, vacuuming: Connection, connection: Connection) -> Iterator[None]:
        """Cancel the VACUUM of the block when others wait for the table, or the job waits, stops or ends."""
        process = vacuuming.execute("SELECT pg_backend_pid()").fetchone()
        done = threading.Event()

        def watch() -> None:
            looked = time.monotonic()
            while not done.wait(_LOOK_S):
                waited_for = False
                if time.monotonic() - looked >= 2 * _LOOK_S:
                    looked = time.monotonic()
                    with suppress(psycopg.Error):
                        waited_for = others_wait_for(connection, process[0] if process else 0)
                if waited_for or self._unwanted:
                    with suppress(psycopg.Error):
                        vacuuming.cancel_safe(timeout=1.0)

        watching = threading.Thread(target=watch, name="toast-vacuum-watch", daemon=True)
        watching.start()
        try:
            with suppress(psycopg.errors.QueryCanceled):
                yield
        finally:
            done.set()
            watching.join()
