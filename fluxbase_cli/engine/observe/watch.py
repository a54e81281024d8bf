"""Reads a job again and again. From two readings it computes how fast the job is now."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from typing import Self

import psycopg

from fluxbase_cli.config import DatabaseSettings
from fluxbase_cli.engine.events import Observer
from fluxbase_cli.engine.observe.status import JobDetails, Pace, read_details
from fluxbase_cli.engine.retry import retry_transient
from fluxbase_cli.engine.stop import Stop
from fluxbase_cli.errors import DatabaseError
from fluxbase_cli.store.connection import Connection, connect, connect_or_explain, failure_text

#: A rate is computed over this many readings, so that one batch more or less does not make it jump.
_READINGS = 10


def watch(
    database: DatabaseSettings, number: int | None, *, every_s: float, stop: Stop, observer: Observer
) -> Iterator[JobDetails]:
    """Read a job every few seconds until it has ended or a stop is requested.

    Args:
        database: how to connect.
        number: the job. When None, the unfinished job, and later the unfinished job that replaces it.
        every_s: seconds between two readings.
        stop: ends the watch.
        observer: gets an event while the watch waits for the server.

    Yields:
        The job at each reading, for the last time when it has ended; nothing if there is no such job.

    Raises:
        ConfigurationError, DatabaseError: as for `connect_or_explain`, or the server was unreachable for too long.
    """
    with _Reader(database, stop, observer) as reader:
        recent: deque[JobDetails] = deque(maxlen=_READINGS)
        while not stop.requested:
            details = reader.read(number)
            if details is None and recent:
                # No job is unfinished any more, so the job has ended. Read how.
                details = reader.read(recent[-1].summary.job.id)
            if details is None:
                return
            if recent and _differ(recent[-1], details):
                recent.clear()
            recent.append(details)
            yield paced(recent[0], details)
            if details.summary.ended or stop.wait(every_s):
                return


def _differ(before: JobDetails, now: JobDetails) -> bool:
    """Whether there is no rate between two readings: they are of two jobs, or an operator paused or released the job.

    A pause must not count as slow work after it.
    """
    return before.summary.job.id != now.summary.job.id or before.summary.job.paused != now.summary.job.paused


def paced(earlier: JobDetails, now: JobDetails) -> JobDetails:
    """The later of two readings with the rates between them; unchanged if no rate can be computed."""
    seconds = (now.now - earlier.now).total_seconds()
    if seconds <= 0 or not now.summary.alive or now.summary.ended:
        return now
    pace = Pace.of(
        values=now.summary.counts.scanned - earlier.summary.counts.scanned,
        rows=now.summary.rows_done - earlier.summary.rows_done,
        seconds=seconds,
        rows_left=now.summary.rows_left,
    )
    locations = dict(now.locations)
    for name, progress in now.locations.items():
        before = earlier.locations.get(name)
        values = progress.counts.scanned - (0 if before is None else before.counts.scanned)
        locations[name] = replace(progress, rate_per_s=values / seconds)
    return replace(now, summary=replace(now.summary, pace=pace), locations=locations)


class _Reader:
    """Reads over one connection, and connects again when the connection was lost."""

    def __init__(self, database: DatabaseSettings, stop: Stop, observer: Observer) -> None:
        self._database = database
        self._stop = stop
        self._observer = observer
        self._connection: Connection | None = None

    def __enter__(self) -> Self:
        # A wrong address must fail at once. Only a server that was reachable before is worth waiting for.
        self._connection = connect_or_explain(self._database)
        return self

    def __exit__(self, *_exception: object) -> None:
        if self._connection is not None:
            self._connection.close()

    def read(self, number: int | None) -> JobDetails | None:
        try:
            return retry_transient(lambda: read_details(self._connected(), number), self._stop, self._observer)
        except psycopg.Error as error:
            if self._stop.requested:
                return None
            raise DatabaseError(
                f"{self._database.describe()}: {failure_text(error)}",
                hint="The job itself is not affected. Watch it again when the server is back.",
            ) from None

    def _connected(self) -> Connection:
        if self._connection is None or self._connection.closed:
            self._connection = connect(self._database)
        return self._connection
