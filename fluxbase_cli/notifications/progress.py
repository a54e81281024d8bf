"""Makes notifications from the events of the engine: progress, and waiting with its reason."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Mapping

from fluxbase_cli.engine.events import BatchDone, Event, PassStarted, Waiting
from fluxbase_cli.notifications.message import NotificationType

_PERCENT_STEP = 10
_INTERVAL_S = 60.0
_NUMBERS = re.compile(r"[0-9.,]+")

Say = Callable[[NotificationType, str, Mapping[str, object]], None]


class ProgressNotifications:
    """Notifies about the progress of the main pass and about waiting.

    Progress is reported after every 10%, and at most once a minute. A reason for waiting is reported at most once a
    minute.

    Args:
        say: called with the kind, the message and the details.
        clock: a monotonic clock, in seconds.
    """

    def __init__(self, say: Say, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._say = say
        self._clock = clock
        self._lock = threading.Lock()
        self._rows = 0
        self._done = 0
        self._reported = 0
        self._next_progress = clock() + _INTERVAL_S
        self._next_waiting: dict[str, float] = {}

    def notify(self, event: Event) -> None:
        """Handle an event."""
        with self._lock:
            if isinstance(event, PassStarted) and event.number == 0:
                self._rows = sum(_by_table(event.rows).values())
                self._done = sum(_by_table(event.done).values())
                self._reported = self._percent // _PERCENT_STEP
            elif isinstance(event, BatchDone) and event.pass_number == 0:
                self._done += event.rows
                self._progress()
            elif isinstance(event, Waiting):
                self._waiting(event)

    @property
    def _percent(self) -> int:
        return min(99, 100 * self._done // max(self._rows, 1))

    def _progress(self) -> None:
        reached = self._percent // _PERCENT_STEP
        if reached > self._reported and self._clock() >= self._next_progress:
            self._reported = reached
            self._next_progress = self._clock() + _INTERVAL_S
            percent = reached * _PERCENT_STEP
            self._say(
                NotificationType.PROGRESS,
                f"Re-encryption: {percent}% done",
                {"percent": percent, "rows_done": self._done, "rows": self._rows},
            )

    def _waiting(self, event: Waiting) -> None:
        # The numbers in a reason change all the time. The same reason with other numbers is not a new reason.
        kind = _NUMBERS.sub("", event.reason)
        if self._clock() >= self._next_waiting.get(kind, 0.0):
            self._next_waiting[kind] = self._clock() + _INTERVAL_S
            self._say(NotificationType.WAITING, f"Waiting: {event.reason}", {"reason": event.reason})


def _by_table(rows: Mapping[str, int]) -> Mapping[str, int]:
    """The rows of each table. `rows` has an entry with the same number for each column of a table."""
    return {location.rpartition(".")[0]: number for location, number in rows.items()}
