"""Orders to a job from another terminal: pause, resume, tune. All its runners hear them within a second or two."""

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
    """A job after an order.

    Attributes:
        job: its number.
        orders: all that is asked of it now.
        runners: how many processes are at work on it.
    """

    job: int
    orders: JobControl
    runners: int


def pause(database: DatabaseSettings, reason: str | None) -> ControlState:
    """Have the unfinished job wait: no batch begins until `resume`.

    Raises:
        ConfigurationError: there is no unfinished job.
    """
    return _order(database, "paused", lambda jobs, job: jobs.pause(job, reason), reason=reason)


def resume(database: DatabaseSettings) -> ControlState:
    """Let a paused job go on.

    Raises:
        ConfigurationError: there is no unfinished job.
    """
    return _order(database, "released", lambda jobs, job: jobs.resume(job))


def tune(database: DatabaseSettings, tuning: Tuning) -> ControlState:
    """Change how the unfinished job goes on; without changes, only look.

    Raises:
        ConfigurationError: there is no unfinished job.
    """
    give = (lambda jobs, job: jobs.tune(job, tuning)) if tuning else None
    return _order(database, "tuned", give, detail=tuning.given())


def _order(
    database: DatabaseSettings,
    what: str,
    give: Callable[[JobStore, int], None] | None,
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
        # Begun by an earlier version, perhaps.
        jobs.schema.ensure()
        with connection.transaction():
            if give is not None:
                give(jobs, job.id)
                jobs.events.add(what, job=job.id, reason=reason, detail=detail)
        runners = sum(runner.alive for runner in jobs.runners.of_job(job.id))
        return ControlState(job.id, jobs.control(job.id), runners)
