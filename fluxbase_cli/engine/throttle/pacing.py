"""Decides how fast a job may write: rates, batch sizes, lag of standbys.

No I/O here: clocks and figures go in, decisions come out.
"""

from __future__ import annotations

import re
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from fluxbase_cli.duration import parse_seconds
from fluxbase_cli.errors import ConfigurationError

Clock = Callable[[], float]

#: How long a batch's transaction should take at most, in seconds. Rows are locked for less than half of that.
TARGET_BATCH_S = 0.1
#: A batch that takes too long is not made smaller than this, because each batch costs some round trips at any size.
_FEWEST_ROWS = 100
#: The lower bound when other sessions hold our rows or wait for us.
_FEWEST_ROWS_IN_CONFLICT = 10
#: The number of batches that a decision about their size is based on.
_WINDOW = 8
#: Halving the size must bring the time down to this share. Otherwise the size is not the reason for the time.
_HELPFUL_SHARE = 0.75
#: How long the decision to keep a size, or a lock conflict, counts, in seconds.
_MEMORY_S = 30.0
#: How many positions of the primary in the WAL are kept.
_SAMPLES = 3_600
#: PostgreSQL's own checkpoint_warning, in seconds.
_FREQUENT_S = 30.0


class RateLimiter:
    """Limits the number of values per second, for all threads together.

    A batch is counted after it is done. So the first batches run at once, and the next ones wait until the rate is
    right again.
    """

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._rate_per_s: float | None = None
        self._free_at = clock()

    def limit(self, rate_per_s: float | None) -> None:
        """Set the rate; None for no limit. A change of the rate cancels the waiting time from before."""
        with self._lock:
            if rate_per_s != self._rate_per_s:
                self._rate_per_s = rate_per_s
                self._free_at = self._clock()

    def book(self, values: int) -> None:
        """Count values that are done."""
        with self._lock:
            if self._rate_per_s is not None:
                # Idle time is not saved up: the limit holds in every second.
                self._free_at = max(self._free_at, self._clock()) + values / self._rate_per_s

    def delay_s(self) -> float:
        """How long to wait before the next batch, in seconds."""
        with self._lock:
            return max(0.0, self._free_at - self._clock()) if self._rate_per_s is not None else 0.0


class BatchSize:
    """How many rows a batch of one relation may hold, so that its transaction stays short.

    The size is halved when batches take longer than the target, and doubled when they take much less. If halving does
    not make them shorter (a distant server, a slow disk at the commit), the size returns to its old value.

    Args:
        most: the upper bound, and the first size.
        target_s: how long a batch may take, in seconds; None keeps the size as it is.
        clock: returns the time in seconds.
    """

    def __init__(self, most: int, target_s: float | None, clock: Clock = time.monotonic) -> None:
        self._most = most
        self._target_s = target_s
        self._clock = clock
        self._lock = threading.Lock()
        self._rows = most
        self._times: list[float] = []
        self._fullest = 0
        # The size and time before the size was halved, until it is known whether that helped.
        self._before: tuple[int, float] | None = None
        self._keep_until = clock()
        self._conflict_until: float | None = None

    @property
    def rows(self) -> int:
        """Rows of the next batch, at most."""
        return self._rows

    def took(self, rows: int, seconds: float) -> None:
        """Record a batch.

        Args:
            rows: how many rows it held.
            seconds: how long its transaction took.
        """
        target_s = self._target_s
        if target_s is None:
            return
        with self._lock:
            # The last batch of a range has few rows, so its time says little.
            if rows < self._fullest // 2:
                return
            self._fullest = max(self._fullest, min(rows, self._rows))
            self._times.append(seconds)
            # If batches take very long, fewer of them are enough for a decision.
            if len(self._times) >= _WINDOW or sum(self._times) > _WINDOW * target_s:
                self._decide(target_s, sorted(self._times)[len(self._times) // 2])

    def _decide(self, target_s: float, time_s: float) -> None:
        before, self._before = self._before, None
        fullest, self._fullest = self._fullest, 0
        self._times.clear()
        now = self._clock()
        fewest = min(self._most, _FEWEST_ROWS)
        if before is not None and time_s > _HELPFUL_SHARE * before[1]:
            self._rows = before[0]
            self._keep_until = now + _MEMORY_S
        elif time_s > target_s and self._rows > fewest:
            if now < self._keep_until:
                return
            self._before = (self._rows, time_s)
            # The limit of bytes may keep batches far below the size.
            self._rows = max(fewest, min(self._rows, fullest) // 2)
        elif time_s < target_s / 2 and self._rows < self._most:
            if self._conflict_until is not None and now < self._conflict_until:
                return
            self._rows = min(self._most, 2 * self._rows)

    def on_lock_conflict(self) -> int | None:
        """Record that another session and this one needed the same rows at the same time.

        Returns:
            The new size if it has changed, else None.
        """
        if self._target_s is None:
            return None
        with self._lock:
            self._conflict_until = self._clock() + _MEMORY_S
            smaller = max(min(self._most, _FEWEST_ROWS_IN_CONFLICT), self._rows // 2)
            if smaller == self._rows:
                return None
            self._rows = smaller
            self._times.clear()
            self._fullest = 0
            self._before = None
            return smaller


@dataclass(frozen=True, slots=True)
class MaxLag:
    """How far standbys may be behind; None for no limit.

    Attributes:
        seconds: the age of the state that a standby shows now.
        size: bytes of WAL that it has not replayed.
    """

    seconds: float | None = None
    size: int | None = None

    def __str__(self) -> str:
        parts = [] if self.seconds is None else [f"{self.seconds:g}s"]
        return ",".join(parts if self.size is None else [*parts, in_bytes(self.size)])

    @classmethod
    def parse(cls, text: str) -> MaxLag:
        """Parse a duration (`10s`, `500ms`, `1m30s`), `64MB`, or both with a comma between them; `0` is no limit.

        Raises:
            ValueError: it is none of these.
        """
        seconds: float | None = None
        size: int | None = None
        for part in text.replace(" ", "").split(","):
            match = _SIZE.fullmatch(part)
            if match and size is None:
                size = int(float(match[1]) * _BYTES[match[2].lower()])
            elif match or seconds is not None:
                raise ValueError(text)
            else:
                try:
                    seconds = parse_seconds(part, "the lag")
                except ConfigurationError:
                    raise ValueError(text) from None
        return cls(seconds or None, size or None)


_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?)([KMG]B)", re.IGNORECASE)
_BYTES = {"kb": 1024, "mb": 1024**2, "gb": 1024**3}


@dataclass(frozen=True, slots=True)
class ReplicaLag:
    """How far a standby is behind.

    Attributes:
        name: its `application_name`.
        seconds: the age of the state that it shows now.
        size: bytes of WAL that it has not replayed.
    """

    name: str
    seconds: float
    size: int

    def exceeds(self, most: MaxLag) -> bool:
        """Whether the standby is further behind than allowed."""
        return (most.seconds is not None and self.seconds > most.seconds) or (
            most.size is not None and self.size > most.size
        )


class LagEstimator:
    """Estimates the lag of a standby in seconds, from the times at which the primary wrote the WAL.

    `pg_stat_replication.replay_lag` does not change, or is empty, while a standby replays nothing at all.
    """

    def __init__(self) -> None:
        self._written: deque[tuple[float, int]] = deque(maxlen=_SAMPLES)

    def note(self, now: float, written: int) -> None:
        """Record how much WAL the primary has written.

        Args:
            now: seconds, on any monotonic clock.
            written: position in the WAL, in bytes from its beginning.
        """
        if not self._written or written > self._written[-1][1]:
            self._written.append((now, written))

    def seconds_behind(self, now: float, replayed: int) -> float:
        """How many seconds ago the first WAL was written that the standby has not replayed, as far as was recorded."""
        missing = next((at for at, written in self._written if written > replayed), None)
        return 0.0 if missing is None else now - missing


class CheckpointMonitor:
    """Detects that the server makes checkpoints early because of the WAL that is written, by us and others."""

    def __init__(self) -> None:
        self._first: tuple[float, int, int] | None = None
        self._warned = False

    def note(self, now: float, requested: int, written: int) -> str | None:
        """Record the server's counters.

        Args:
            now: seconds, on any monotonic clock.
            requested: all checkpoints so far that were requested before their time.
            written: all bytes of WAL so far.

        Returns:
            A warning for the operator, once; else None.
        """
        if self._first is None:
            self._first = (now, requested, written)
        began, before, from_ = self._first
        checkpoints, elapsed = requested - before, now - began
        if self._warned or checkpoints < 2 or elapsed / checkpoints > _FREQUENT_S:  # noqa: PLR2004  # one may be chance
            return None
        self._warned = True
        return (
            f"the server writes {in_bytes((written - from_) / elapsed)} of WAL a second and had to make "
            f"{checkpoints} checkpoints in {elapsed:.0f}s: raise max_wal_size, or go slower "
            "(`fluxbase-cli secrets tune --max-rate`)"
        )


def in_bytes(size: float) -> str:
    """A number of bytes as text, in the units of PostgreSQL."""
    for unit in ("bytes", "kB", "MB"):
        if abs(size) < 1024:  # noqa: PLR2004  # the step between units
            return f"{size:.0f} {unit}"
        size /= 1024
    return f"{size:.1f} GB"
