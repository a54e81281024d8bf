"""How a job begins, is resumed, or is joined."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack

from fluxbase_cli.catalogue.locations import catalogue_digest
from fluxbase_cli.engine.events import Message, Observer, PassStarted
from fluxbase_cli.engine.prepare.prepare import Prepared
from fluxbase_cli.engine.prepare.resume import (
    decide,
    fingerprints,
    percent,
    refuse_lost_tables,
)
from fluxbase_cli.engine.run.account import values_handled
from fluxbase_cli.errors import JobFailedError, JobRunningError
from fluxbase_cli.keyring import Keyring
from fluxbase_cli.store.connection import Connection
from fluxbase_cli.store.jobs import JobStore
from fluxbase_cli.store.records import Job, JobState, NewJob, Tuning
from fluxbase_cli.store.replication import connected_standbys

#: Given the session on the main database in which a job begins, or None where the job is in another one.
BeforeBegin = Callable[[Connection | None], AbstractContextManager[None]]


class JobStart:
    """Begins, resumes or joins the job of a prepared request.

    Args:
        prepared: what was asked for, and what the database is like.
        keyring: the keys.
        observer: is told what happens.
        before_begin: is called in the transaction in which the job begins, is resumed or joined, and left when that
            transaction is committed. What it raises keeps the job from beginning.
    """

    def __init__(
        self, prepared: Prepared, keyring: Keyring, observer: Observer, before_begin: BeforeBegin | None
    ) -> None:
        self._prepared = prepared
        self._request = prepared.request
        self._keyring = keyring
        self._observer = observer
        self._before_begin = before_begin

    def begin(self, connection: Connection, jobs: JobStore) -> Job:
        """Begin, resume or join the job.

        Args:
            connection: in autocommit.
            jobs: the progress tables over it.

        Returns:
            The job; one that is completed already where earlier processes of the same run have done all of it.

        Raises:
            JobRunningError: another process began one meanwhile.
            ConfigurationError: `before_begin` says that the target key can't be used any more.
        """
        while True:
            # Asked again: the operator may have thought a while before he said yes.
            decision = decide(jobs, self._request, self._keyring)
            if not decision.is_as(self._prepared.decision):
                if self._request.run_name is None:
                    raise JobRunningError(
                        "another job was begun on this database meanwhile",
                        hint="`fluxbase-cli secrets status` shows it.",
                    )
                if decision.resumes is not None:
                    refuse_lost_tables(jobs, decision.resumes, self._prepared.preflight)
            if decision.ended is not None:
                return decision.ended
            try:
                if decision.resumes is not None:
                    return self._take_up(connection, jobs, decision.resumes)
                return self._create(connection, jobs, decision.supersedes)
            except JobRunningError:
                # Of processes of one run that come at the same moment one begins the job, and the others join it.
                if self._request.run_name is None:
                    raise

    def set_control(self, jobs: JobStore, job: int) -> None:
        """Set the limits that were asked for; those that were not stay as an earlier run or `tune` has left them."""
        lag = self._request.max_lag
        tuning = Tuning(
            max_rate_per_s=self._request.max_rate_per_s,
            max_lag_s=None if lag is None else lag.seconds or 0.0,
            max_lag_bytes=None if lag is None else lag.size or 0,
        )
        if tuning:
            jobs.tune(job, tuning)
            jobs.events.add("tuned", job=job, detail=tuning.given())

    def _check_keys(self, connection: Connection, keys: ExitStack) -> None:
        """Look at the keys once more: somebody may have destroyed one while the operator thought about his answer."""
        if self._before_begin is not None:
            keys.enter_context(self._before_begin(None if self._request.secondary else connection))

    def _take_up(self, connection: Connection, jobs: JobStore, job: Job) -> Job:
        joins = self._request.join or any(runner.alive for runner in jobs.runners.of_job(job.id))
        with ExitStack() as keys, connection.transaction():
            self._check_keys(connection, keys)
            jobs.set_state(job.id, JobState.RUNNING)
            jobs.runners.free_dead_leases(job.id)
            if not joins:
                # A closing census speaks of the time before the interruption: others may have written since.
                jobs.shards.repeat_census(job.id)
            # Where the job stood then: what it has come to since, and in what time, is its rate.
            mark = {"rows_done": jobs.shards.rows_done(job.id), "scanned": values_handled(jobs, job.id)}
            jobs.events.add("joined" if joins else "resumed", job=job.id, detail=mark | self._run_name())
        verb = "Joining" if joins else "Resuming"
        self._observer.notify(Message(f"{verb} job {job.id}: {percent(jobs, job)}% done"))
        self._observer.notify(PassStarted(0, self._prepared.plan.rows_by_location, self._rows_done(jobs, job)))
        return recorded_job(jobs, job.id)

    def _create(self, connection: Connection, jobs: JobStore, superseded: Job | None) -> Job:
        # The job and the record of who began it, and under which name, stand or fall together.
        with ExitStack() as keys, connection.transaction():
            self._check_keys(connection, keys)
            job = jobs.create(
                NewJob(
                    kind=self._request.kind,
                    from_version=self._request.goal.source,
                    to_version=self._request.goal.target,
                    reason=self._request.reason,
                    fingerprints=fingerprints(self._keyring),
                    catalogue=catalogue_digest(self._request.catalogue),
                    # A trigger that fires on our updates could change what we wrote, so it is all opened again.
                    full_census=self._prepared.preflight.triggers_fire,
                    total_rows=self._prepared.plan.rows,
                    shard_layouts=self._prepared.plan.shard_layouts,
                    number=self._request.number,
                ),
                supersede=None if superseded is None else superseded.id,
            )
            if superseded is not None:
                jobs.events.add("superseded", job=superseded.id, reason=self._request.reason, detail={"by": job})
            goal = {
                "kind": self._request.kind.value,
                "from_version": self._request.goal.source,
                "to_version": self._request.goal.target,
            }
            mark = {"rows_done": 0, "scanned": 0}
            # `keys destroy` asks later where they are, be it that they are no longer connected then.
            standbys = {"standbys": connected_standbys(connection)}
            detail = goal | mark | standbys | self._run_name()
            jobs.events.add("started", job=job, reason=self._request.reason, detail=detail)
        self._observer.notify(PassStarted(0, self._prepared.plan.rows_by_location, {}))
        return recorded_job(jobs, job)

    def _run_name(self) -> dict[str, str]:
        return {} if self._request.run_name is None else {"run_name": self._request.run_name}

    def _rows_done(self, jobs: JobStore, job: Job) -> Mapping[str, int]:
        done: dict[str, int] = {}
        for total in jobs.shards.totals(job.id):
            if total.pass_number == 0:
                done[total.table] = done.get(total.table, 0) + total.rows_done
        return {location: done.get(location.rpartition(".")[0], 0) for location in self._prepared.plan.rows_by_location}


def recorded_job(jobs: JobStore, number: int) -> Job:
    """The job of that number, as it is recorded now."""
    job = jobs.get(number)
    if job is None:  # pragma: no cover  # jobs are never deleted by us
        message = f"job {number} has vanished"
        raise JobFailedError(message)
    return job
