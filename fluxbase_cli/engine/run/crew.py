"""The workers of a pool that have a connection. One that gets none leaves, as long as others continue."""

from __future__ import annotations

import threading

from fluxbase_cli.engine.events import Message, Observer
from fluxbase_cli.log_events import LogEvent


class Crew:
    """Counts the workers of a pool.

    Args:
        workers: how many begin.
        observer: gets one message when the first one leaves.
    """

    def __init__(self, workers: int, observer: Observer) -> None:
        self._present = workers
        self._observer = observer
        self._lock = threading.Lock()
        self._told = False

    def leave(self, why: str) -> bool:
        """Leave for want of a connection, unless this is the last worker: that one waits for a connection.

        Args:
            why: why there is no connection, for the message.

        Returns:
            Whether the worker must leave.
        """
        with self._lock:
            if self._present <= 1:
                return False
            self._present -= 1
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
