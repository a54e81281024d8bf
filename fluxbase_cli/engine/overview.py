"""Looking at jobs from elsewhere: what `secrets status` shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fluxbase_cli.config import DatabaseSettings
from fluxbase_cli.counts import Counts
from fluxbase_cli.engine.job import location_counts
from fluxbase_cli.errors import ConfigurationError
from fluxbase_cli.store.connect import session
from fluxbase_cli.store.jobs import Event, Job, JobState, JobStore, QuarantineEntry, Runner

_RECENT = 20


@dataclass(frozen=True, slots=True)
class JobSummary:
    """A job in one line.

    Attributes:
        job: what is recorded.
        counts: of all locations together.
        percent: how much of the main pass is done.
        alive: whether a process works on it.
    """

    job: Job
    counts: Counts
    percent: int
    alive: bool

    @property
    def state(self) -> str:
        """The state for people: a job whose last runner died without a word is interrupted, whatever it says."""
        if self.job.state is JobState.RUNNING and not self.alive:
            return JobState.INTERRUPTED.value
        return self.job.state.value


@dataclass(frozen=True, slots=True)
class LocationProgress:
    """One location of a job: its counts, and how many of its table's rows the main pass has done."""

    counts: Counts
    rows_done: int
    done: bool


@dataclass(frozen=True, slots=True)
class JobDetails:
    """A job in full."""

    summary: JobSummary
    locations: Mapping[str, LocationProgress]
    runners: tuple[Runner, ...]
    quarantine: tuple[QuarantineEntry, ...]
    events: tuple[Event, ...]


def recent_jobs(database: DatabaseSettings) -> list[JobSummary]:
    """The newest jobs, newest first; none where no job ever ran."""
    with session(database) as connection:
        jobs = JobStore(connection)
        return [_summary(jobs, job) for job in jobs.latest(_RECENT)] if jobs.exists() else []


def job_details(database: DatabaseSettings, number: int) -> JobDetails:
    """One job.

    Raises:
        ConfigurationError: there is no such job.
    """
    with session(database) as connection:
        jobs = JobStore(connection)
        job = jobs.get(number) if jobs.exists() else None
        if job is None:
            raise ConfigurationError(
                f"there is no job {number} on this database", hint="`fluxbase-cli secrets status` lists them."
            )
        return JobDetails(
            summary=_summary(jobs, job),
            locations=_locations(jobs, number),
            runners=tuple(jobs.runners(number)),
            quarantine=tuple(jobs.quarantined(number)),
            events=tuple(jobs.events(number)),
        )


def _summary(jobs: JobStore, job: Job) -> JobSummary:
    counts = sum(location_counts(jobs, job.id, ()).values(), Counts())
    if job.state is JobState.COMPLETED:
        percent = 100
    else:
        percent = min(99, 100 * jobs.rows_done(job.id) // max(job.total_rows, 1))
    return JobSummary(job, counts, percent, any(runner.alive for runner in jobs.runners(job.id)))


def _locations(jobs: JobStore, job: int) -> Mapping[str, LocationProgress]:
    rows: dict[str, int] = {}
    unfinished: set[str] = set()
    for total in jobs.totals(job):
        if total.pass_number == 0:
            rows[total.table] = rows.get(total.table, 0) + total.rows_done
            if not total.done:
                unfinished.add(total.table)
    return {
        location: LocationProgress(
            counts, rows.get(location.rpartition(".")[0], 0), location.rpartition(".")[0] not in unfinished
        )
        for location, counts in location_counts(jobs, job, ()).items()
    }
