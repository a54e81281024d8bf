"""Records a job's history while it runs: how far it is, every few seconds, and what it waits for.

The heartbeat's thread does this over the heartbeat's session. No batch waits for it.
"""

from __future__ import annotations

import threading
import time

from fluxbase_cli.engine.events import Event, Waiting
from fluxbase_cli.engine.throttle.pacing import Clock
from fluxbase_cli.engine.throttle.throttler import Throttler
from fluxbase_cli.store.connection import Connection
from fluxbase_cli.store.samples import EVERY_S, SampleStore, WaitCause, Waits

#: A sample may take this share of the time at most. With very many shards it takes longer than usual.
_MOST_SHARE = 0.01


class JobHistory:
    """Adds samples and waits to the progress tables. It is an observer: it counts attempts that are made again.

    Args:
        job, runner: their numbers.
        throttler: says what the runner waits for.
        clock: returns the time in seconds.
    """

    def __init__(self, job: int, runner: int, throttler: Throttler, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._job = job
        self._runner = runner
        self._throttler = throttler
        self._lock = threading.Lock()
        self._waits: dict[WaitCause, Waits] = {}
        self._waiting_for: WaitCause | None = None
        self._looked_at = self._clock()
        self._next_at = 0.0

    def notify(self, event: Event) -> None:
        """Count an attempt that failed and is made again."""
        if isinstance(event, Waiting) and event.seconds is not None:
            self._add(WaitCause.RETRY, 1, event.seconds)

    def look(self) -> None:
        """Note what the runner waits for now. Called about once a second."""
        now, cause = self._clock(), self._throttler.waits_for
        if self._waiting_for is not None:
            self._add(self._waiting_for, 0, now - self._looked_at)
        if cause is not None and cause is not self._waiting_for:
            self._add(cause, 1, 0.0)
        self._waiting_for, self._looked_at = cause, now

    def record(self, connection: Connection, *, at_once: bool = False) -> None:
        """Write down what was noted, and add a sample if it is time for one.

        Raises:
            psycopg.Error: what was noted is written the next time.
        """
        began = self._clock()
        if not at_once and began < self._next_at:
            return
        store = SampleStore(connection)
        store.add(self._job, at_once=at_once)
        for cause in WaitCause:
            with self._lock:
                waits = self._waits.pop(cause, None)
            if waits is None:
                continue
            try:
                store.add_wait(self._job, self._runner, waits)
            except Exception:
                self._add(cause, waits.times, waits.seconds)
                raise
        now = self._clock()
        self._next_at = now + max(EVERY_S, (now - began) / _MOST_SHARE) - EVERY_S / 10

    def _add(self, cause: WaitCause, times: int, seconds: float) -> None:
        with self._lock:
            known = self._waits.get(cause, Waits(cause.value, 0, 0.0))
            self._waits[cause] = Waits(cause.value, known.times + times, known.seconds + seconds)
