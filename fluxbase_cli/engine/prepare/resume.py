"""Decides what to do with an unfinished job: resume it, join it, supersede it, or refuse."""

from __future__ import annotations

import time
from dataclasses import dataclass

from fluxbase_cli.catalogue.locations import catalogue_digest
from fluxbase_cli.engine.request import JobRequest
from fluxbase_cli.engine.throttle.pacing import MaxLag
from fluxbase_cli.errors import ConfigurationError, JobRunningError, JobStoppedError, PreflightRefusedError
from fluxbase_cli.keyring import Keyring
from fluxbase_cli.printable import lines
from fluxbase_cli.store.connection import Connection
from fluxbase_cli.store.jobs import JobStore
from fluxbase_cli.store.preflight import Preflight
from fluxbase_cli.store.records import Job, JobKind, JobState, Runner
from fluxbase_cli.store.server_load import sees_standbys

#: How long the server may need to detect that a client is gone, in seconds.
_NOTICE_S = 1.0


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do with the unfinished job, if there is one.

    Attributes:
        resumes: the job to resume or to join.
        supersedes: the job that a new job supersedes.
        ended: the job that processes of the same run have completed. No job is unfinished and nothing is left to do.
    """

    resumes: Job | None = None
    supersedes: Job | None = None
    ended: Job | None = None

    @property
    def begins(self) -> bool:
        """Whether a new job begins."""
        return self.resumes is None and self.ended is None

    def is_as(self, other: Decision) -> bool:
        """Whether another decision is the same and about the same job."""
        return (self._numbers()) == (other._numbers())

    def _numbers(self) -> tuple[int | None, ...]:
        return tuple(None if job is None else job.id for job in (self.resumes, self.supersedes, self.ended))


def decide(jobs: JobStore, request: JobRequest, keyring: Keyring) -> Decision:
    """Decide about the unfinished job. Writes nothing.

    Raises:
        ConfigurationError: the unfinished job is of another kind, or was begun with other keys or another list of
            locations; or the name of the run belongs to a different job.
        JobRunningError: a process works on it, and this request does not join it or can't join it.
        JobStoppedError: somebody has stopped it, and this request does not resume a stopped job.
    """
    job = jobs.unfinished() if jobs.schema.exists() else None
    if job is None:
        ended = _ended_run(jobs, request, keyring)
        if ended is not None and ended.state is not JobState.COMPLETED:
            # Another process of the run has begun the job between our two queries.
            return decide(jobs, request, keyring)
        if ended is not None:
            return Decision(ended=ended)
        if request.join:
            raise ConfigurationError(
                "--join: there is no unfinished job on this database", hint="Leave --join out to begin a job."
            )
        return Decision()
    same_goal = _is_goal_of(job, request)
    _refuse_stopped(job, request)
    joins = request.join or (request.run_name is not None and same_goal)
    alive = _alive(jobs, job)
    if alive and not joins:
        # A runner that was killed a moment ago counts as alive until the server has detected that.
        time.sleep(_NOTICE_S)
        alive = _alive(jobs, job)
    if alive and not joins:
        raise JobRunningError(
            f"job {job.id} ({job.kind.value}, {_versions(job)}) is running {_where(alive)}, {percent(jobs, job)}% done",
            hint=_hint_beside(job, same_goal=same_goal),
        )
    if not request.join and (request.restart or _rolls_back(request, job)):
        return Decision(supersedes=job)
    if not same_goal and request.secondary and jobs.is_copy(job.id):
        # The job was copied together with the main database. There it runs on, or has ended.
        return Decision(supersedes=job)
    if not same_goal:
        raise ConfigurationError(
            f"job {job.id} ({job.kind.value}, {_versions(job)}) is not finished",
            hint=f"Finish it with `{job.command}`, or supersede it with --restart.",
        )
    _refuse_other_context(job, keyring, request)
    return Decision(resumes=job)


def _refuse_stopped(job: Job, request: JobRequest) -> None:
    if job.stop is not None and request.obeys_stop and _is_goal_of(job, request):
        raise JobStoppedError(
            f"job {job.id} was {job.stop}",
            hint="`fluxbase-cli secrets resume` lets it continue. The same command without --join and --run-name "
            "resumes it too.",
        )


def _hint_beside(job: Job, *, same_goal: bool) -> str:
    """What to do about a job that a process works on."""
    if job.stop is not None:
        return f"It was {job.stop}. Its processes end within some seconds; then run this again."
    if same_goal:
        return "`--join` works on the same job together with it; `fluxbase-cli secrets status` shows it."
    return (
        "Stop it first with `fluxbase-cli secrets stop` (you can resume it later, or roll it back); "
        "`fluxbase-cli secrets status` shows it."
    )


def _is_goal_of(job: Job, request: JobRequest) -> bool:
    return (job.kind, job.from_version, job.to_version) == (request.kind, request.goal.source, request.goal.target)


def _ended_run(jobs: JobStore, request: JobRequest, keyring: Keyring) -> Job | None:
    """The job that earlier processes of the same run have completed, if any.

    Raises:
        ConfigurationError: the name belongs to another kind of job, or somebody has superseded the job. A process that
            starts late, or again and again, must not undo what was done on purpose after that.
    """
    if request.run_name is None or not jobs.schema.exists():
        return None
    number = jobs.events.job_of_run(request.run_name)
    job = None if number is None else jobs.get(number)
    if job is None:
        return None
    if not _is_goal_of(job, request):
        raise ConfigurationError(
            f"the run {request.run_name} belongs to job {job.id} ({job.kind.value}, {_versions(job)})",
            hint="Give each run a different --run-name.",
        )
    if job.state is JobState.SUPERSEDED:
        raise ConfigurationError(
            f"job {job.id} of the run {request.run_name} was superseded by another job, so nothing begins",
            hint="`fluxbase-cli secrets status` shows which. Begin again with another --run-name.",
        )
    _refuse_other_context(job, keyring, request)
    return job


def _rolls_back(request: JobRequest, job: Job) -> bool:
    return request.kind is JobKind.ROLLBACK and job.kind is not JobKind.ROLLBACK


def _refuse_other_context(job: Job, keyring: Keyring, request: JobRequest) -> None:
    if job.catalogue != catalogue_digest(request.catalogue):
        raise ConfigurationError(
            f"job {job.id} was begun with another list of sealed locations",
            hint="Use the same version of fluxbase-cli and the same --locations on all machines, or begin again with "
            "--restart.",
        )
    recorded = {int(version): text for version, text in job.fingerprints.items()}
    same_versions = set(recorded) == set(keyring.versions)
    if not same_versions or not all(key.has_fingerprint(recorded[key.version]) for key in keyring.keys):
        raise ConfigurationError(
            f"job {job.id} was begun with other keys than the configured ones",
            hint="Compare fingerprints (`fluxbase-cli keys list`, `secrets status`), or begin again with --restart.",
        )


def _alive(jobs: JobStore, job: Job) -> list[Runner]:
    return [runner for runner in jobs.runners.of_job(job.id) if runner.alive]


def refuse_lost_tables(jobs: JobStore, job: Job, preflight: Preflight) -> None:
    """Raise an error if a table of the job does not exist any more.

    Raises:
        ConfigurationError: names these tables.
    """
    gone = jobs.shards.relations(job.id) - {relation.qualified for relation in preflight.relations}
    if gone:
        raise ConfigurationError(
            f"job {job.id} was begun with tables that are gone: {', '.join(sorted(gone))}",
            hint="Check host and database name. If this is the right database, begin again with --restart.",
        )


def refuse_unseen_standbys(connection: Connection, request: JobRequest) -> None:
    """Raise an error if the job has a limit for the lag of standbys and the role can't see that lag.

    Raises:
        PreflightRefusedError: the hint is the GRANT that fixes it.
    """
    if request.max_lag in (None, MaxLag()) or sees_standbys(connection):
        return
    raise PreflightRefusedError(
        "--max-replica-lag: this role may not see how far standbys are behind",
        hint=lines(("Ask someone who has the right to run:", "", f'    GRANT pg_monitor TO "{connection.info.user}";')),
    )


def _versions(job: Job) -> str:
    source = "any version" if job.from_version is None else f"version {job.from_version}"
    return f"{source} to {job.to_version}"


def _where(runners: list[Runner]) -> str:
    return ", ".join(f"on {runner.host} (process {runner.pid}, {runner.os_user})" for runner in runners)


def percent(jobs: JobStore, job: Job) -> int:
    """How much of a job is done, in percent; never 100 before its end."""
    if job.pass_number > 0:
        return 99
    return min(99, 100 * jobs.shards.rows_done(job.id) // max(job.total_rows, 1))


def fingerprints(keyring: Keyring) -> dict[str, str]:
    """The fingerprints of the keys by version, as they are stored with a job."""
    return {str(key.version): key.fingerprint for key in keyring.keys}
