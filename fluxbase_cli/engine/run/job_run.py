"""A job from its preparation to its account: re-encryption and rollback are the same engine, both ways."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, replace

import psycopg

from fluxbase_cli.catalogue.locations import catalogue_digest
from fluxbase_cli.config import DatabaseSettings
from fluxbase_cli.counts import Counts
from fluxbase_cli.engine.cost import Cost, Estimate, VacuumCandidate
from fluxbase_cli.engine.events import Message, NullObserver, Observer, PassStarted
from fluxbase_cli.engine.goal import Goal
from fluxbase_cli.engine.observe.vacuum import vacuum_all, vacuum_candidates
from fluxbase_cli.engine.outcome import JobReport
from fluxbase_cli.engine.prepare.estimate import CostMeter, TrialRun
from fluxbase_cli.engine.prepare.plan import Plan, make_plan
from fluxbase_cli.engine.prepare.resume import (
    Decision,
    decide,
    fingerprints,
    percent,
    refuse_lost_tables,
    refuse_unseen_standbys,
)
from fluxbase_cli.engine.read.full_read import FullRead, ReadResult
from fluxbase_cli.engine.request import JobRequest
from fluxbase_cli.engine.retry import retry_transient
from fluxbase_cli.engine.run.catch_up import MOST_CENSUSES
from fluxbase_cli.engine.run.pool import Pool
from fluxbase_cli.engine.run.worker import Assignment
from fluxbase_cli.engine.run.worker_process import WorkerProcess, describe_failure, second_process_workers
from fluxbase_cli.engine.stop import Stop
from fluxbase_cli.engine.throttle.autovacuum_lock import LARGE_ROWS
from fluxbase_cli.engine.throttle.throttler import BatchPolicy
from fluxbase_cli.errors import JobFailedError, JobRunningError, NothingHereError
from fluxbase_cli.keyring import Keyring
from fluxbase_cli.store.connection import Connection, connect, first_line, for_values, session
from fluxbase_cli.store.jobs import JobStore
from fluxbase_cli.store.preflight import Preflight, inspect
from fluxbase_cli.store.records import Job, JobKind, JobState, NewJob, QuarantineEntry, Tuning
from fluxbase_cli.store.replication import connected_standbys
from fluxbase_cli.unexamined import Unexamined

#: Given the session on the main database in which a job begins, or None where the job is in another one.
BeforeBegin = Callable[[Connection | None], AbstractContextManager[None]]
#: A job with fewer rows is done in a second or two, of which a rehearsal would be a good part.
_WORTH_A_FORECAST = 200_000


@dataclass(frozen=True, slots=True)
class Prepared:
    """A job that may begin: all checks passed, nothing touched yet.

    Attributes:
        request: what was asked for.
        preflight: what the database is like.
        plan: what there is to do.
        decision: what becomes of a job that is not finished.
        dry_count: what the job would come to, opened value by value; only before a new rollback.
    """

    request: JobRequest
    preflight: Preflight
    plan: Plan
    decision: Decision
    dry_count: Counts | None = None


def prepare(
    database: DatabaseSettings, keyring: Keyring, request: JobRequest, observer: Observer | None = None
) -> Prepared:
    """Check everything that can be checked without writing.

    Whoever rolls back is in trouble already: before the first write every value is opened once, and it is told how many
    would move and how many nothing opens.

    Args:
        database: where.
        keyring: the keys.
        request: what is asked for.
        observer: is told of the dry count.

    Raises:
        ConfigurationError: a key version is not configured, or the connection is refused.
        DatabaseError: the server can't be reached.
        PreflightRefusedError: database or role are not fit.
        WrongKeyError: the canary says that the key is not the key.
        JobRunningError: another process is at work.
    """
    keyring.key(request.goal.target)
    if request.goal.source is not None:
        keyring.key(request.goal.source)
    with session(database) as connection:
        preflight = inspect(
            connection,
            write=not request.dry_run,
            allow_triggers=request.allow_triggers,
            catalogue=request.catalogue,
            secondary=request.secondary,
        )
        if request.secondary and not preflight.relations and not preflight.unexamined:
            raise NothingHereError(f"database {database.name} holds no sealed tables of its own")
        preflight.refuse_if_unfit()
        jobs = JobStore(connection)
        decision = Decision()
        if not request.dry_run:
            jobs.schema.refuse_if_missing()
            decision = decide(jobs, request, keyring)
            refuse_unseen_standbys(connection, request)
        if decision.resumes is not None:
            refuse_lost_tables(jobs, decision.resumes, preflight)
        plan = make_plan(for_values(connection), preflight.relations, preflight.access, keyring)
    if not request.accept_undecryptable:
        plan.key_sample.refuse_wrong_key(request.goal)
    prepared = Prepared(request, preflight, plan, decision)
    if request.kind is JobKind.ROLLBACK and not request.dry_run and decision.begins:
        findings = _read_all(database, keyring, prepared, Stop(), observer or NullObserver())
        return replace(prepared, dry_count=_report_dry_count(findings, request.goal, observer or NullObserver()))
    return prepared


def _read_all(
    database: DatabaseSettings, keyring: Keyring, prepared: Prepared, stop: Stop, observer: Observer
) -> ReadResult:
    """Open every value, write nothing."""
    request = prepared.request
    return FullRead(
        database,
        prepared.preflight.access,
        keyring,
        limits=request.limits,
        workers=request.workers,
        stop=stop,
        observer=observer,
        goal=request.goal,
        catalogue=request.catalogue,
        wait_s=request.wait_s,
    ).run(prepared.plan)


def _report_dry_count(findings: ReadResult, goal: Goal, observer: Observer) -> Counts:
    counts = sum((tally.counts(goal, written=False) for tally in findings.tallies.values()), Counts())
    observer.notify(
        Message(
            f"Dry count: {counts.scanned} secrets, of which {counts.re_encrypted} open and would move to version "
            f"{goal.target}; {counts.already_current} are under it already"
        )
    )
    if counts.undecryptable:
        observer.notify(
            Message(f"{counts.undecryptable} secrets open under no key and would stay as they are", warning=True)
        )
    return counts


class JobRun:
    """Carries out a prepared job.

    Args:
        database: where.
        keyring: the keys.
        prepared: what `prepare` returned.
        stop: asked for by signals.
        observer: is told what happens.
        before_begin: is called in the transaction in which the job is begun, resumed or joined, and left when that has
            been committed. What it raises keeps the job from beginning.
    """

    def __init__(  # noqa: PLR0913  # what a job is told
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
        self._estimate: Estimate | None = None
        self._meter: CostMeter | None = None

    def run(self) -> JobReport:
        """Do the job, or the dry run, and give the account.

        Raises:
            JobRunningError: another process began one meanwhile.
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
        prepared = self._prepared
        return TrialRun(
            self._database,
            self._keyring,
            self._request,
            prepared.preflight,
            prepared.plan,
            stop=self._stop,
            rounds=rounds,
        ).run()

    def _dry_run(self) -> JobReport:
        findings = _read_all(self._database, self._keyring, self._prepared, self._stop, self._observer)
        locations = {
            location: tally.counts(self._request.goal, written=False) for location, tally in findings.tallies.items()
        }
        total = sum(locations.values(), Counts())
        return self._report(
            job=None,
            state="interrupted" if self._stop.requested else "dry-run",
            locations=locations,
            remaining=total.re_encrypted,
            handled=total.scanned,
            quarantine=findings.quarantine,
            unexamined=self._prepared.preflight.unexamined + findings.unexamined,
        )

    def _real_run(self) -> JobReport:
        with session(self._database) as connection:
            jobs = JobStore(connection)
            jobs.schema.ensure()
            # Before the job begins, so that it is no part of it; of one that is gone on with much is done already.
            decision = self._prepared.decision
            if decision.begins and self._prepared.plan.rows >= _WORTH_A_FORECAST:
                self._estimate = self._try_out(rounds=1)
            self._meter = CostMeter(connection, self._prepared.preflight.relations)
            job = self._begin(connection, jobs)
            if job.state is JobState.COMPLETED:
                return self._completed_before(jobs, job)
            self._order(jobs, job.id)
            helping = self._helping
            runner = jobs.runners.register(job.id, self._request.workers - helping)
            before = self._handled(jobs, job.id)
        return self._end(job.id, runner, before, self._work(runner, job))

    @property
    def _helping(self) -> int:
        """How many of the workers a second process has."""
        return 0 if self._request.alone else second_process_workers(self._prepared.plan.rows, self._request.workers)

    def _begin(self, connection: Connection, jobs: JobStore) -> Job:
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
            mark = {"rows_done": jobs.shards.rows_done(job.id), "scanned": self._handled(jobs, job.id)}
            jobs.events.add("joined" if joins else "resumed", job=job.id, detail=mark | self._run_name())
        verb = "Joining" if joins else "Resuming"
        self._observer.notify(Message(f"{verb} job {job.id}: {percent(jobs, job)}% done"))
        self._observer.notify(PassStarted(0, self._prepared.plan.rows_by_location, self._rows_done(jobs, job)))
        return self._recorded(jobs, job.id)

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
        return self._recorded(jobs, job)

    def _run_name(self) -> dict[str, str]:
        return {} if self._request.run_name is None else {"run_name": self._request.run_name}

    @staticmethod
    def _recorded(jobs: JobStore, number: int) -> Job:
        job = jobs.get(number)
        if job is None:  # pragma: no cover  # jobs are never deleted by us
            message = f"job {number} has vanished"
            raise JobFailedError(message)
        return job

    def _completed_before(self, jobs: JobStore, job: Job) -> JobReport:
        """The account of a job that earlier processes of this run have completed."""
        self._observer.notify(Message(f"Job {job.id} of this run is completed; nothing is left to do"))
        return self._report(
            job=job.id,
            state=job.state.value,
            locations=self.locations(jobs, job.id),
            remaining=job.remaining,
            handled=0,
            quarantine=tuple(jobs.quarantined(job.id)),
        )

    def _order(self, jobs: JobStore, job: int) -> None:
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

    def _rows_done(self, jobs: JobStore, job: Job) -> Mapping[str, int]:
        done: dict[str, int] = {}
        for total in jobs.shards.totals(job.id):
            if total.pass_number == 0:
                done[total.table] = done.get(total.table, 0) + total.rows_done
        return {location: done.get(location.rpartition(".")[0], 0) for location in self._prepared.plan.rows_by_location}

    def _work(self, runner: int, job: Job) -> str | None:
        """Run the pool; return why it failed, if it did."""
        assignment = Assignment(
            job=job.id,
            runner=runner,
            goal=self._request.goal,
            catalogue=self._request.catalogue,
            relations={relation.qualified: relation for relation in self._prepared.preflight.relations},
            large=tuple(relation for relation, found in self._prepared.plan.stats.items() if found.rows >= LARGE_ROWS),
            began=job.began,
            # A job that was given up after so many censuses gets as many again.
            last_census=job.pass_number + MOST_CENSUSES,
            access=self._prepared.preflight.access,
            limits=self._request.limits,
            policy=BatchPolicy(self._request.limits.rows, self._request.batch_s),
            keyring=self._keyring,
            database=self._database,
            retry_limit_s=self._request.retry_limit_s,
            wait_s=self._request.wait_s,
            tokens=self._prepared.plan.key_sample.tokens,
        )
        helping = self._helping
        with WorkerProcess(assignment, helping, self._stop, self._observer) as helper:
            error = self._pool(assignment, self._request.workers - helping)
        return error or helper.failure

    def _pool(self, assignment: Assignment, workers: int) -> str | None:
        try:
            Pool(assignment, workers, self._stop, self._observer).run()
        except Exception as error:
            reason = describe_failure(error)
            if reason is None:
                raise
            return reason
        return None

    def _end(self, job: int, runner: int, before: int, error: str | None) -> JobReport:
        def account() -> JobReport:
            with connect(self._database) as connection:
                return self._account(connection, job, runner, before, error)

        try:
            # A stop was asked for perhaps, and yet the account is owed: with a patience of its own.
            return retry_transient(account, Stop(), self._observer, retry_limit_s=4.0 if self._stop.requested else 20.0)
        except psycopg.Error as lost:
            raise JobFailedError(
                f"job {job}: {error or 'the database went away'}; its progress can't be read now: {first_line(lost)}",
                hint="What was committed stays. The same command goes on from there.",
            ) from None

    def _account(self, connection: Connection, job: int, runner: int, before: int, error: str | None) -> JobReport:
        jobs = JobStore(connection)
        jobs.runners.end(job, runner)
        recorded = self._recorded(jobs, job)
        if recorded.state is JobState.RUNNING:
            state = JobState.FAILED if error else JobState.INTERRUPTED
            jobs.runners.leave(job, runner, state, error)
            recorded = replace(recorded, state=state, error=error)
        if recorded.state is JobState.SUPERSEDED:
            # Not one of the states that a report knows: for this process the job has failed.
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
            locations=self.locations(jobs, job),
            remaining=recorded.remaining,
            handled=self._handled(jobs, job) - before,
            quarantine=tuple(jobs.quarantined(job)),
            error=recorded.error,
            unexamined=jobs.unexamined(job),
        )
        return replace(report, estimate=self._estimate, measured=measured, vacuum_candidates=found)

    def locations(self, jobs: JobStore, job: int) -> Mapping[str, Counts]:
        """The job's counts by location."""
        return location_counts(jobs, job, tuple(self._prepared.plan.rows_by_location))

    @staticmethod
    def _handled(jobs: JobStore, job: int) -> int:
        return sum(counts.scanned for total in jobs.shards.totals(job) for counts in total.counts.values())

    def _report(  # noqa: PLR0913  # the fields of the report
        self,
        *,
        job: int | None,
        state: str,
        locations: Mapping[str, Counts],
        remaining: int | None,
        handled: int,
        quarantine: tuple[QuarantineEntry, ...],
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
            warnings=self._prepared.preflight.warnings,
            unexamined=unexamined,
        )


def location_counts(jobs: JobStore, job: int, names: tuple[str, ...]) -> Mapping[str, Counts]:
    """A job's counts by `schema.table.column`, over all its runs.

    Values that only a closing census found to be unopenable are counted too, by their entries in the quarantine.
    """
    counts = dict.fromkeys(names, Counts())
    for total in jobs.shards.totals(job):
        for column, found in total.counts.items():
            location = f"{total.table}.{column}"
            counts[location] = counts.get(location, Counts()) + found
    listed = dict.fromkeys(counts, 0)
    for entry in jobs.quarantined(job):
        listed[entry.location] = listed.get(entry.location, 0) + 1
    for location, number in listed.items():
        found = counts.get(location, Counts())
        if number > found.undecryptable:
            counts[location] = replace(
                found, scanned=found.scanned + number - found.undecryptable, undecryptable=number
            )
    return counts
