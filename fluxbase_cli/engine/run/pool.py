"""The worker pool of one process: its threads, its heartbeat, and how it stops."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Self

import psycopg

from fluxbase_cli.engine.allowed_workers import further_workers
from fluxbase_cli.engine.events import Observer, Several
from fluxbase_cli.engine.retry import retry_transient
from fluxbase_cli.engine.run.catch_up import CatchUp, LockPatience
from fluxbase_cli.engine.run.commit_watch import CommitWatch
from fluxbase_cli.engine.run.context import RunContext
from fluxbase_cli.engine.run.crew import Crew
from fluxbase_cli.engine.run.history import JobHistory
from fluxbase_cli.engine.run.toast_vacuum import ToastVacuum
from fluxbase_cli.engine.run.worker import Worker
from fluxbase_cli.engine.stop import Stop
from fluxbase_cli.engine.throttle.autovacuum_lock import AutovacuumLock
from fluxbase_cli.engine.throttle.throttler import Throttler
from fluxbase_cli.errors import FluxbaseCliError
from fluxbase_cli.store.connection import Connection, connect
from fluxbase_cli.store.jobs import JobStore
from fluxbase_cli.store.shards import LEASE_S

_HEARTBEAT_S = LEASE_S / 6
#: How often the control settings of the job are read, in seconds: a pause takes effect within this time.
_LOOK_S = 1.0
#: How long batches in progress may take after a stop, in seconds. Then their statements are cancelled.
_GRACE_S = 3.0
#: After this time a worker that still waits is left alone, in seconds: its connection may never answer. Its batch is
#: not committed, or is committed as a whole.
_ABANDON_S = 4.0
#: When the workers begin that do not begin at once (see `Pool`), in seconds after the first ones.
_LATER_S = 0.3
#: A worker needs a second connection in a catch-up pass.
_WORKER_CONNECTIONS = 2


class Heartbeat:
    """Holds the lock that shows that the runner is alive.

    It also renews the leases, reads the control settings, keeps autovacuum away from the large tables, and records the
    job's history.
    """

    def __init__(  # noqa: PLR0913, PLR0917  # what it looks after
        self,
        context: RunContext,
        throttler: Throttler,
        workers: Sequence[Worker],
        commits: CommitWatch,
        history: JobHistory,
        crew: Crew,
        stop: Stop,
        observer: Observer,
    ) -> None:
        self._context = context
        self._stop = stop
        self._crew = crew
        self._observer = observer
        self._history = history
        self._commits = commits
        self._workers = workers
        self._throttler = throttler
        self._autovacuum_lock = AutovacuumLock(context.database, context.access, context.large_relations())
        self._connection: Connection | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def __enter__(self) -> Self:
        try:
            retry_transient(self._begin, self._stop, self._observer, retry_limit_s=self._context.request.retry_limit_s)
        except psycopg.Error:
            # After a stop was requested, the workers take no shard.
            if not self._stop.requested:
                raise
        self._record(at_once=True)
        self._autovacuum_lock.look(wanted=not self._throttler.waiting)
        self._thread.start()
        return self

    def _begin(self) -> None:
        # This comes before any shard is taken. Without the lock, other runners would think that we are dead, and take
        # our shards.
        self._beat()
        self._look()

    def __exit__(self, *_exception: object) -> None:
        self._ended.set()
        self._thread.join(0.5)
        self._autovacuum_lock.close()
        if self._connection is not None:
            self._connection.close()

    def _run(self) -> None:
        beaten = time.monotonic()
        while not self._ended.wait(_LOOK_S):
            # Errors are ignored here: if the server is down, the workers decide how long to wait for it.
            with suppress(psycopg.Error, FluxbaseCliError):
                if time.monotonic() - beaten >= _HEARTBEAT_S:
                    self._beat()
                    beaten = time.monotonic()
                    self._throttler.check_wal(self._connected())
                    self._record()
                self._look()
                self._history.look()
                self._commits.look(self._connected())
            self._autovacuum_lock.look(wanted=not self._throttler.waiting)
        # In this thread: where the server does not answer any more, `__exit__` does not wait for it.
        self._history.look()
        self._record(at_once=True)

    def _beat(self) -> None:
        shards = [worker.shard for worker in self._workers]
        JobStore(self._connected()).runners.heartbeat(
            self._context.runner, [shard for shard in shards if shard is not None], self._crew.size
        )

    def _look(self) -> None:
        connection = self._connected()
        self._throttler.look(connection)
        # All runners look for free connections at the same time, and find the same ones.
        each = _WORKER_CONNECTIONS * self._throttler.sharing
        if self._crew.resize(
            self._throttler.workers, lambda more: further_workers(connection, more, self._observer, each=each)
        ):
            self._beat()

    def _record(self, *, at_once: bool = False) -> None:
        # The job does not depend on its history, so errors are ignored.
        with suppress(psycopg.Error, FluxbaseCliError):
            self._history.record(self._connected(), at_once=at_once)

    def _connected(self) -> Connection:
        if self._connection is None or self._connection.closed:
            connection = connect(self._context.database)
            try:
                # This session looks after the others. So it must not wait for a synchronous standby, as they may.
                connection.execute("SET synchronous_commit = local")
                JobStore(connection).runners.take_lock(self._context.runner)
            except BaseException:
                connection.close()
                raise
            # Kept only with the lock: other runners take a process without it for dead.
            self._connection = connection
        return self._connection


class Pool:
    """Runs workers until the job ends, a worker fails, or a stop is requested.

    Args:
        context: the job.
        workers: how many workers.
        stop: stops the workers. The pool requests it when a worker fails.
        observer: gets the events of the workers.
        at_first: how many workers begin at once; None for all. The others begin a moment later. A small job has ended
            by then, and another one is not held up by a worker that waits for a lock.
        reported: gets the events of the throttler: changed control settings, and reasons for waiting. None means the
            observer.
    """

    def __init__(  # noqa: PLR0913  # what a pool needs
        self,
        context: RunContext,
        workers: int,
        stop: Stop,
        observer: Observer,
        *,
        at_first: int | None = None,
        reported: Observer | None = None,
    ) -> None:
        self._stop = stop
        self._at_first = at_first
        self._failures: list[BaseException] = []
        catch_up = CatchUp(context, stop, observer, LockPatience(context.request.retry_limit_s))
        throttler = Throttler(
            context.job, workers, context.batch_policy, stop=stop, observer=reported or observer, runner=context.runner
        )
        crew = Crew(workers, reported or observer)
        history = JobHistory(context.job, context.runner, throttler)
        noted = Several(observer, history)
        self._crew = crew
        # The worker processes leave the VACUUM to the first one.
        shared = context if reported is None else replace(context, vacuumed=())
        self._vacuum = ToastVacuum(shared, throttler, stop, observer)

        def new_worker(number: int) -> Worker:
            return Worker(number, context, stop, noted, catch_up, throttler, crew)

        self._new_worker = new_worker
        self._workers: list[Worker] = []
        self._threads: list[threading.Thread] = []
        commits = CommitWatch(context.database, reported or observer)
        self._heartbeat = Heartbeat(
            context, throttler, self._workers, commits, history, crew, stop, reported or observer
        )

    def run(self) -> None:
        """Work until the end.

        Raises:
            Exception: the first error of a worker, if retries did not help. The other workers have finished their
                batches.
        """
        with self._heartbeat, self._vacuum, _rare_collections():
            self._complete(self._at_first)
            self._join()
        if self._failures:
            raise self._failures[0]

    def _complete(self, most: int | None = None) -> None:
        """Begin the workers that are missing, but not more than this: later also those that `secrets tune` asks for."""
        while (most is None or len(self._workers) < most) and (number := self._crew.join()) is not None:
            worker = self._new_worker(number)
            thread = threading.Thread(target=self._body, args=(worker,), name=f"worker-{number}", daemon=True)
            self._workers.append(worker)
            self._threads.append(thread)
            thread.start()

    def _body(self, worker: Worker) -> None:
        try:
            worker.run()
        except BaseException as error:  # noqa: BLE001  # handed to the main thread
            # After a stop was requested, an error is not a failure: it comes from a statement that we cancelled, or
            # from a wait that was ended.
            if not self._stop.requested:
                self._failures.append(error)
            self._stop.request()

    def _join(self) -> None:
        later = time.monotonic() + _LATER_S
        stop_seen_at: float | None = None
        while any(thread.is_alive() for thread in self._threads):
            for thread in self._threads:
                # Short waits, so that the main thread can handle signals.
                thread.join(0.1)
            if not self._stop.requested:
                if time.monotonic() >= later:
                    self._complete()
                continue
            stop_seen_at = stop_seen_at or time.monotonic()
            waited = time.monotonic() - stop_seen_at
            if waited > _ABANDON_S:
                return
            if waited > _GRACE_S:
                for worker in self._workers:
                    worker.cancel()


@contextmanager
def _rare_collections() -> Iterator[None]:
    """Let Python look for reference cycles rarely.

    A batch makes a few tuples for each value, and no cycles. By default Python looks for cycles after every 700 tuples,
    and this took a tenth of the whole run. The new threshold is higher than the number of objects that all workers hold
    at once. So cycles that accumulate are still found.
    """
    before = gc.get_threshold()
    gc.set_threshold(500_000, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
