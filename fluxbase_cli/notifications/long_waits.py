"""Notifies about a wait of a job that lasts long: once for each such wait."""

from __future__ import annotations

import threading
from collections.abc import Callable

from fluxbase_cli.engine.events import BatchDone, Event, Message, PassStarted, Waiting
from fluxbase_cli.log_events import LogEvent


class LongWaits:
    """An observer of the engine. It says what is waited for if nothing is done for a while.

    A batch or a pass ends the wait. The next long wait is told again.

    Args:
        say: called with the newest reason, from another thread.
        long_s: how long nothing must have been done until a wait is told, in seconds.
    """

    def __init__(self, say: Callable[[str], None], *, long_s: float) -> None:
        self._say = say
        self._long_s = long_s
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None
        self._reason = ""

    def notify(self, event: Event) -> None:
        """Take note of an event."""
        if isinstance(event, Waiting):
            with self._lock:
                self._reason = event.reason
                if self._timer is None:
                    self._timer = threading.Timer(self._long_s, self._tell)
                    # A wait must not keep the program from ending.
                    self._timer.daemon = True
                    self._timer.start()
        elif isinstance(event, (BatchDone, PassStarted)) or (
            isinstance(event, Message) and event.event is LogEvent.JOB_CONTINUED
        ):
            self.close()

    def close(self) -> None:
        """The wait has ended."""
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = None

    def _tell(self) -> None:
        with self._lock:
            if self._timer is not threading.current_thread():
                # The wait ended just now.
                return
            # The timer is kept: this wait is not told again.
            reason = self._reason
        self._say(reason)
