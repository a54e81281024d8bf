"""Listening to the engine for the notifications: progress, and waiting and what for."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Mapping

from fluxbase_cli.engine.events import BatchDone, Event, Observer, PassStarted, Waiting
from fluxbase_cli.notifications.message import NotificationType

_PERCENT_STEP = 10
_SECONDS_APART = 60.0
_FIGURES = re.compile(r"[0-9.,]+")

Say = Callable[[NotificationType, str, Mapping[str, object]], None]


class Several:
    """Listeners that hear the same."""

    def __init__(self, *observers: Observer) -> None:
        self._observers = observers

    def notify(self, event: Event) -> None:
        """Pass an event on to all."""
        for observer in self._observers:
            observer.notify(event)


class ProgressNotifications:
    """Says how far the main pass is, every 10% and once a minute at most, and what is waited for, as seldom.

    Args:
        say: is called with the kind, the message and the details.
        clock: seconds that only grow.
    """

    def __init__(self, say: Say, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._say = say
        self._clock = clock
        self._lock = threading.Lock()
        self._rows = 0
        self._done = 0
        self._told = 0
        self._next_progress = clock() + _SECONDS_APART
        self._next_waiting: dict[str, float] = {}

    def notify(self, event: Event) -> None:
        """Take note of an event."""
        with self._lock:
            if isinstance(event, PassStarted) and event.number == 0:
                self._rows = sum(_by_table(event.rows).values())
                self._done = sum(_by_table(event.done).values())
                self._told = self._percent // _PERCENT_STEP
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
        if reached > self._told and self._clock() >= self._next_progress:
            self._told = reached
            self._next_progress = self._clock() + _SECONDS_APART
            percent = reached * _PERCENT_STEP
            self._say(
                NotificationType.PROGRESS,
                f"Re-encryption: {percent}% done",
                {"percent": percent, "rows_done": self._done, "rows": self._rows},
            )

    def _waiting(self, event: Waiting) -> None:
        # The figures within a reason change all the time; that alone is not worth another notification.
        kind = _FIGURES.sub("", event.reason)
        if self._clock() >= self._next_waiting.get(kind, 0.0):
            self._next_waiting[kind] = self._clock() + _SECONDS_APART
            self._say(NotificationType.WAITING, f"Waiting: {event.reason}", {"reason": event.reason})


def _by_table(rows: Mapping[str, int]) -> Mapping[str, int]:
    """The rows of each table, of a mapping that names each of its columns."""
    return {location.rpartition(".")[0]: number for location, number in rows.items()}
