"""How fast a job may go: rates, batch sizes, standbys that fall behind. Pure: clocks and figures in, decisions out."""

from __future__ import annotations

import re
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

Clock = Callable[[], float]

#: How long a batch's transaction should take at most, in seconds. Rows are locked for less than half of that.
TARGET_BATCH_S = 0.1
#: A batch that takes too long is not cut below this; each also costs some round trips, whatever its size.
_FEWEST_ROWS = 100
#: Where other sessions hold our rows or wait for us, it is.
_FEWEST_ROWS_UNDER_PRESSURE = 10
#: Batches that a decision about their size rests on.
_WINDOW = 8
#: Halving the size must bring the time down to this share; otherwise the time does not come from the size.
_WORTH_IT = 0.75
#: How long a decision to stay, or a lock's trouble, is remembered, in seconds.
_MEMORY_S = 30.0
#: How long a standby's way through the WAL is remembered, in samples.
_SAMPLES = 3_600
#: PostgreSQL's own checkpoint_warning, in seconds.
_FREQUENT_S = 30.0


class RateLimiter:
    """Keeps a number of values a second, for all threads together.

    What was done is booked afterwards, so the first batches go at once and the next wait until the rate has caught up.
    """

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._rate_per_s: float | None = None
        self._free_at = clock()

    def limit(self, rate_per_s: float | None) -> None:
        """Set the rate; None for none. What is owed under another rate is forgiven."""
        with self._lock:
            if rate_per_s != self._rate_per_s:
                self._rate_per_s = rate_per_s
                self._free_at = self._clock()

    def book(self, values: int) -> None:
        """Take note of values that were done."""
        with self._lock:
            if self._rate_per_s is not None:
                # Time that passed without work is not saved up: the limit holds in every second.
                self._free_at = max(self._free_at, self._clock()) + values / self._rate_per_s

    def delay_s(self) -> float:
        """How long to wait before the next batch, in seconds."""
        with self._lock:
            return max(0.0, self._free_at - self._clock()) if self._rate_per_s is not None else 0.0


class BatchSize:
    """How many rows a batch of one relation may hold, so that its transaction stays short.

    The size is halved when batches take longer than the target, and doubled when they take much less. Where halving
    does not shorten them (a far server, a slow disk at the commit), the size goes back to what it was.

    Args:
        most: the upper bound, where it begins.
        target_s: how long a batch may take; None keeps the size as it is.
        clock: seconds.
    """

    def __init__(self, most: int, target_s: float | None, clock: Clock = time.monotonic) -> None:
        self._most = most
        self._target_s = target_s
        self._clock = clock
        self._lock = threading.Lock()
        self._rows = most
        self._times: list[float] = []
        self._fullest = 0
        # What was measured before the size was halved, until it is known whether that helped.
        self._before: tuple[int, float] | None = None
        self._stays_until = clock()
        self._pressed_until: float | None = None

    @property
    def rows(self) -> int:
        """Rows of the next batch, at most."""
        return self._rows

    def took(self, rows: int, seconds: float) -> None:
        """Take note of a batch.

        Args:
            rows: how many it held.
            seconds: how long its transaction took.
        """
        target_s = self._target_s
        if target_s is None:
            return
        with self._lock:
            # The last batch of a stretch has few rows and says little.
            if rows < self._fullest // 2:
                return
            self._fullest = max(self._fullest, min(rows, self._rows))
            self._times.append(seconds)
            # Where they are very long, fewer are enough.
            if len(self._times) >= _WINDOW or sum(self._times) > _WINDOW * target_s:
                self._decide(target_s, sorted(self._times)[len(self._times) // 2])

    def _decide(self, target_s: float, time_s: float) -> None:
        before, self._before = self._before, None
        fullest, self._fullest = self._fullest, 0
        self._times.clear()
        now = self._clock()
        fewest = min(self._most, _FEWEST_ROWS)
        if before is not None and time_s > _WORTH_IT * before[1]:
            self._rows = before[0]
            self._stays_until = now + _MEMORY_S
        elif time_s > target_s and self._rows > fewest:
            if now < self._stays_until:
                return
            self._before = (self._rows, time_s)
            # A batch may be bounded by its bytes, far below the size.
            self._rows = max(fewest, min(self._rows, fullest) // 2)
        elif time_s < target_s / 2 and self._rows < self._most:
            if self._pressed_until is not None and now < self._pressed_until:
                return
            self._rows = min(self._most, 2 * self._rows)

    def on_lock_conflict(self) -> int | None:
        """Take note that another session and we were in each other's way over rows.

        Returns:
            The new size, where it has changed.
        """
        if self._target_s is None:
            return None
        with self._lock:
            self._pressed_until = self._clock() + _MEMORY_S
            smaller = max(min(self._most, _FEWEST_ROWS_UNDER_PRESSURE), self._rows // 2)
            if smaller == self._rows:
                return None
            self._rows = smaller
            self._times.clear()
            self._fullest = 0
            self._before = None
            return smaller


@dataclass(frozen=True, slots=True)
class MaxLag:
    """How far standbys may fall behind; None where that does not matter.

    Attributes:
        seconds: since what a standby shows now was written.
        size: bytes of WAL that it has not replayed.
    """

    seconds: float | None = None
    size: int | None = None

    def __str__(self) -> str:
        parts = [] if self.seconds is None else [f"{self.seconds:g}s"]
        return ",".join(parts if self.size is None else [*parts, in_bytes(self.size)])

    @classmethod
    def parse(cls, text: str) -> MaxLag:
        """Read `10s`, `500ms`, `2m`, `64MB`, or a time and a size with a comma between them; `0` is no limit.

        Raises:
            ValueError: it is none of these.
        """
        seconds: float | None = None
        size: int | None = None
        for part in text.replace(" ", "").split(","):
            match = _LAG.fullmatch(part)
            unit = (match[2] or "s").lower() if match else ""
            if match and unit in _SECONDS and seconds is None:
                seconds = float(match[1]) * _SECONDS[unit]
            elif match and unit in _BYTES and size is None:
                size = int(float(match[1]) * _BYTES[unit])
            else:
                raise ValueError(text)
        return cls(seconds or None, size or None)


_LAG = re.compile(r"(\d+(?:\.\d+)?)([A-Za-z]*)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0}
_BYTES = {"kb": 1024, "mb": 1024**2, "gb": 1024**3}


@dataclass(frozen=True, slots=True)
class ReplicaLag:
    """How far a standby is behind.

    Attributes:
        name: what it calls itself.
        seconds: since what it shows now was written.
        size: bytes of WAL that it has not replayed.
    """

    name: str
    seconds: float
    size: int

    def exceeds(self, most: MaxLag) -> bool:
        """Whether that is further than it may be."""
        return (most.seconds is not None and self.seconds > most.seconds) or (
            most.size is not None and self.size > most.size
        )


class LagEstimator:
    """Tells by when the primary had written it how old is what a standby has replayed.

    `pg_stat_replication.replay_lag` stands still, or is empty, while a standby replays nothing at all.
    """

    def __init__(self) -> None:
        self._written: deque[tuple[float, int]] = deque(maxlen=_SAMPLES)

    def note(self, now: float, written: int) -> None:
        """Take note of how far the primary has come.

        Args:
            now: seconds, on any clock that goes on.
            written: bytes of WAL since the beginning of time.
        """
        if not self._written or written > self._written[-1][1]:
            self._written.append((now, written))

    def seconds_behind(self, now: float, replayed: int) -> float:
        """How long ago the first WAL was there that a standby has not replayed, as far as we have watched."""
        missing = next((at for at, written in self._written if written > replayed), None)
        return 0.0 if missing is None else now - missing


class CheckpointMonitor:
    """Notices that the server must make checkpoints because of the WAL that is written, ours among it."""

    def __init__(self) -> None:
        self._first: tuple[float, int, int] | None = None
        self._told = False

    def note(self, now: float, requested: int, written: int) -> str | None:
        """Take note of the server's counters.

        Args:
            now: seconds, on any clock that goes on.
            requested: checkpoints asked for before their time, ever.
            written: bytes of WAL, ever.

        Returns:
            What the operator should know, once.
        """
        if self._first is None:
            self._first = (now, requested, written)
        began, before, from_ = self._first
        checkpoints, elapsed = requested - before, now - began
        if self._told or checkpoints < 2 or elapsed / checkpoints > _FREQUENT_S:  # noqa: PLR2004  # one may be chance
            return None
        self._told = True
        return (
            f"the server writes {in_bytes((written - from_) / elapsed)} of WAL a second and had to make "
            f"{checkpoints} checkpoints in {elapsed:.0f}s: raise max_wal_size, or go slower "
            "(`fluxbase-cli secrets tune --max-rate`)"
        )


def in_bytes(size: float) -> str:
    """A number of bytes for people, in the units of PostgreSQL."""
    for unit in ("bytes", "kB", "MB"):
        if abs(size) < 1024:  # noqa: PLR2004  # the step between units
            return f"{size:.0f} {unit}"
        size /= 1024
    return f"{size:.1f} GB"
