"""A worker: a thread with its own connection that leases shards and does their batches, until none is left."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from typing import TypeVar

import psycopg

from fluxbase_cli.engine.events import BatchDone, Observer
from fluxbase_cli.engine.retry import retry_transient
from fluxbase_cli.engine.run.batch import BatchRunner
from fluxbase_cli.engine.run.catch_up import CatchUp, CatchUpStep, RelationGoneError
from fluxbase_cli.engine.run.context import RunContext
from fluxbase_cli.engine.run.crew import Crew
from fluxbase_cli.engine.run.resealer import ResealResult, RowResealer
from fluxbase_cli.engine.stop import Stop
from fluxbase_cli.engine.tables import limits_for
from fluxbase_cli.engine.throttle.throttler import Throttler
from fluxbase_cli.keyring import Opener
from fluxbase_cli.store.connection import Connection, connect_for_values, first_line
from fluxbase_cli.store.first_answer import NoFreeSessionError
from fluxbase_cli.store.jobs import JobStore
from fluxbase_cli.store.limits import Limits
from fluxbase_cli.store.records import Shard
from fluxbase_cli.store.refused_connection import TooManyConnectionsError
from fluxbase_cli.store.relation import Relation
from fluxbase_cli.store.relations import is_still
from fluxbase_cli.store.shards import LeaseLostError
from fluxbase_cli.unexamined import Unexamined

_T = TypeVar("_T")

#: How long to wait before looking again whether another runner has finished its shards, in seconds.
_POLL_S = 0.1
#: How many times a batch waits for a lock before it leaves the locked rows to the catch-up pass.
_MOST_CONFLICTS = 2


class _LeftError(Exception):
    """The worker has no connection and leaves; others continue."""


class Worker:
    """Works through shards. `run` is the body of a thread.

    Args:
        number: its number in the crew.
        context, stop, observer, catch_up, throttler, crew: what the workers of a pool share.

    Attributes:
        shard: the number of the shard that it works on; None if there is none.
    """

    def __init__(  # noqa: PLR0913, PLR0917  # what the workers of a pool share
        self,
        number: int,
        context: RunContext,
        stop: Stop,
        observer: Observer,
        catch_up: CatchUp,
        throttler: Throttler,
        crew: Crew,
    ) -> None:
        self._number = number
        self._context = context
        self._crew = crew
        self._relations = context.relations()
        self._stop = stop
        self._observer = observer
        self._catch_up = catch_up
        self._throttler = throttler
        self.shard: int | None = None
        self._conflicts = 0
        self._connection: Connection | None = None
        self._snapshot: Connection | None = None
        self._lock = threading.Lock()
        self._opener = Opener(context.keyring, first=context.goal.source)
        self._runners: dict[str, BatchRunner] = {}

    def run(self) -> None:
        """Lease shards and do them until the job ends or a stop is requested.

        Raises:
            Exception: an error that did not end with retries.
        """
        try:
            while self._throttler.wait_for_turn():
                if not self._may_work:
                    self._give_back()
                    if not self._wait_for_work():
                        return
                    continue
                shard = self._retry(lambda jobs: jobs.shards.lease(self._context.job, self._context.runner))
                if shard is not None:
                    self._do(shard)
                    continue
                self._close_snapshot()
                step = self._retry(lambda jobs: self._catch_up.advance(self._connected(), jobs))
                if step is CatchUpStep.ENDED:
                    self._crew.end()
                    return
                if step is CatchUpStep.AGAIN:
                    self._crew.wake()
                    continue
                self._crew.wait(_POLL_S)
                if self._crew.ended:
                    return
        except _LeftError:
            self._give_back()
        finally:
            self._disconnect()

    @property
    def _may_work(self) -> bool:
        return self._crew.may_work(self._number)

    def _wait_for_work(self) -> bool:
        """Wait without a connection until this worker may work. Return False if the job has ended."""
        self._disconnect()
        # The rows that were read ahead would be too old.
        self._runners.clear()
        while not (self._may_work or self._stop.requested):
            if self._crew.ended or not self._throttler.running:
                return False
            self._crew.wait(_POLL_S)
        return True

    def _disconnect(self) -> None:
        self._close_snapshot()
        with self._lock:
            if self._connection is not None:
                self._connection.close()

    def cancel(self) -> None:
        """Cancel the statement that the worker waits for; its batch is rolled back. Callable from any thread."""
        with self._lock:
            connections = [c for c in (self._connection, self._snapshot) if c is not None and not c.closed]
        for connection in connections:
            with suppress(psycopg.Error):
                connection.cancel_safe(timeout=1.0)

    def _connected(self) -> Connection:
        connection = self._connection
        if connection is None or connection.closed:
            connection = self._open()
            with self._lock:
                self._connection = connection
        return connection

    def _open(self) -> Connection:
        try:
            return connect_for_values(self._context.database, self._context.access)
        except (TooManyConnectionsError, NoFreeSessionError) as error:
            if self._crew.leave(self._number, first_line(error)):
                raise _LeftError from None
            raise

    def _give_back(self) -> None:
        """Let another worker have the shard. Without a connection, its lease ends after a while."""
        shard, self.shard = self.shard, None
        if shard is not None and self._connection is not None and not self._connection.closed:
            with suppress(psycopg.Error):
                JobStore(self._connection).shards.give_back(shard, self._context.runner)

    def _retry(self, action: Callable[[JobStore], _T]) -> _T:
        return retry_transient(
            lambda: action(JobStore(self._connected())),
            self._stop,
            self._observer,
            retry_limit_s=self._context.request.retry_limit_s,
        )

    def _do(self, leased: Shard) -> None:
        """Do a shard, from the position that is stored in the database."""
        shard: Shard | None = leased
        self.shard = leased.id
        while shard is not None and self._throttler.wait_for_turn():
            if not self._may_work:
                # `run` gives the shard back.
                return
            shard = self._retried(shard, self._next_batch if shard.pass_number == 0 else self._catch_up_step)
        self.shard = None

    def _retried(self, shard: Shard, step: Callable[[JobStore, Shard], Shard | None]) -> Shard | None:
        """Do one step of a shard. Return what is left of it; None if it is done or another runner has it."""
        known: Shard | None = shard

        def attempt(jobs: JobStore) -> Shard | None:
            nonlocal known
            # After an error the shard is read from the database again, so that a batch whose commit succeeded without
            # an answer is not done twice.
            current, known = known or jobs.shards.reread(shard.id, self._context.runner), None
            if current is None:
                return None
            try:
                return step(jobs, current)
            except LeaseLostError:
                # The lease may still be ours, and only the position has changed: by another thread of this process, or
                # by a late commit over a lost connection. Perhaps no worker does it now, so any runner may take it.
                jobs.shards.give_back(shard.id, self._context.runner)
                return None
            except (RelationGoneError, psycopg.ProgrammingError) as error:
                if not jobs.shards.has_relation(current):
                    # A partition was dropped, or a table renamed, or it is a view or partitioned now. The catch-up pass
                    # finds the new relations, and lists what can't be examined.
                    jobs.shards.abandon(self._context.job, current.id, self._context.runner)
                    return None
                if isinstance(error, RelationGoneError):
                    # Another table has its name now. Begin again with that table.
                    return current
                if self._has_other_columns(current):
                    # The type of a sealed column was changed. The catch-up pass lists it.
                    jobs.shards.abandon(self._context.job, current.id, self._context.runner)
                    return None
                raise
            except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected) as error:
                # The batch is done again. With fewer rows it is less likely to conflict.
                self._throttler.on_lock_conflict(shard.relation)
                self._conflicts += isinstance(error, psycopg.errors.LockNotAvailable)
                self._catch_up.locks.on_conflict()
                raise

        return self._retry(attempt)

    def _has_other_columns(self, shard: Shard) -> bool:
        """Whether the sealed columns of a relation are not those any more with which the job was prepared."""
        known = self._relations.get(shard.relation)
        now = self._catch_up.find(self._connected(), shard.relation)
        return known is not None and (now is None or now.columns != known.columns)

    def _next_batch(self, jobs: JobStore, shard: Shard) -> Shard | None:
        began = time.monotonic()
        # The batch size may have changed since the last batch.
        limits = self._throttler.limits(shard.relation, self._limits(shard.relation))
        outcome = self._runner(shard.relation).next_batch(
            self._connected(), jobs, shard, most=limits.rows, skip_locked=self._conflicts >= _MOST_CONFLICTS
        )
        self._conflicts = 0
        values = sum(counts.scanned for counts in outcome.counts.values())
        self._throttler.done(shard.relation, rows=outcome.rows, values=values, seconds=time.monotonic() - began)
        self._observer.notify(BatchDone(shard.table, outcome.rows, outcome.counts, shard.pass_number))
        return outcome.shard

    def _catch_up_step(self, jobs: JobStore, shard: Shard) -> Shard | None:
        """Read all changed rows of a relation, and reseal what another writer has sealed under the old key."""
        context, connection = self._context, self._connected()
        relation = self._relations.get(shard.relation)
        if relation is None or not is_still(connection, relation):
            # It was created after the job was prepared, or is another table with the same name.
            relation = self._catch_up.find(connection, shard.relation)
        if relation is None:
            raise RelationGoneError
        runner = self._make_runner(relation)
        after: Shard = shard
        left: list[Unexamined] = []
        resealer = RowResealer(relation, self._opener, context.goal, context.tokens)
        # The rows are read in one snapshot over a second connection, while batches use the first one.
        with (
            self._snapshot_session() as reading,
            closing(self._catch_up.read_whole(reading, connection, relation, resealer, left)) as results,
        ):
            for result in results:
                # A paused job must not hold a snapshot. The catch-up pass over this relation begins again afterwards.
                if self._throttler.paused or not self._throttler.wait_for_turn() or not self._may_work:
                    self._close_snapshot()
                    return after
                if result.edits or result.quarantine:
                    outcome = runner.write_found(
                        connection, jobs, after, result, done=False, skip_locked=self._catch_up.locks.waited_enough
                    )
                    self._observer.notify(BatchDone(shard.table, 0, outcome.counts, shard.pass_number))
                    after = outcome.shard or after
                values = sum(tally.scanned for tally in result.tallies)
                self._throttler.done(shard.relation, rows=0, values=values, seconds=0.0)
        if left:
            jobs.note_unexamined(context.job, left)
        runner.write_found(connection, jobs, after, ResealResult.nothing(relation), done=True)
        return None

    @contextmanager
    def _snapshot_session(self) -> Iterator[Connection]:
        """A second connection. It is kept for the next relation of the pass, except after an error."""
        reading = self._snapshot
        if reading is None:
            reading = self._open()
            with self._lock:
                self._snapshot = reading
        try:
            yield reading
        except BaseException:
            self._close_snapshot()
            raise

    def _close_snapshot(self) -> None:
        with self._lock:
            snapshot, self._snapshot = self._snapshot, None
        if snapshot is not None:
            snapshot.close()

    def _runner(self, name: str) -> BatchRunner:
        runner = self._runners.get(name)
        if runner is None:
            runner = self._runners[name] = self._make_runner(self._relations[name])
        return runner

    def _make_runner(self, relation: Relation) -> BatchRunner:
        return BatchRunner(self._context, relation, self._opener, self._observer)

    def _limits(self, name: str) -> Limits:
        return limits_for(self._relations[name], self._context.request.limits)
