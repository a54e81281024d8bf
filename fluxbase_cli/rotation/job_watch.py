"""Watches the job of a running rotation, so that metrics show its progress at each moment."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime

from fluxbase_cli.engine.events import BatchDone, Event, Message, PassStarted, Waiting
from fluxbase_cli.log_events import LogEvent
from fluxbase_cli.rotation.figures import JobFigures


class JobWatch:
    """An observer of the engine that knows how far the job is.

    Args:
        clock: the current time.
    """

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._progress_at: datetime | None = None
        self._rows: dict[str, int] = {}
        self._done: dict[str, int] = {}
        self._values = 0
        self._paused = False

    def notify(self, event: Event) -> None:
        """Take note of passes, batches and pauses."""
        with self._lock:
            if isinstance(event, Waiting) and event.paused:
                self._paused = True
            elif isinstance(event, Message) and event.event is LogEvent.JOB_CONTINUED:
                # A batch is no sign that the pause has ended: those in progress are still committed.
                self._paused = False
            if not isinstance(event, (PassStarted, BatchDone)):
                return
            self._progress_at = self._clock()
            if isinstance(event, BatchDone):
                self._values += sum(counts.scanned for counts in event.counts.values())
                if event.pass_number == 0:
                    self._done[event.table] = self._done.get(event.table, 0) + event.rows
            elif event.number == 0:
                # Each column of a table has the same number of rows.
                self._rows = {location.rpartition(".")[0]: rows for location, rows in event.rows.items()}
                self._done = {location.rpartition(".")[0]: rows for location, rows in event.done.items()}
                self._values = 0

    def reset(self) -> None:
        """Forget the job: it has ended."""
        with self._lock:
            self._progress_at = None
            self._paused = False

    def figures(self) -> JobFigures | None:
        """The job as it is now; None if none runs."""
        with self._lock:
            if self._progress_at is None:
                return None
            ratio = min(0.99, sum(self._done.values()) / max(sum(self._rows.values()), 1))
            return JobFigures(
                unfinished=True,
                paused=self._paused,
                progress_at=self._progress_at,
                ratio=ratio,
                values=self._values,
            )
