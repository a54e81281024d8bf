"""Changes a job's control settings from another terminal: pause, resume, stop, tune.

All runners of the job read the new settings within one or two seconds.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from fluxbase_cli.config import DatabaseSettings
from fluxbase_cli.engine.run.job_start import recorded_job
from fluxbase_cli.engine.stop import Stop
from fluxbase_cli.errors import ConfigurationError
from fluxbase_cli.store.connection import session
from fluxbase_cli.store.jobs import JobStore
from fluxbase_cli.store.records import Job, JobControl, JobState, Runner, StopRequest, Tuning

#: How often `secrets stop` looks whether the runners have ended, in seconds.
_LOOK_S = 0.2
#: How long the last runner may take to record its end, in seconds. One that was killed never does.
_RECORD_S = 5.0


@dataclass(frozen=True, slots=True)
class ControlState:
    """A job after its control settings were changed.

    Attributes:
        job: the number of the job.
        orders: the control settings now.
        runners: how many processes work on the job.
        command: the command that resumes it.
        lifted: the request to stop it that was withdrawn; None if there was none.
        released: whether `resume` has ended its pause. None after another command.
    """

    job: int
    orders: JobControl
    runners: int
    command: str
    lifted: StopRequest | None = None
    released: bool | None = None


@dataclass(frozen=True, slots=True)
class StopOutcome:
    """What became of a job that should stop.

    Attributes:
        control: the control settings now.
        state: the state of the job now.
        request: the request that holds now; None if the job has ended or somebody has resumed it.
        seen: the numbers of all runners that were alive at the request or after it.
        left: the runners that have not ended.
    """

    control: ControlState
    state: JobState
    request: StopRequest | None
    seen: frozenset[int]
    left: tuple[Runner, ...]

    @property
    def ended(self) -> int:
        """How many runners have ended since the request."""
        return len(self.seen) - len(self.left)


def pause(database: DatabaseSettings, reason: str | None) -> ControlState:
    """Make the unfinished job wait. No batch begins until `resume`.

    Raises:
        ConfigurationError: there is no unfinished job.
    """
    return _change(database, "paused", lambda jobs, job: jobs.pause(job, reason), reason=reason)


def resume(database: DatabaseSettings) -> ControlState:
    """End the pause of a job, and lift its stop.

    Raises:
        ConfigurationError: there is no unfinished job.
    """
    return _change(database, "released", lambda jobs, job: jobs.resume(job))


def stop(database: DatabaseSettings, reason: str | None) -> StopOutcome:
    """Request that the unfinished job ends on all machines. Its runners notice that within about a second.

    Raises:
        ConfigurationError: there is no unfinished job.
    """
    with session(database) as connection:
        jobs = JobStore(connection)
        job = _unfinished(jobs)
        with connection.transaction():
            if not jobs.stop(job.id, reason):
                # It has ended since it was read.
                raise _no_job()
            jobs.events.add("stopped", job=job.id, reason=reason)
        return _outcome(jobs, job.id, frozenset())


def wait_for_end(database: DatabaseSettings, outcome: StopOutcome, *, wait_s: float, interrupted: Stop) -> StopOutcome:
    """Wait until all runners of a job that should stop have ended, or somebody has resumed it.

    Args:
        database: how to connect.
        outcome: what `stop` returned.
        wait_s: how long to wait at most, in seconds.
        interrupted: ends the wait.
    """
    deadline = time.monotonic() + wait_s
    record_until = time.monotonic() + _RECORD_S
    with session(database) as connection:
        while outcome.request is not None and time.monotonic() < deadline:
            if outcome.left:
                record_until = time.monotonic() + _RECORD_S
            elif not outcome.ended or outcome.state is not JobState.RUNNING or time.monotonic() >= record_until:
                break
            if interrupted.wait(_LOOK_S):
                break
            outcome = _outcome(JobStore(connection), outcome.control.job, outcome.seen)
    return outcome


def _outcome(jobs: JobStore, number: int, seen: frozenset[int]) -> StopOutcome:
    # In this order: if no runner is alive, the state is the one that the last runner has recorded, or will record.
    alive = tuple(runner for runner in jobs.runners.of_job(number) if runner.alive)
    job = recorded_job(jobs, number)
    control = ControlState(number, jobs.control(number), len(alive), job.command)
    return StopOutcome(control, job.state, job.stop, seen | {runner.number for runner in alive}, alive)


def tune(database: DatabaseSettings, tuning: Tuning) -> ControlState:
    """Change the rate, lag, batch size or workers of the unfinished job. Without changes, only read the settings.

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
        job = _unfinished(jobs)
        # Nothing happens to a job that is released a second time, so no second event says so.
        changes = event != "released" or job.paused or job.stop is not None
        with connection.transaction():
            if apply is not None and changes:
                apply(jobs, job.id)
                jobs.events.add(event, job=job.id, reason=reason, detail=detail)
        runners = sum(runner.alive for runner in jobs.runners.of_job(job.id))
        control = jobs.control(job.id)
        released = job.paused if event == "released" else None
        lifted = job.stop if control.stop is None else None
        return ControlState(job.id, control, runners, job.command, lifted, released)


def _unfinished(jobs: JobStore) -> Job:
    job = jobs.unfinished() if jobs.schema.exists() else None
    if job is None:
        raise _no_job()
    # An earlier version of this tool may have begun the job, with older progress tables.
    jobs.schema.ensure()
    return job


def _no_job() -> ConfigurationError:
    return ConfigurationError(
        "there is no unfinished job on this database", hint="`fluxbase-cli secrets status` lists all jobs."
    )
