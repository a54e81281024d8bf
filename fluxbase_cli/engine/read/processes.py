"""Further processes that read parts of the tables beside this one.

Python runs one thread at a time, so all threads of a process together keep one processor busy at most. Each process
takes one part after the other, and at its end reports what it has found. If a process does not report, nobody knows
what was in the parts that it took. Then the full read fails: it never returns a smaller count.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from fluxbase_cli.engine.events import Event, Observer, Waiting
from fluxbase_cli.engine.further_process import PipeSender, become_further_process, follow_first_process
from fluxbase_cli.engine.read.collected import Collected, Findings
from fluxbase_cli.engine.read.range_reader import Part
from fluxbase_cli.engine.read.reading import Reading, explain, read_in_threads
from fluxbase_cli.engine.stop import Stop
from fluxbase_cli.errors import DatabaseError, FluxbaseCliError

if TYPE_CHECKING:
    from multiprocessing.connection import Connection as Pipe
    from multiprocessing.process import BaseProcess

#: A part is named by its index, in so many bytes.
_INDEX_BYTES = 4
#: How many parts there may be: a pipe takes 64 kB before anybody reads from it (Linux' pipe(7)).
MOST_PARTS = 16_000
#: How often the pipe to a process is read, in seconds: a stop reaches it within this time.
_LOOK_S = 0.1
#: How long a process may take to end after a stop was requested, in seconds.
_STOP_S = 4.0
#: After this time it is said that a process is waited for, in seconds.
_REPORT_S = 10.0


@dataclass(frozen=True, slots=True)
class _Begin:
    """What a process is told when it may begin.

    Attributes:
        parts: all parts, of which the pipe has the indexes.
        locations: all locations.
        snapshot: the name of the snapshot.
        threads: how many threads it has.
    """

    parts: Sequence[Part]
    locations: tuple[str, ...]
    snapshot: str
    threads: int


@dataclass(frozen=True, slots=True)
class _Failed:
    """An error ended a process.

    Attributes:
        error: an error for the user.
    """

    error: FluxbaseCliError


class SharedParts:
    """Parts that several processes take from a pipe.

    Args:
        fd: the end of the pipe to read from.
        parts: all parts.
    """

    def __init__(self, fd: int, parts: Sequence[Part]) -> None:
        self._fd = fd
        self._parts = parts

    def take(self) -> Part | None:
        """The next part, which no other reader gets; None if none is left. Called from any thread."""
        # A pipe gives each byte to one reader, and what was written together stays in order.
        index = os.read(self._fd, _INDEX_BYTES)
        return self._parts[int.from_bytes(index, "big")] if index else None


class ReadingProcesses:
    """Forked processes that run for the length of a block.

    Enter the block before this process has connections. Otherwise both processes would have the same sockets.

    Args:
        reading: what all readers share. The processes inherit it: keys and passwords go through no pipe.
        number: how many processes; may be 0.
        stop: is passed on to the processes; is requested when one of them fails.
        observer: gets their events.
    """

    def __init__(self, reading: Reading, number: int, stop: Stop, observer: Observer) -> None:
        self._reading = reading
        self._stop = stop
        self._observer = observer
        self._number = number
        self._processes: list[_Process] = []
        #: The pipe with the indexes of the parts: the end to read from, and until they are written the other one.
        self._indexes: tuple[int, ...] | None = None

    def __enter__(self) -> Self:
        if self._number:
            self._indexes = pipe = os.pipe()
            for _ in range(self._number):
                self._processes.append(_Process(self._reading, pipe, self._processes))
        return self

    def __exit__(self, *_exception: object) -> None:
        # A process ends when the pipe to it is closed.
        for process in self._processes:
            process.close()
        for fd in self._indexes or ():
            os.close(fd)

    @property
    def number(self) -> int:
        """How many processes there are besides this one."""
        return len(self._processes)

    @contextmanager
    def reading(
        self, parts: Sequence[Part], locations: tuple[str, ...], snapshot: str, threads: int
    ) -> Iterator[SharedParts | None]:
        """Let the processes read for the length of a block, and wait for their end.

        Args:
            parts: all parts, at most `MOST_PARTS`.
            locations: all locations, as `schema.table.column`.
            snapshot: the name of the snapshot that a session of this process has exported.
            threads: how many threads each process has.

        Yields:
            The parts, for the threads of this process; None if there is no other process.
        """
        if self._indexes is None:
            yield None
            return
        reading_end, writing_end = self._indexes
        begin = _Begin(parts, locations, snapshot, threads)
        for process in self._processes:
            process.begin(begin, self._stop, self._observer)
        try:
            os.write(writing_end, b"".join(index.to_bytes(_INDEX_BYTES, "big") for index in range(len(parts))))
            os.close(writing_end)
            self._indexes = (reading_end,)
            yield SharedParts(reading_end, parts)
        except BaseException:
            self._stop.request()
            raise
        finally:
            for process in self._processes:
                process.wait(self._stop, self._observer)

    def add_to(self, collected: Collected, stop: Stop) -> None:
        """Add what the processes have found.

        Args:
            collected: gets what they have found.
            stop: after it was requested, a result may be missing.

        Raises:
            DatabaseError: a process has ended without a result.
            FluxbaseCliError: an error ended a process.
        """
        for process in self._processes:
            if process.error is not None:
                raise process.error
        for process in self._processes:
            if process.findings is not None:
                collected.merge(process.findings)
            elif process.was_lost or not stop.requested:
                raise DatabaseError(
                    f"a process that read values ended without a result ({process.end}), so this proves nothing",
                    hint="Nothing was written. Run it again. If the system killed it because memory was short, use a "
                    "smaller --concurrency.",
                )


class _Process:
    """One of the processes, as the first process sees it."""

    def __init__(self, reading: Reading, indexes: tuple[int, int], others: Sequence[_Process]) -> None:
        import multiprocessing  # noqa: PLC0415  # start-up time

        fork = multiprocessing.get_context("fork")
        self.pipe, theirs = fork.Pipe()
        close = [self.pipe, *(other.pipe for other in others)]
        self._process: BaseProcess = fork.Process(
            target=_run_in_fork, args=(reading, theirs, close, indexes), name="reading-process", daemon=True
        )
        self._process.start()
        theirs.close()
        self._thread: threading.Thread | None = None
        self.findings: Findings | None = None
        self.error: FluxbaseCliError | None = None
        #: Whether it ended before anybody asked it to stop.
        self.was_lost = False

    @property
    def end(self) -> str:
        """How it ended."""
        code = self._process.exitcode
        if code is not None and code < 0:
            return f"process {self._process.pid}, signal {signal.Signals(-code).name}"
        return f"process {self._process.pid}, exit code {code}"

    def begin(self, begin: _Begin, stop: Stop, observer: Observer) -> None:
        # If it has ended, the thread sees the end of the pipe.
        with suppress(OSError):
            self.pipe.send(begin)
        self._thread = threading.Thread(target=self._listen, args=(stop, observer), name="reading-process", daemon=True)
        self._thread.start()

    def _listen(self, stop: Stop, observer: Observer) -> None:
        asked = False
        try:
            while True:
                if stop.requested and not asked:
                    asked = True
                    self.pipe.send(None)
                if self.pipe.poll(_LOOK_S):
                    self._take(self.pipe.recv(), observer)
        except (EOFError, OSError):
            # The process has ended.
            self._process.join()
        if self.findings is None and not asked:
            # The others need not go on.
            self.was_lost = True
            stop.request()

    def _take(self, event: Event | Findings | _Failed, observer: Observer) -> None:
        if isinstance(event, _Failed):
            self.error = event.error
        elif isinstance(event, Findings):
            self.findings = event
        else:
            observer.notify(event)

    def wait(self, stop: Stop, observer: Observer) -> None:
        began, reported = time.monotonic(), False
        stopped_at: float | None = None
        while self._thread is not None and self._thread.is_alive():
            # In short steps, so that this process handles signals meanwhile.
            self._thread.join(_LOOK_S)
            now = time.monotonic()
            if stop.requested:
                stopped_at = stopped_at or now
            if now - began > _REPORT_S and not reported:
                reported = True
                observer.notify(Waiting(f"the end of process {self._process.pid}, which reads values", None))
            if stopped_at is not None and now - stopped_at > _STOP_S:
                self._process.kill()

    def close(self) -> None:
        self.pipe.close()
        if self._thread is None:
            self._process.join()


# --- in a further process ---------------------------------------------------------------------------------------------


def _run_in_fork(
    reading: Reading, pipe: Pipe, others: Sequence[Pipe], indexes: tuple[int, int]
) -> None:  # pragma: no cover  # in a fork
    become_further_process(others)
    os.close(indexes[1])
    try:
        _read(reading, pipe, indexes[0])
    finally:
        # Run none of the exit handlers of the first process: its threads may have held locks when it forked.
        os._exit(0)


def _read(reading: Reading, pipe: Pipe, indexes: int) -> None:  # pragma: no cover
    try:
        begin: _Begin = pipe.recv()
    except (EOFError, OSError):
        return
    stop, sender = Stop(), _Sender(pipe)
    follow_first_process(pipe, stop)
    collected = Collected(begin.locations)
    try:
        read_in_threads(
            reading,
            SharedParts(indexes, begin.parts),
            begin.threads,
            snapshot=begin.snapshot,
            collected=collected,
            stop=stop,
            observer=sender,
        )
    except Exception as error:  # noqa: BLE001  # told to the first process
        told = explain(error)
        known = (
            told
            if isinstance(told, FluxbaseCliError)
            else DatabaseError(
                f"reading ended early: {type(told).__name__}",
                hint="Nothing was written. Run it again. If that does not help, report it as an error of this tool.",
            )
        )
        sender.send(_Failed(known))
    else:
        if not stop.requested:
            sender.send(collected.findings())


class _Sender(PipeSender):  # pragma: no cover
    """Sends events to the first process."""

    def notify(self, event: Event) -> None:
        self.send(event)
