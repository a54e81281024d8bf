"""A second process that works on a job beside this one.

Python runs one thread at a time, so all of a process's workers together keep one processor busy at most, and the server
waits for them. The helper is a runner of the job like any other that joins it: it has leases, a heartbeat and a share
of the rate of its own, and whatever happens to it the other runners go on with what it leaves.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection as Pipe
from typing import Self

import psycopg

from fluxbase_cli.engine.events import BatchStep, Event, Message, NullObserver, Observer
from fluxbase_cli.engine.run.context import RunContext
from fluxbase_cli.engine.run.pool import Pool
from fluxbase_cli.engine.stop import Stop
from fluxbase_cli.seal import ReopenError
from fluxbase_cli.store.connection import connect, first_line
from fluxbase_cli.store.jobs import JobStore

#: Fewer rows are done before a second process pays.
MANY_ROWS = 100_000
#: How often the helper's pipe is looked at, in seconds: a stop reaches it within that.
_LOOK_S = 0.1


def second_process_workers(rows: int, workers: int) -> int:
    """How many of a runner's workers should be a helper's; 0 where a helper does not pay, or can't be had.

    Args:
        rows: rows of the job.
        workers: all of them.
    """
    # A fork is safe only where no system library keeps threads of its own, as macOS' do.
    if rows < MANY_ROWS or not sys.platform.startswith("linux") or len(os.sched_getaffinity(0)) < 2:  # noqa: PLR2004
        return 0
    return workers // 2


def describe_failure(error: Exception) -> str | None:
    """What a job's report may say of an error that ended its workers; None for one that must not be swallowed."""
    if isinstance(error, psycopg.Error):
        return f"{type(error).__name__}: {first_line(error)}"
    if isinstance(error, ReopenError):
        return "a value sealed anew did not open to the same plaintext; it was not written (is this machine sound?)"
    return None


@dataclass(frozen=True, slots=True)
class _Failed:
    """The helper's workers were ended by an error."""

    reason: str


class WorkerProcess:
    """A forked process for the length of a block; with no workers, none.

    To be entered before this process has connections and workers: of a connection both would read, and of the random
    nonces that a worker has in stock both would use the same.

    Args:
        context: the job; the second process becomes a runner with a number of its own.
        workers: how many the helper has.
        stop: reaches the helper too; is requested when its workers fail.
        observer: is told what the helper does.
    """

    def __init__(self, context: RunContext, workers: int, stop: Stop, observer: Observer) -> None:
        self._context = context
        self._workers = workers
        self._stop = stop
        self._observer = observer
        self._thread: threading.Thread | None = None
        self.failure: str | None = None

    def __enter__(self) -> Self:
        if not self._workers:
            return self
        fork = multiprocessing.get_context("fork")
        ours, theirs = fork.Pipe()
        process = fork.Process(
            target=_help, args=(theirs, ours, self._context, self._workers), name="helper", daemon=True
        )
        process.start()
        theirs.close()
        self._thread = threading.Thread(target=self._listen, args=(ours, process), name="helper", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_exception: object) -> None:
        if kind is not None:
            self._stop.request()
        # In short steps, so that signals are handled meanwhile.
        while self._thread is not None and self._thread.is_alive():
            self._thread.join(_LOOK_S)

    def _listen(self, pipe: Pipe, process: multiprocessing.process.BaseProcess) -> None:
        asked = False
        try:
            while True:
                if self._stop.requested and not asked:
                    asked = True
                    pipe.send(None)
                if pipe.poll(_LOOK_S):
                    self._take(pipe.recv())
        except (EOFError, OSError):
            # It has ended, one way or another.
            process.join()
        finally:
            pipe.close()
        if process.exitcode and self.failure is None:
            self._observer.notify(
                Message("the helper process was ended from outside; going on without it", warning=True)
            )

    def _take(self, event: Event | _Failed) -> None:
        if isinstance(event, _Failed):
            self.failure = event.reason
            self._stop.request()
        else:
            self._observer.notify(event)


# --- in the helper ----------------------------------------------------------------------------------------------------


def _help(pipe: Pipe, others: Pipe, context: RunContext, workers: int) -> None:  # pragma: no cover  # in a fork
    others.close()
    # A terminal signals all its processes; the first one says what is to be done.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    stop = Stop()
    threading.Thread(target=_follow_parent, args=(pipe, stop), name="obey", daemon=True).start()
    sender = _Sender(pipe)
    try:
        _work(context, workers, stop, sender)
    except Exception as error:  # noqa: BLE001  # told to the first process
        sender.send(_Failed(describe_failure(error) or type(error).__name__))
    finally:
        # Not through what the first process wants done at its own end, with locks that its threads may have held.
        os._exit(0)


def _work(context: RunContext, workers: int, stop: Stop, sender: _Sender) -> None:  # pragma: no cover
    try:
        with connect(context.database) as connection:
            runner = JobStore(connection).runners.register(context.job, workers)
    except psycopg.Error as error:
        sender.notify(
            Message(
                f"the helper process could not begin ({describe_failure(error)}); going on without it", warning=True
            )
        )
        return
    try:
        # What is asked of the job is asked of both; one of them telling it is enough.
        Pool(replace(context, runner=runner), workers, stop, sender, told=NullObserver()).run()
    finally:
        with connect(context.database) as connection:
            JobStore(connection).runners.end(context.job, runner)


def _follow_parent(pipe: Pipe, stop: Stop) -> None:  # pragma: no cover
    """Stop when the first process says so; when it is gone, go at once, as its own workers have."""
    try:
        while True:
            pipe.recv()
            stop.request()
    except (EOFError, OSError):
        os._exit(1)


class _Sender:  # pragma: no cover
    """Tells the first process what happens."""

    def __init__(self, pipe: Pipe) -> None:
        self._pipe = pipe
        self._lock = threading.Lock()

    def notify(self, event: Event) -> None:
        if not isinstance(event, BatchStep):
            self.send(event)

    def send(self, event: Event | _Failed) -> None:
        with self._lock:
            self._pipe.send(event)
