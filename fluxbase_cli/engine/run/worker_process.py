"""Further processes that work on a job beside this one.

Python runs one thread at a time, so all of a process's workers together keep one processor busy at most, and the server
waits for them. A worker process is a runner of the job, like any other that joins it: it has its leases, its heartbeat
and its share of the rate. If it ends early, the other runners take over its shards.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

import psycopg

from fluxbase_cli.engine.events import BatchStep, Event, Message, NullObserver, Observer, Waiting
from fluxbase_cli.engine.further_process import (
    PipeSender,
    become_further_process,
    follow_first_process,
    processors,
)
from fluxbase_cli.engine.run.context import RunContext
from fluxbase_cli.engine.run.pool import Pool
from fluxbase_cli.engine.stop import Stop
from fluxbase_cli.errors import FluxbaseCliError
from fluxbase_cli.log_events import LogEvent
from fluxbase_cli.seal import ReopenError
from fluxbase_cli.store.connection import connect, failure_text
from fluxbase_cli.store.jobs import JobStore

if TYPE_CHECKING:
    import multiprocessing
    from multiprocessing.connection import Connection as Pipe

#: A process is worth its beginning and its end (its fork, its sessions) if it has so many values.
VALUES_A_PROCESS = 10_000
#: How often the pipe to the worker process is read, in seconds: a stop reaches it within this time.
_LOOK_S = 0.1
#: How long the worker process may take to end after the first one has done its part, in seconds. It may be frozen.
_END_S = 20.0
#: The same after a stop was requested. It cancels its own statements before.
_STOP_S = 4.0
#: After this time it is said that the worker process is waited for, in seconds.
_REPORT_S = 3.0


def share_workers(values: int, workers: int) -> tuple[int, ...]:
    """Divide workers among processes: as many as there are processors, workers, and values for.

    Args:
        values: sealed values of the job.
        workers: all workers.

    Returns:
        The workers of each process, at least one. The first process is this one.
    """
    processes = max(1, min(processors(), workers, values // VALUES_A_PROCESS))
    least, more = divmod(workers, processes)
    return tuple(least + (number < more) for number in range(processes))


def describe_failure(error: Exception) -> str | None:
    """What a job's report may say of an error that ended its workers; None for an error that must be raised."""
    if isinstance(error, psycopg.Error):
        return failure_text(error)
    if isinstance(error, ReopenError):
        return "a value sealed again did not open to the same plaintext; it was not written (is this machine faulty?)"
    return None


@dataclass(frozen=True, slots=True)
class _Failed:
    """An error ended the workers of the worker process.

    Attributes:
        reason: what the job's report says of it.
        error: the error itself where it is one for the user; it keeps its hint and its exit code.
    """

    reason: str
    error: FluxbaseCliError | None = None


class WorkerProcesses:
    """Forked processes that run for the length of a block.

    Enter the block before this process has connections and workers. Otherwise both processes would read from the same
    connection, and both would use the same random nonces that a worker keeps ready.

    Args:
        context: the job; each worker process becomes a runner with a different number.
        workers: how many workers each worker process has; empty for no process.
        stop: is passed on to the worker processes; is requested when their workers fail.
        observer: receives the events of the worker processes.
    """

    def __init__(self, context: RunContext, workers: Sequence[int], stop: Stop, observer: Observer) -> None:
        self._context = context
        self._stop = stop
        self._workers = workers
        self._observer = observer
        self._processes: list[_WorkerProcess] = []

    def __enter__(self) -> Self:
        if not self._workers:
            return self
        import multiprocessing  # noqa: PLC0415  # start-up time; only a large job has further processes

        fork = multiprocessing.get_context("fork")
        pipes = [fork.Pipe() for _ in self._workers]
        started = []
        # All are forked before there are threads that read from the pipes: a fork copies the locks that others hold.
        for (_, theirs), workers in zip(pipes, self._workers, strict=True):
            # A process that kept an end of another's pipe would hide from that one that this process is gone.
            others = [end for pipe in pipes for end in pipe if end is not theirs and not end.closed]
            process = fork.Process(
                target=_run_in_fork, args=(theirs, others, self._context, workers), name="worker-process", daemon=True
            )
            process.start()
            theirs.close()
            started.append(process)
        self._processes = [
            _WorkerProcess(process, ours, self._stop, self._observer)
            for process, (ours, _) in zip(started, pipes, strict=True)
        ]
        return self

    def __exit__(self, kind: type[BaseException] | None, *_exception: object) -> None:
        if kind is not None:
            self._stop.request()
        for process in self._processes:
            process.wait_for_end()
        errors = [process.error for process in self._processes if process.error is not None]
        if kind is None and errors:
            raise errors[0]

    @property
    def failure(self) -> str | None:
        """Why the workers of a process have failed; None if they have not."""
        return next((process.failure for process in self._processes if process.failure is not None), None)


class _WorkerProcess:
    """One worker process, as the first process sees it.

    Args:
        process: the process, which runs.
        pipe: to it.
        stop: as for `WorkerProcesses`.
        observer: as for `WorkerProcesses`.
    """

    def __init__(
        self, process: multiprocessing.process.BaseProcess, pipe: Pipe, stop: Stop, observer: Observer
    ) -> None:
        self._stop = stop
        self._observer = observer
        self._process = process
        self._killed = False
        self.failure: str | None = None
        self.error: FluxbaseCliError | None = None
        self._thread = threading.Thread(target=self._listen, args=(pipe, process), name="worker-process", daemon=True)
        self._thread.start()

    def wait_for_end(self) -> None:
        """Wait until the worker process has ended. If it does not, kill it: only its batches in progress are lost."""
        began, reported = time.monotonic(), False
        stopped_at: float | None = None
        while self._thread.is_alive():
            # In short steps, so that this process handles signals meanwhile.
            self._thread.join(_LOOK_S)
            now = time.monotonic()
            if self._stop.requested:
                stopped_at = stopped_at or now
            if now - began > _REPORT_S and not reported:
                reported = True
                self._observer.notify(Waiting(f"the end of the worker process (process {self._process.pid})", None))
            late = now - began > _END_S or (stopped_at is not None and now - stopped_at > _STOP_S)
            if late and not self._killed:
                self._killed = True
                self._process.kill()

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
            # The worker process has ended.
            process.join()
        finally:
            pipe.close()
        if process.exitcode and self.failure is None:
            text = "did not end, and was killed" if self._killed else "was ended from outside; continuing without it"
            self._observer.notify(Message(LogEvent.JOB_WORKER_PROCESS, f"the worker process {text}", warning=True))

    def _take(self, event: Event | _Failed) -> None:
        if isinstance(event, _Failed):
            self.failure, self.error = event.reason, event.error
            self._stop.request()
        else:
            self._observer.notify(event)


# --- in the worker process --------------------------------------------------------------------------------------------


def _run_in_fork(
    pipe: Pipe, others: Sequence[Pipe], context: RunContext, workers: int
) -> None:  # pragma: no cover  # in a fork
    become_further_process(others)
    stop, sender = Stop(), _Sender(pipe)
    follow_first_process(pipe, stop)
    try:
        _work(context, workers, stop, sender)
    except Exception as error:  # noqa: BLE001  # told to the first process
        reported = error if isinstance(error, FluxbaseCliError) else None
        sender.send(_Failed(describe_failure(error) or type(error).__name__, reported))
    finally:
        # Run none of the exit handlers of the first process: its threads may have held locks when it forked.
        os._exit(0)


def _work(context: RunContext, workers: int, stop: Stop, sender: _Sender) -> None:  # pragma: no cover
    try:
        with connect(context.database) as connection:
            runner = JobStore(connection).runners.register(context.job, workers)
    except psycopg.Error as error:
        sender.notify(
            Message(
                LogEvent.JOB_WORKER_PROCESS,
                f"the worker process could not begin ({describe_failure(error)}); continuing without it",
                warning=True,
            )
        )
        return
    try:
        # Both processes read the control settings of the job; only the first one reports them.
        Pool(replace(context, runner=runner), workers, stop, sender, reported=NullObserver()).run()
    finally:
        with connect(context.database) as connection:
            JobStore(connection).runners.end(context.job, runner)


class _Sender(PipeSender):  # pragma: no cover
    """Sends events to the first process, but those of batches, which only this process needs."""

    def notify(self, event: Event) -> None:
        if not isinstance(event, BatchStep):
            self.send(event)
