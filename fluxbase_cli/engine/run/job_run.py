"""Runs a prepared job and returns its report. Re-encryption and rollback run in the same way."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace

import psycopg

from fluxbase_cli.config import DatabaseSettings
from fluxbase_cli.counts import Counts
from fluxbase_cli.engine.allowed_workers import allowed_workers
from fluxbase_cli.engine.cost import Cost, Estimate, VacuumCandidate
from fluxbase_cli.engine.cost_meter import CostMeter
from fluxbase_cli.engine.events import Message, Observer
from fluxbase_cli.engine.observe.vacuum import vacuum_all, vacuum_candidates
from fluxbase_cli.engine.outcome import JobReport
from fluxbase_cli.engine.prepare.estimate import TrialRun
from fluxbase_cli.engine.prepare.prepare import Prepared, read_all
from fluxbase_cli.engine.retry import retry_transient
from fluxbase_cli.engine.run.account import location_counts, values_handled
from fluxbase_cli.engine.run.catch_up import MOST_CATCH_UP_PASSES
from fluxbase_cli.engine.run.commit_watch import CommitWatch
from fluxbase_cli.engine.run.context import RunContext
from fluxbase_cli.engine.run.job_start import BeforeBegin, JobStart, recorded_job
from fluxbase_cli.engine.run.pool import Pool
from fluxbase_cli.engine.run.toast_vacuum import vacuumed_in_the_job
from fluxbase_cli.engine.run.worker_process import WorkerProcesses, describe_failure, share_workers
from fluxbase_cli.engine.stop import Stop
from fluxbase_cli.errors import JobFailedError
from fluxbase_cli.keyring import Keyring
from fluxbase_cli.log_events import LogEvent
from fluxbase_cli.store.connection import Connection, connect, first_line, session
from fluxbase_cli.store.jobs import JobStore
from fluxbase_cli.store.quarantine import Quarantine
from fluxbase_cli.store.records import Job, JobState
from fluxbase_cli.store.relation import Relation
from fluxbase_cli.unexamined import Unexamined

#: A job with fewer rows takes one or two seconds, and a trial run would take a large part of that time.
_WORTH_AN_ESTIMATE = 200_000
#: A further worker begins at once if there are so many values for each. One worker moves them before another one would
#: have connected.
_VALUES_A_WORKER = 2_000
#: Connections of a runner besides those of its workers: the heartbeat and the autovacuum lock.
_RUNNER_CONNECTIONS = 2
#: Without these no job can be done: the heartbeat, a worker, and the snapshot that it reads in a catch-up pass.
_LEAST_CONNECTIONS = 3


class JobRun:
    """Runs a prepared job.

    Args:
        database: the database.
        keyring: the keys.
        prepared: the result of `prepare`.
        stop: requested by signals.
        observer: gets the events.
        before_begin: a context manager, entered in the transaction in which the job begins, is resumed or joined, and
            left when that transaction is committed. If it raises an error, the job does not begin.
    """

    def __init__(  # noqa: PLR0913  # what a job needs
        self,
        database: DatabaseSettings,
        keyring: Keyring,
        prepared: Prepared,
        *,
        stop: Stop,
        observer: Observer,
        before_begin: BeforeBegin | None = None,
    ) -> None:
        self._database = database
        self._keyring = keyring
        self._prepared = prepared
        self._request = prepared.request
        self._stop = stop
        self._observer = observer
        self._before_begin = before_begin
        self._workers = prepared.request.workers
        self._estimate: Estimate | None = None
        self._meter: CostMeter | None = None
        self._vacuumed: tuple[Relation, ...] = ()
        self._names = tuple(prepared.plan.rows_by_location)

    def run(self) -> JobReport:
        """Run the job or the dry run, and return the report.

        Raises:
            JobRunningError: another process began a job meanwhile.
            JobStoppedError: somebody has stopped the job, and this request does not resume a stopped job.
            PreflightRefusedError: the progress tables can't be created.
            ConfigurationError: `before_begin` says that the target key can't be used any more.
        """
        started = time.monotonic()
        report = self._dry_run() if self._request.dry_run else self._real_run()
        report = replace(report, elapsed_seconds=time.monotonic() - started)
        if self._request.dry_run:
            return report if self._stop.requested else replace(report, estimate=self._try_out(rounds=2))
        if report.measured is not None:
            report = replace(report, measured=replace(report.measured, seconds=report.elapsed_seconds))
        if self._request.vacuum and report.state == "completed":
            relations = self._prepared.preflight.relations
            done = vacuum_all(
                self._database, relations, report.vacuum_candidates, stop=self._stop, observer=self._observer
            )
            report = replace(report, vacuum_candidates=done)
        return report

    def _try_out(self, *, rounds: int) -> Estimate:
        return TrialRun(self._database, self._keyring, self._prepared, stop=self._stop, rounds=rounds).run()

    def _dry_run(self) -> JobReport:
        result = read_all(self._database, self._keyring, self._prepared, self._stop, self._observer)
        locations = {
            location: tally.counts(self._request.goal, written=False) for location, tally in result.tallies.items()
        }
        total = sum(locations.values(), Counts())
        return self._report(
            job=None,
            state="interrupted" if self._stop.requested else "dry-run",
            locations=locations,
            remaining=total.re_encrypted,
            handled=total.scanned,
            quarantine=result.quarantine,
            unexamined=self._prepared.preflight.unexamined + result.unexamined,
        )

    def _real_run(self) -> JobReport:
        with CommitWatch(self._database, self._observer), session(self._database) as connection:
            # A worker needs a second connection in a catch-up pass.
            self._workers = allowed_workers(
                connection,
                self._workers,
                self._observer,
                each=2,
                besides=_RUNNER_CONNECTIONS * len(self._shares),
                least=_LEAST_CONNECTIONS,
            )
            jobs = JobStore(connection)
            jobs.schema.ensure()
            # The trial run comes before the job begins, so that it is not part of its cost. A resumed job gets no
            # estimate, because much of it is done already.
            decision = self._prepared.decision
            if decision.begins and self._prepared.plan.rows >= _WORTH_AN_ESTIMATE:
                self._estimate = self._try_out(rounds=1)
            relations = self._prepared.preflight.relations
            self._meter = CostMeter(connection, relations)
            self._vacuumed = vacuumed_in_the_job(connection, relations, self._meter.before)
            start = JobStart(self._prepared, self._keyring, self._observer, self._before_begin)
            job = start.begin(connection, jobs)
            if job.state is JobState.COMPLETED:
                return self._completed_before(jobs, job)
            start.set_control(jobs, job.id)
            runner = jobs.runners.register(job.id, self._shares[0])
            before = values_handled(jobs, job.id)
        return self._end(job.id, runner, before, self._work(runner, job))

    @property
    def _shares(self) -> tuple[int, ...]:
        """How many of the workers run in each process, this one first."""
        if self._request.alone:
            return (self._workers,)
        return share_workers(self._prepared.plan.work, self._workers)

    def _completed_before(self, jobs: JobStore, job: Job) -> JobReport:
        """The report of a job that earlier processes of this run have completed."""
        self._observer.notify(
            Message(
                LogEvent.JOB_COMPLETED_BEFORE,
                f"Job {job.id} of this run is completed; nothing is left to do",
                fields={"job": job.id},
            )
        )
        return self._report(
            job=job.id,
            state=job.state.value,
            locations=location_counts(jobs, job.id, self._names),
            remaining=job.remaining,
            handled=0,
            quarantine=jobs.quarantined(job.id),
        )

    def _work(self, runner: int, job: Job) -> str | None:
        """Run the workers. Return the reason if they fail, else None."""
        context = RunContext(
            self._database,
            self._keyring,
            self._prepared,
            job=job.id,
            runner=runner,
            began=job.began,
            # A job that gave up after this number of passes gets the same number again.
            last_pass=job.pass_number + MOST_CATCH_UP_PASSES,
            vacuumed=self._vacuumed,
        )
        own, *others = self._shares
        with WorkerProcesses(context, others, self._stop, self._observer) as processes:
            error = self._pool(context, own)
        return error or processes.failure

    def _pool(self, context: RunContext, workers: int) -> str | None:
        try:
            at_first = max(1, self._prepared.plan.work // _VALUES_A_WORKER)
            Pool(context, workers, self._stop, self._observer, at_first=at_first).run()
        except Exception as error:
            reason = describe_failure(error)
            if reason is None:
                raise
            return reason
        return None

    def _end(self, job: int, runner: int, before: int, error: str | None) -> JobReport:
        def account() -> JobReport:
            with CommitWatch(self._database, self._observer), connect(self._database) as connection:
                if self._stop.requested:
                    # What is recorded here must not wait for a synchronous standby that is down.
                    connection.execute("SET synchronous_commit = local")
                return self._account(connection, job, runner, before, error)

        try:
            # A new `Stop`, because the report must be made even after a stop was requested. The time limit is shorter
            # then.
            return retry_transient(account, Stop(), self._observer, retry_limit_s=4.0 if self._stop.requested else 20.0)
        except psycopg.Error as lost:
            raise JobFailedError(
                f"job {job}: {error or 'the database went away'}; its progress can't be read now: {first_line(lost)}",
                hint="What was committed stays. The same command resumes the job.",
            ) from None

    def _account(self, connection: Connection, job: int, runner: int, before: int, error: str | None) -> JobReport:
        jobs = JobStore(connection)
        jobs.runners.end(job, runner)
        recorded = recorded_job(jobs, job)
        if recorded.state is JobState.RUNNING:
            state = JobState.FAILED if error else JobState.INTERRUPTED
            jobs.runners.leave(job, runner, state, error)
            recorded = replace(recorded, state=state, error=error)
        if recorded.state is JobState.SUPERSEDED:
            # A report has no such state. For this process the job has failed.
            recorded = replace(recorded, state=JobState.FAILED, error="another job has superseded this one")
        jobs.events.add(recorded.state.value, job=job, detail={"error": recorded.error} if recorded.error else None)
        measured: Cost | None = None
        found: tuple[VacuumCandidate, ...] = ()
        if self._meter is not None:
            measured, table_sizes = self._meter.read(connection, self._keyring)
            found = vacuum_candidates(self._meter.before, table_sizes)
        report = self._report(
            job=job,
            state=recorded.state.value,
            locations=location_counts(jobs, job, self._names),
            remaining=recorded.remaining,
            handled=values_handled(jobs, job) - before,
            quarantine=jobs.quarantined(job),
            error=recorded.error,
            unexamined=jobs.unexamined(job),
        )
        return replace(report, estimate=self._estimate, measured=measured, vacuum_candidates=found)

    def _report(  # noqa: PLR0913  # the fields of the report
        self,
        *,
        job: int | None,
        state: str,
        locations: Mapping[str, Counts],
        remaining: int | None,
        handled: int,
        quarantine: Quarantine,
        error: str | None = None,
        unexamined: tuple[Unexamined, ...] = (),
    ) -> JobReport:
        return JobReport(
            job=job,
            kind=self._request.kind,
            state=state,
            from_version=self._request.goal.source,
            to_version=self._request.goal.target,
            reason=self._request.reason,
            locations=locations,
            remaining=remaining,
            elapsed_seconds=0.0,
            handled=handled,
            quarantine=quarantine,
            error=error,
            signal=self._stop.signal,
            stopped=self._stop.order if state == JobState.INTERRUPTED.value else None,
            warnings=self._prepared.preflight.warnings,
            unexamined=unexamined,
        )
