"""Writes what a command waits for. The same reason is written once, and then now and then with how often it came."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from fluxbase_cli.engine.events import Waiting
from fluxbase_cli.log_events import LogEvent
from fluxbase_cli.report.messages import Messages

#: The same reason is written again after so many seconds. If it did not come for so long, it counts as a new one.
_AGAIN_S = 30.0


@dataclass(slots=True)
class _Reason:
    """A reason that came before. Times are those of the clock, in seconds."""

    times: int
    written_at: float
    came_at: float


class WaitMessages:
    """Writes waits. Many workers may wait for the same reason, each of them many times.

    Args:
        messages: where to.
        clock: the time in seconds.
    """

    def __init__(self, messages: Messages, clock: Callable[[], float] = time.monotonic) -> None:
        self._messages = messages
        self._clock = clock
        self._reasons: dict[str, _Reason] = {}
        # Reentrant: a signal handler may write a message while this thread has the lock.
        self._lock = threading.RLock()

    def write(self, event: Waiting) -> None:
        """Write the wait, unless its reason was written a short time ago."""
        times = self._count(event.reason)
        if times is None:
            return
        how_long = "" if event.seconds is None else f" {event.seconds:.1f}s"
        text = f"waiting{how_long}: {event.reason}" if times == 1 else f"still waiting ({times} times): {event.reason}"
        self._messages.warn(
            LogEvent.JOB_WAITING,
            text,
            waiting_seconds=None if event.seconds is None else round(event.seconds, 3),
            times=times,
        )

    def _count(self, reason: str) -> int | None:
        """How often the reason came, if that should be written now."""
        with self._lock:
            now = self._clock()
            found = self._reasons.get(reason)
            if found is None or now - found.came_at > _AGAIN_S:
                self._reasons[reason] = _Reason(1, now, now)
                return 1
            found.times += 1
            found.came_at = now
            if now - found.written_at < _AGAIN_S:
                return None
            found.written_at = now
            return found.times
