"""The worker pool of one process: its threads, its heartbeat, and how it stops."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Self

import psycopg

from fluxbase_cli.engine.events import Observer
from fluxbase_cli.engine.run.catch_up import CatchUp
from fluxbase_cli.engine.run.context import RunContext
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


class Heartbeat:
    """Holds the lock that says "alive", renews leases, reads the control settings, keeps autovacuum away."""

    def __init__(self, context: RunContext, throttler: Throttler, workers: Sequence[Worker]) -> None:
        self._context = context
        self._workers = workers
        self._throttler = throttler
        self._hold_off = AutovacuumLock(context.database, context.access, context.large_relations())
        self._connection: Connection | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def __enter__(self) -> Self:
        # Before any shard is taken: without the lock others would think us dead and take it back.
        self._beat()
        self._look()
        self._hold_off.look(wanted=not self._throttler.waiting)
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._ended.set()
        self._thread.join(5.0)
        self._hold_off.close()
        if self._connection is not None:
            self._connection.close()

    def _run(self) -> None:
        beaten = time.monotonic()
        while not self._ended.wait(_LOOK_S):
            # While the server is away there is nothing to hold; the workers decide how long to wait for it.
            with suppress(psycopg.Error, FluxbaseCliError):
                if time.monotonic() - beaten >= _HEARTBEAT_S:
                    self._beat()
                    beaten = time.monotonic()
                    self._throttler.check_wal(self._connected())
                self._look()
            self._hold_off.look(wanted=not self._throttler.waiting)

    def _beat(self) -> None:
        in_hand = [worker.shard for worker in self._workers]
        JobStore(self._connected()).runners.heartbeat(
            self._context.runner, (shard for shard in in_hand if shard is not None)
        )

    def _look(self) -> None:
        self._throttler.look(self._connected())

    def _connected(self) -> Connection:
        if self._connection is None or self._connection.closed:
            self._connection = connect(self._context.database)
            JobStore(self._connection).runners.take_lock(self._context.runner)
        return self._connection


class Pool:
    """Runs a number of workers until the job ends, one fails, or a stop is asked for.

    Args:
        context: the job.
        workers: how many.
        stop: ends them; is requested when one fails.
        observer: is told what they do.
        told: is told what operators ask of the job, and what it waits for then; the observer when left out.
    """

    def __init__(
        self, context: RunContext, workers: int, stop: Stop, observer: Observer, *, told: Observer | None = None
    ) -> None:
        self._stop = stop
        self._failures: list[BaseException] = []
        catch_up = CatchUp(context, stop, observer)
        throttler = Throttler(context.job, workers, context.batch_policy, stop=stop, observer=told or observer)
        self._workers = [Worker(context, stop, observer, catch_up, throttler) for _ in range(workers)]
        self._heartbeat = Heartbeat(context, throttler, self._workers)

    def run(self) -> None:
        """Work until the end.

        Raises:
            Exception: the first error that a retry did not solve; the other workers have finished their batches.
        """
        threads = [
            threading.Thread(target=self._body, args=(worker,), name=f"worker-{number}", daemon=True)
            for number, worker in enumerate(self._workers, 1)
        ]
        with self._heartbeat, _rare_collections():
            for thread in threads:
                thread.start()
            self._join(threads)
        if self._failures:
            raise self._failures[0]

    def _body(self, worker: Worker) -> None:
        try:
            worker.run()
        except BaseException as error:  # noqa: BLE001  # handed to the main thread
            # A statement that we cancelled ourselves, or a wait cut short, is not a failure but the stop.
            if not self._stop.requested:
                self._failures.append(error)
            self._stop.request()

    def _join(self, threads: list[threading.Thread]) -> None:
        asked: float | None = None
        while any(thread.is_alive() for thread in threads):
            for thread in threads:
                # In short steps, so that the main thread handles signals meanwhile.
                thread.join(0.1)
            if not self._stop.requested:
                continue
            asked = asked or time.monotonic()
            if time.monotonic() - asked > _GRACE_S:
                for worker in self._workers:
                    worker.cancel()


@contextmanager
def _rare_collections() -> Iterator[None]:
    """Have Python look for reference cycles rarely.

    A batch makes a few tuples for each value, and no cycles: by default they set off a collection every 700 tuples,
    which cost a tenth of the whole run. The threshold is beyond what all workers hold at once, so that what does pile
    up is found all the same.
    """
    before = gc.get_threshold()
    gc.set_threshold(500_000, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
