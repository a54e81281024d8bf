"""The workers of a pool: how many there are, and which of them may work now.

`secrets tune --concurrency` changes the number while they work. A worker that is one too many gives its shard back,
closes its connection and waits. One that gets no connection leaves, as long as others continue.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from fluxbase_cli.engine.events import Message, Observer
from fluxbase_cli.log_events import LogEvent


class Crew:
    """Counts the workers of a pool, from all their threads.

    Args:
        workers: how many begin.
        observer: gets one message when the first one leaves.
    """

    def __init__(self, workers: int, observer: Observer) -> None:
        self._wanted = workers
        self._size = workers
        self._joined = 0
        self._present: list[int] = []
        self._observer = observer
        self._lock = threading.Lock()
        self._news = threading.Condition()
        self._told = False
        self._ended = False

    @property
    def size(self) -> int:
        """How many workers may work now; 0 if other runners do all of the work."""
        return self._size

    @property
    def ended(self) -> bool:
        """Whether a worker has found that the job has ended."""
        return self._ended

    def end(self) -> None:
        """Note that the job has ended, so that no worker waits any more."""
        self._ended = True
        self.wake()

    def wake(self) -> None:
        """End the waiting of all workers: there is work, or the job has ended."""
        with self._news:
            self._news.notify_all()

    def wait(self, seconds: float) -> None:
        """Wait for this time at most, or until another worker has found work, or the end of the job."""
        with self._news:
            if not self._ended:
                self._news.wait(seconds)

    def resize(self, wanted: int, free: Callable[[int], int]) -> bool:
        """Change how many workers may work. The same number again changes nothing.

        Args:
            wanted: how many.
            free: is called with a number of further workers, and returns how many of them may have connections.

        Returns:
            Whether anything has changed.
        """
        if wanted == self._wanted:
            return False
        self._wanted = wanted
        # Counted outside the lock: it asks the database.
        more = wanted - self._size
        allowed = free(more) if more > 0 else more
        with self._lock:
            self._size += allowed
        return True

    def join(self) -> int | None:
        """Return the number of a further worker that is to begin; None if there are enough.

        Also a crew without work has one worker, which waits for the end of the job or for work.
        """
        with self._lock:
            if self._ended or len(self._present) >= max(1, self._size):
                return None
            self._joined += 1
            self._present.append(self._joined)
            return self._joined

    def may_work(self, number: int) -> bool:
        """Whether a worker may work now. The longest present ones may."""
        with self._lock:
            return number in self._present[: self._size]

    def leave(self, number: int, why: str) -> bool:
        """Leave for want of a connection, unless this is the last worker that works: that one waits for a connection.

        Args:
            number: the worker.
            why: why there is no connection, for the message.

        Returns:
            Whether the worker must leave.
        """
        with self._lock:
            if min(len(self._present), self._size) <= 1:
                return False
            self._present.remove(number)
            # Nobody is to take its place at once, as there are no connections.
            self._size = min(self._size - 1, len(self._present))
            told, self._told = self._told, True
        if not told:
            self._observer.notify(
                Message(
                    LogEvent.JOB_CONNECTIONS,
                    f"not enough connections ({why}); continuing with those that there are",
                    warning=True,
                )
            )
        return True
