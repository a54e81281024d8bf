"""Begins, resumes or joins a job."""

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
from fluxbase_cli.log_events import LogEvent
from fluxbase_cli.store.connection import Connection
from fluxbase_cli.store.fingerprints import replace_former
from fluxbase_cli.store.jobs import JobStore
from fluxbase_cli.store.records import Job, JobState, NewJob, StopRequest, Tuning
from fluxbase_cli.store.replication import connected_standbys

#: Its argument is the session on the main database in which a job begins; None if the job is in another database.
BeforeBegin = Callable[[Connection | None], AbstractContextManager[None]]


class JobStart:
    """Begins, resumes or joins the job of a prepared request.

    Args:
        prepared: the request and the results of the checks.
        keyring: the keys.
        observer: gets the events.
        before_begin: a context manager, entered in the transaction in which the job begins, is resumed or joined, and
            left when that transaction is committed. If it raises an error, the job does not begin.
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
            connection: a connection in autocommit.
            jobs: the progress tables over this connection.

        Returns:
            The job. It is completed already if earlier processes of the same run have done all of it.

        Raises:
            JobRunningError: another process began a job meanwhile.
            JobStoppedError: somebody has stopped the job, and this request does not resume a stopped job.
            ConfigurationError: `before_begin` says that the target key can't be used any more.
        """
        while True:
            # Decided again: some time may have passed before the operator confirmed.
            decision = decide(jobs, self._request, self._keyring)
            if not decision.is_as(self._prepared.decision):
                if self._request.run_name is None:
                    raise JobRunningError(
                        "another job was begun on this database meanwhile",
                        hint="`fluxbase-cli secrets status` shows it. When it has ended, run this again; or join it "
                        "with --join.",
                    )
                if decision.resumes is not None:
                    refuse_lost_tables(jobs, decision.resumes, self._prepared.preflight)
            if decision.ended is not None:
                return decision.ended
            try:
                if decision.resumes is not None:
                    return self._resume(connection, jobs, decision.resumes)
                return self._create(connection, jobs, decision.supersedes)
            except JobRunningError:
                # If processes of one run start at the same moment, one begins the job and the others join it.
                if self._request.run_name is None:
                    raise

    def set_control(self, jobs: JobStore, job: int) -> None:
        """Set the limits of the request. Limits that it does not name stay as an earlier run or `tune` has set them."""
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
        """Check the keys once more: somebody may have destroyed one before the operator confirmed."""
        if self._before_begin is not None:
            keys.enter_context(self._before_begin(None if self._request.secondary else connection))
        replace_former(connection, [(key.former_fingerprint, key.fingerprint) for key in self._keyring.keys])

    def _resume(self, connection: Connection, jobs: JobStore, job: Job) -> Job:
        moved = False
        joins = self._request.join or any(runner.alive for runner in jobs.runners.of_job(job.id))
        with ExitStack() as keys, connection.transaction():
            self._check_keys(connection, keys)
            jobs.set_state(job.id, JobState.RUNNING)
            lifted = self._lift_stop(jobs, job)
            jobs.runners.free_dead_leases(job.id)
            if not joins:
                # A catch-up pass from before the interruption is out of date: others may have written since.
                jobs.shards.repeat_catch_up(job.id)
                moved = jobs.storage(job.id, self._prepared.preflight.relations) != job.storage
                if moved:
                    jobs.note_restored(job.id)
            # How far the job is now. The rate of the job is computed from here.
            start = {"rows_done": jobs.shards.rows_done(job.id), "scanned": values_handled(jobs, job.id)}
            jobs.events.add("joined" if joins else "resumed", job=job.id, detail=start | self._run())
        verb = "Joining" if joins else "Resuming"
        done = percent(jobs, job)
        self._observer.notify(
            Message(
                LogEvent.JOB_JOINED if joins else LogEvent.JOB_RESUMED,
                f"{verb} job {job.id}: {done}% done",
                fields={"job": job.id, "percent": done},
            )
        )
        if moved:
            self._observer.notify(
                Message(
                    LogEvent.JOB_TABLES_CHANGED,
                    "The tables are not as the job left them (restored, copied, rewritten, or with other triggers): "
                    "every value is opened again",
                    warning=True,
                )
            )
        if lifted is not None:
            self._observer.notify(
                Message(
                    LogEvent.JOB_STOP_LIFTED,
                    f"Job {job.id} was {lifted}; it is not stopped any more",
                    fields={"job": job.id},
                )
            )
        self._observer.notify(PassStarted(0, self._prepared.plan.rows_by_location, self._rows_done(jobs, job)))
        return recorded_job(jobs, job.id)

    def _lift_stop(self, jobs: JobStore, job: Job) -> StopRequest | None:
        """Withdraw the request to stop the job that was there when this request was prepared, and return it.

        A later request stays. The heartbeat reads it before the first batch.
        """
        prepared = self._prepared.decision.resumes
        seen = None if self._request.obeys_stop or prepared is None else prepared.stop
        return seen if seen is not None and jobs.lift_stop(job.id, seen) else None

    def _create(self, connection: Connection, jobs: JobStore, superseded: Job | None) -> Job:
        # One transaction: a job is never stored without the event that says who began it, and under which name.
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
                    # A trigger that fires on our updates could change what we wrote, so the catch-up pass opens
                    # everything again.
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
            start = {"rows_done": 0, "scanned": 0}
            # `keys destroy` later checks these standbys, even if they are no longer connected then.
            standbys = {"standbys": connected_standbys(connection)}
            detail = goal | start | standbys | self._run()
            jobs.events.add("started", job=job, reason=self._request.reason, detail=detail)
            jobs.note_storage(job, self._prepared.preflight.relations)
        self._observer.notify(PassStarted(0, self._prepared.plan.rows_by_location, {}))
        return recorded_job(jobs, job)

    def _run(self) -> dict[str, str]:
        """The name of the run, and the plan that it runs."""
        named = {"run_name": self._request.run_name, "plan": self._request.plan}
        return {name: text for name, text in named.items() if text is not None}

    def _rows_done(self, jobs: JobStore, job: Job) -> Mapping[str, int]:
        done: dict[str, int] = {}
        for total in jobs.shards.totals(job.id):
            if total.pass_number == 0:
                done[total.table] = done.get(total.table, 0) + total.rows_done
        return {location: done.get(location.rpartition(".")[0], 0) for location in self._prepared.plan.rows_by_location}


def recorded_job(jobs: JobStore, number: int) -> Job:
    """Read the job with this number from the database."""
    job = jobs.get(number)
    if job is None:  # pragma: no cover  # jobs are never deleted by us
        raise JobFailedError(
            f"job {number} is not in the tables of schema fluxbase_rotation any more",
            hint="What was committed stays. Run the same command again: it begins a new job.",
        )
    return job
