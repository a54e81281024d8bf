"""Looking at jobs from elsewhere: what `secrets status` shows."""

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
from fluxbase_cli.store.records import Event, Job, JobState, QuarantineEntry, Runner, ShardTotal

_RECENT = 20


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast a job goes.

    Attributes:
        rate_per_s: values a second, of all its runners together.
        eta_s: seconds to the end of the main pass at this rate, where that can be said.
    """

    rate_per_s: float
    eta_s: float | None

    @classmethod
    def of(cls, *, values: int, rows: int, seconds: float, rows_left: int) -> Pace:
        """The pace of something that has handled so many values and rows in so many seconds."""
        if seconds <= 0:
            return cls(0.0, None)
        return cls(values / seconds, seconds / rows * rows_left if rows > 0 and rows_left > 0 else None)


@dataclass(frozen=True, slots=True)
class JobSummary:
    """A job in one line.

    Attributes:
        job: what is recorded.
        counts: of all locations together.
        rows_done: rows that the main pass has done.
        percent: how much of the main pass is done.
        alive: whether a process works on it.
        pace: since it was begun or taken up again; None where nobody works on it.
    """

    job: Job
    counts: Counts
    rows_done: int
    percent: int
    alive: bool
    pace: Pace | None

    @property
    def state(self) -> str:
        """The state for people: a job whose last runner died without a word is interrupted, whatever it says."""
        if self.job.state is JobState.RUNNING and not self.alive:
            return JobState.INTERRUPTED.value
        return self.job.state.value

    @property
    def ended(self) -> bool:
        """Whether nobody will work on it any more."""
        return self.job.state in {JobState.COMPLETED, JobState.SUPERSEDED}

    @property
    def rows_left(self) -> int:
        """Rows that the main pass has still to do."""
        return max(self.job.total_rows - self.rows_done, 0)


@dataclass(frozen=True, slots=True)
class LocationProgress:
    """One location of a job.

    Attributes:
        counts: what was found and done.
        rows_done: how many of its table's rows the main pass has done.
        percent: how much of its table that is, by place on disk.
        done: whether the main pass is through with it.
        rate_per_s: values a second, where two readings tell.
    """

    counts: Counts
    rows_done: int
    percent: int
    done: bool
    rate_per_s: float | None = None


@dataclass(frozen=True, slots=True)
class JobDetails:
    """A job in full, as it was at one moment by the server's clock."""

    summary: JobSummary
    locations: Mapping[str, LocationProgress]
    runners: tuple[Runner, ...]
    quarantine: tuple[QuarantineEntry, ...]
    events: tuple[Event, ...]
    now: datetime


def recent_jobs(database: DatabaseSettings) -> list[JobSummary]:
    """The newest jobs, newest first; none where no job ever ran."""
    with session(database) as connection, _at_one_moment(connection):
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
    """One job over a connection that is outside a transaction.

    Args:
        connection: where.
        number: the job; the unfinished one when None.

    Returns:
        None where there is no such job.
    """
    with _at_one_moment(connection):
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
            quarantine=tuple(jobs.quarantined(job.id)),
            events=tuple(events),
            now=now,
        )


@contextmanager
def _at_one_moment(connection: Connection) -> Iterator[None]:
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
    # A runner may still be saying good-bye when its job has ended.
    if alive and job.state is JobState.RUNNING:
        # The events say where the job stood when those who work on it now began; before that it may have lain still.
        marks = [event for event in events if "rows_done" in event.detail and event.at <= min(alive)]
        if marks:
            since, then = marks[-1].at, marks[-1].detail
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
    # In the catalogue's order, those that nothing is known of yet too.
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
