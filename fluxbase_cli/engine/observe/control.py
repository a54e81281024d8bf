"""Changes a job's control settings from another terminal: pause, resume, tune.

All runners of the job read the new settings within one or two seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from fluxbase_cli.config import DatabaseSettings
from fluxbase_cli.errors import ConfigurationError
from fluxbase_cli.store.connection import session
from fluxbase_cli.store.jobs import JobStore
from fluxbase_cli.store.records import JobControl, Tuning


@dataclass(frozen=True, slots=True)
class ControlState:
    """A job after its control settings were changed.

    Attributes:
        job: the number of the job.
        orders: the control settings now.
        runners: how many processes work on the job.
    """

    job: int
    orders: JobControl
    runners: int


def pause(database: DatabaseSettings, reason: str | None) -> ControlState:
    """Make the unfinished job wait. No batch begins until `resume`.

    Raises:
        ConfigurationError: there is no unfinished job.
    """
    return _change(database, "paused", lambda jobs, job: jobs.pause(job, reason), reason=reason)


def resume(database: DatabaseSettings) -> ControlState:
    """End the pause of a job.

    Raises:
        ConfigurationError: there is no unfinished job.
    """
    return _change(database, "released", lambda jobs, job: jobs.resume(job))


def tune(database: DatabaseSettings, tuning: Tuning) -> ControlState:
    """Change the rate, lag or batch size of the unfinished job. Without changes, only read the settings.

    Raises:
        ConfigurationError: there is no unfinished job.
    """
    apply = (lambda jobs, job: jobs.tune(job, tuning)) if tuning else None
    return _change(database, "tuned", apply, detail=tuning.given())


def _change(
    database: DatabaseSettings,
    event: str,
    apply: Callable[[JobStore, int], None] | None,
    *,
    reason: str | None = None,
    detail: Mapping[str, Any] | None = None,
) -> ControlState:
    with session(database) as connection:
        jobs = JobStore(connection)
        job = jobs.unfinished() if jobs.schema.exists() else None
        if job is None:
            raise ConfigurationError(
                "there is no unfinished job on this database", hint="`fluxbase-cli secrets status` lists all jobs."
            )
        # An earlier version of this tool may have begun the job, with older progress tables.
        jobs.schema.ensure()
        with connection.transaction():
            if apply is not None:
                apply(jobs, job.id)
                jobs.events.add(event, job=job.id, reason=reason, detail=detail)
        runners = sum(runner.alive for runner in jobs.runners.of_job(job.id))
        return ControlState(job.id, jobs.control(job.id), runners)
