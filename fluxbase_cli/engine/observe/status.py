"""Reads jobs from the progress tables: what `secrets status` shows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

import psycopg

from fluxbase_cli.catalogue.locations import CATALOGUE
from fluxbase_cli.config import DatabaseSettings
from fluxbase_cli.counts import Counts
from fluxbase_cli.engine.run.account import location_counts
from fluxbase_cli.errors import ConfigurationError
from fluxbase_cli.store.connection import Connection, session
from fluxbase_cli.store.jobs import JobStore
from fluxbase_cli.store.quarantine import Quarantine
from fluxbase_cli.store.records import Event, Job, JobState, Runner, ShardTotal

_RECENT = 20


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast a job is.

    Attributes:
        rate_per_s: values per second, of all its runners together.
        eta_s: seconds to the end of the main pass at this rate; None if unknown.
    """

    rate_per_s: float
    eta_s: float | None

    @classmethod
    def of(cls, *, values: int, rows: int, seconds: float, rows_left: int) -> Pace:
        """The pace of work that handled this many values and rows in this many seconds."""
        if seconds <= 0:
            return cls(0.0, None)
        return cls(values / seconds, seconds / rows * rows_left if rows > 0 and rows_left > 0 else None)


@dataclass(frozen=True, slots=True)
class JobSummary:
    """A job in one line.

    Attributes:
        job: the job's record.
        counts: of all locations together.
        rows_done: rows that the main pass has processed.
        percent: how much of the main pass is done.
        alive: whether a process works on it.
        pace: the pace since the job began or was resumed; None if no process works on it.
    """

    job: Job
    counts: Counts
    rows_done: int
    percent: int
    alive: bool
    pace: Pace | None

    @property
    def state(self) -> str:
        """The state to show. A running job without a live runner is interrupted: its last runner was killed."""
        if self.job.state is JobState.RUNNING and not self.alive:
            return JobState.INTERRUPTED.value
        return self.job.state.value

    @property
    def ended(self) -> bool:
        """Whether no process will work on it again."""
        return self.job.state in {JobState.COMPLETED, JobState.SUPERSEDED}

    @property
    def rows_left(self) -> int:
        """Rows that the main pass has not processed yet."""
        return max(self.job.total_rows - self.rows_done, 0)


@dataclass(frozen=True, slots=True)
class LocationProgress:
    """One location of a job.

    Attributes:
        counts: what was found and done.
        rows_done: how many rows of its table the main pass has processed.
        percent: how much of its table that is, by pages on disk.
        done: whether the main pass has finished it.
        rate_per_s: values per second between two readings; None if there is only one reading.
    """

    counts: Counts
    rows_done: int
    percent: int
    done: bool
    rate_per_s: float | None = None


@dataclass(frozen=True, slots=True)
class JobDetails:
    """All facts about a job at one moment of the server's clock."""

    summary: JobSummary
    locations: Mapping[str, LocationProgress]
    runners: tuple[Runner, ...]
    quarantine: Quarantine
    events: tuple[Event, ...]
    now: datetime


def recent_jobs(database: DatabaseSettings) -> list[JobSummary]:
    """The newest jobs, newest first; empty if no job ever ran."""
    with session(database) as connection, _in_one_snapshot(connection):
        jobs = JobStore(connection)
        if not jobs.schema.exists():
            return []
        now = jobs.runners.now()
        return [
            _summary(jobs, job, jobs.runners.of_job(job.id), jobs.events.of_job(job.id), now)
            for job in jobs.latest(_RECENT)
        ]


def job_details(database: DatabaseSettings, number: int) -> JobDetails:
    """One job.

    Raises:
        ConfigurationError: there is no such job.
    """
    with session(database) as connection:
        details = read_details(connection, number)
    if details is None:
        raise ConfigurationError(
            f"there is no job {number} on this database", hint="`fluxbase-cli secrets status` lists them."
        )
    return details


def read_details(connection: Connection, number: int | None) -> JobDetails | None:
    """Read one job.

    Args:
        connection: a connection outside a transaction.
        number: the job; the unfinished job when None.

    Returns:
        The job, or None if there is no such job.
    """
    with _in_one_snapshot(connection):
        jobs = JobStore(connection)
        if not jobs.schema.exists():
            return None
        job = jobs.unfinished() if number is None else jobs.get(number)
        if job is None:
            return None
        runners, events, now = jobs.runners.of_job(job.id), jobs.events.of_job(job.id), jobs.runners.now()
        return JobDetails(
            summary=_summary(jobs, job, runners, events, now),
            locations=_locations(jobs, job.id),
            runners=tuple(runners),
            quarantine=jobs.quarantined(job.id),
            events=tuple(events),
            now=now,
        )


@contextmanager
def _in_one_snapshot(connection: Connection) -> Iterator[None]:
    connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    connection.read_only = True
    with connection.transaction():
        yield


def _summary(jobs: JobStore, job: Job, runners: Sequence[Runner], events: Sequence[Event], now: datetime) -> JobSummary:
    counts = sum(location_counts(jobs, job.id, ()).values(), Counts())
    rows_done = jobs.shards.rows_done(job.id)
    percent = 100 if job.state is JobState.COMPLETED else min(99, 100 * rows_done // max(job.total_rows, 1))
    alive = [runner.started_at for runner in runners if runner.alive]
    rows_left = max(job.total_rows - rows_done, 0)
    pace = None
    # When the job has ended, a runner may still be in its last statements.
    if alive and job.state is JobState.RUNNING:
        # The events say how far the job was when its present runners began. Before that, it may have been interrupted,
        # so the pace counts from there.
        starts = [event for event in events if "rows_done" in event.detail and event.at <= min(alive)]
        if starts:
            since, then = starts[-1].at, starts[-1].detail
            pace = Pace.of(
                values=counts.scanned - int(then["scanned"]),
                rows=rows_done - int(then["rows_done"]),
                seconds=(now - since).total_seconds(),
                rows_left=rows_left,
            )
    return JobSummary(job, counts, rows_done, percent, bool(alive), pace)


def _locations(jobs: JobStore, job: int) -> Mapping[str, LocationProgress]:
    shards: dict[str, list[ShardTotal]] = {}
    for total in jobs.shards.totals(job):
        if total.pass_number == 0:
            shards.setdefault(total.table, []).append(total)
    # In the order of the catalogue, including locations without progress yet.
    names = tuple(
        table.location(column) for table in CATALOGUE if table.qualified in shards for column in table.columns
    )
    progress = {}
    for location, counts in location_counts(jobs, job, names).items():
        own = shards.get(location.rpartition(".")[0], [])
        done = all(shard.done for shard in own)
        size = sum(shard.size for shard in own)
        percent = 100 if done else min(99, int(100 * sum(shard.size * shard.share for shard in own) / max(size, 1)))
        progress[location] = LocationProgress(counts, sum(shard.rows_done for shard in own), percent, done)
    return progress
