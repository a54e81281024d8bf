"""How far a command is, how fast it is now, and how long it will still take. Events update it, and displays read it."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from fluxbase_cli.engine.events import BatchDone, Event, Message, PassStarted, Waiting
from fluxbase_cli.log_events import LogEvent
from fluxbase_cli.moments import span

#: A rate is that of the last seconds, so that it follows `secrets tune` and does not jump with each batch.
_WINDOW_S = 15.0
#: So often a reading is kept.
_READ_EVERY_S = 0.5


class RecentRate:
    """How much was done in the last seconds.

    A rate of zero is a rate; it is None as long as nothing can be said.
    """

    def __init__(self) -> None:
        self._readings: deque[tuple[float, int]] = deque()
        self._total = 0
        self._last_s = 0.0

    def add(self, at_s: float, number: int) -> None:
        """Record that so much more is done.

        Args:
            at_s: the time, in seconds.
            number: how much more.
        """
        if not self._readings:
            self._readings.append((at_s, 0))
        elif at_s - self._readings[-1][0] >= _READ_EVERY_S:
            self._readings.append((at_s, self._total))
        self._total += number
        self._last_s = at_s

    def per_s(self, at_s: float) -> float | None:
        """How much a second, at this time."""
        while len(self._readings) > 1 and self._readings[1][0] <= at_s - _WINDOW_S:
            self._readings.popleft()
        if not self._readings or at_s <= self._readings[0][0]:
            return None
        if self._last_s < at_s - _WINDOW_S:
            return 0.0
        since, before = self._readings[0]
        return (self._total - before) / (at_s - since)


class WorkingTime:
    """Seconds since the start, without the time in which an operator had paused the job.

    Args:
        clock: returns the time in seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._began = clock()
        self._paused_at: float | None = None
        self._paused_s = 0.0

    @property
    def paused(self) -> bool:
        """Whether it stands still."""
        return self._paused_at is not None

    def pause(self) -> None:
        """Let it stand still."""
        if self._paused_at is None:
            self._paused_at = self._clock()

    def resume(self) -> None:
        """Let it run again."""
        if self._paused_at is not None:
            self._paused_s += self._clock() - self._paused_at
            self._paused_at = None

    @property
    def seconds(self) -> float:
        """How many seconds."""
        now = self._clock() if self._paused_at is None else self._paused_at
        return now - self._began - self._paused_s


@dataclass(slots=True)
class LocationState:
    """One location: the rows of its table, how many are done, and the sealed values seen in them.

    Attributes:
        rate: of values.
    """

    rows: int
    done: int
    values: int = 0
    rate: RecentRate = field(default_factory=RecentRate)

    @property
    def ended(self) -> bool:
        """Whether all rows are done."""
        return self.done >= self.rows

    @property
    def percent(self) -> int:
        """How many of the rows are done, in percent."""
        return 100 if self.ended else 100 * self.done // self.rows


class ProgressState:
    """The progress of all locations.

    Args:
        clock: returns the time in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.locations: dict[str, LocationState] = {}
        self.catch_up_pass = 0
        self.waiting = False
        self._clock = clock
        self._time = WorkingTime(clock)
        self._rows = RecentRate()
        self._values = RecentRate()

    def apply(self, event: Event) -> None:
        """Take note of an event. Catch-up passes are quick, and do not change the numbers."""
        if isinstance(event, PassStarted):
            self._begin(event)
        elif isinstance(event, BatchDone):
            self.waiting = False
            if event.pass_number == 0:
                self._count(event)
        elif isinstance(event, Waiting):
            self.waiting = event.seconds is None
            if event.paused:
                self._time.pause()
        elif isinstance(event, Message) and event.event is LogEvent.JOB_CONTINUED:
            self.waiting = False
            self._time.resume()

    def _begin(self, event: PassStarted) -> None:
        self.catch_up_pass = event.number
        if event.number:
            return
        self.locations = {name: LocationState(rows, event.done.get(name, 0)) for name, rows in event.rows.items()}
        paused = self._time.paused
        self._time = WorkingTime(self._clock)
        if paused:
            self._time.pause()
        self._rows, self._values = RecentRate(), RecentRate()
        self._note(0, 0)

    def _count(self, event: BatchDone) -> None:
        values = 0
        for column, counts in event.counts.items():
            location = self.locations.get(f"{event.table}.{column}")
            if location is None:
                continue
            location.done += event.rows
            location.values += counts.scanned
            location.rate.add(self._time.seconds, counts.scanned)
            values += counts.scanned
        self._note(event.rows, values)

    def _note(self, rows: int, values: int) -> None:
        self._rows.add(self._time.seconds, rows)
        self._values.add(self._time.seconds, values)

    @property
    def paused(self) -> bool:
        """Whether an operator has paused the job."""
        return self._time.paused

    @property
    def rows_done(self) -> int:
        """Rows done in all tables. The columns of a table have the same rows."""
        return sum(location.done for location in self._tables.values())

    @property
    def rows(self) -> int:
        """Rows in all tables."""
        return sum(location.rows for location in self._tables.values())

    @property
    def _tables(self) -> dict[str, LocationState]:
        return {name.rpartition(".")[0]: location for name, location in self.locations.items()}

    @property
    def values(self) -> int:
        """Sealed values seen by this run."""
        return sum(location.values for location in self.locations.values())

    @property
    def rate_per_s(self) -> float | None:
        """Values a second, now. None as long as that is unknown."""
        return self._values.per_s(self._time.seconds)

    def rate_of(self, location: LocationState) -> float | None:
        """Values a second of a location, now. None if it has none."""
        return None if location.ended else location.rate.per_s(self._time.seconds)

    @property
    def left_s(self) -> float | None:
        """Seconds to the end of the main pass at the present rate, without pauses. None if that is unknown."""
        rate = self._rows.per_s(self._time.seconds)
        return max(self.rows - self.rows_done, 0) / rate if rate else None

    @property
    def percent(self) -> int:
        """How much is done, in percent; never 100 before the end."""
        return min(99, 100 * self.rows_done // self.rows) if self.rows else 99

    def pace(self) -> list[str]:
        """What happens now, how fast it is, and how long it will still take: parts of a line."""
        parts = []
        if self.paused:
            parts.append("paused")
        elif self.waiting:
            parts.append("waiting")
        elif self.catch_up_pass:
            parts.append(f"catch-up pass {self.catch_up_pass}")
        elif self.rate_per_s is not None:
            parts.append(f"{self.rate_per_s:,.0f}/s")
        if not self.catch_up_pass and self.left_s is not None:
            parts.append(f"{span(self.left_s)} left")
        return parts
