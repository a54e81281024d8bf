"""The database server's clock. All times that protect keys are measured with it.

The dates of events come from the server. To compare them with this machine's clock would be wrong: a clock that is
eight days ahead would end a cooling-off time of seven days at once.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta

from fluxbase_cli.config import DatabaseSettings
from fluxbase_cli.store.connection import Connection, session

Clock = Callable[[], datetime]


def seconds_since_boot() -> float:
    """This machine's time since a moment in the past. Nobody can set it, and it counts while the machine sleeps too."""
    boot_time = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if boot_time is None else time.clock_gettime(boot_time)


class ServerClock:
    """The time by the server's clock: read once, then counted further by this machine.

    Args:
        connection: a session on the server.
        elapsed: counts seconds on this machine.
    """

    def __init__(self, connection: Connection, *, elapsed: Callable[[], float] = seconds_since_boot) -> None:
        self._elapsed = elapsed
        row = connection.execute("SELECT clock_timestamp()").fetchone()
        assert row is not None  # noqa: S101  # one row without a FROM
        self._answer: datetime = row[0]
        # Read after the answer. So our time may be behind the server's, by the time that the answer needed, but never
        # ahead of it.
        self._answered_at = elapsed()

    def __call__(self) -> datetime:
        """The time now."""
        return self._answer + timedelta(seconds=self._elapsed() - self._answered_at)


def server_time(database: DatabaseSettings) -> datetime:
    """The time by the server's clock.

    Raises:
        ConfigurationError, DatabaseError: the database can't be reached.
    """
    with session(database) as connection:
        return ServerClock(connection)()
