"""Runs one job in several databases: the main database, and those of branches and tenants.

Each database keeps its own progress. The job has the same number in all. A database that fails does not stop the
others.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import psycopg

from fluxbase_cli.catalogue.releases import Release
from fluxbase_cli.config import DatabaseSettings
from fluxbase_cli.counts import Counts
from fluxbase_cli.engine.events import Event, Message, Observer, Waiting
from fluxbase_cli.engine.further_databases import MAIN, in_parallel, list_databases, still_exists
from fluxbase_cli.engine.outcome import JobReport
from fluxbase_cli.engine.prepare.prepare import Prepared, prepare
from fluxbase_cli.engine.request import JobRequest
from fluxbase_cli.engine.run.job_run import JobRun
from fluxbase_cli.engine.run.job_start import BeforeBegin
from fluxbase_cli.engine.stop import Stop
from fluxbase_cli.errors import DatabaseError, FluxbaseCliError, NothingHereError
from fluxbase_cli.keyring import Keyring
from fluxbase_cli.log_events import LogEvent
from fluxbase_cli.store.connection import failure_text, session
from fluxbase_cli.store.databases import Databases, SecondaryDatabase
from fluxbase_cli.store.jobs import JobStore
from fluxbase_cli.store.quarantine import Quarantine
from fluxbase_cli.unexamined import Unexamined, UnexaminedKind, in_database


@dataclass(frozen=True, slots=True)
class PreparedDatabase:
    """A database in which a job will run.

    Attributes:
        name: the database's name.
        kind: `main`, `branch` or `tenant`.
        database: how to connect.
        prepared: the job there; None where it can't begin.
        error: why it can't begin.
    """

    name: str
    kind: str
    database: DatabaseSettings
    prepared: Prepared | None = None
    error: FluxbaseCliError | None = None


@dataclass(frozen=True, slots=True)
class PreparedDatabases:
    """All databases in which a job will run.

    Attributes:
        found: the databases that hold values, or may hold some.
        unexamined: lists of databases that this role may not read.
        several: whether the operator chose more than the main database.
    """

    found: tuple[PreparedDatabase, ...]
    unexamined: tuple[Unexamined, ...]
    several: bool

    @property
    def release(self) -> Release | None:
        """The release of the first database in which the job can begin. None if it can begin in none."""
        return next((target.prepared.preflight.release for target in self.found if target.prepared is not None), None)

    @property
    def opened_versions(self) -> frozenset[int]:
        """The versions whose keys have opened values of the key samples."""
        prepared = [target.prepared for target in self.found if target.prepared is not None]
        tallies = [tally for each in prepared for tally in each.plan.key_sample.samples.values()]
        return frozenset(version for tally in tallies for version, number in tally.by_version().items() if number)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the operator should know before the job begins."""
        warnings = [str(each) for each in self.unexamined]
        for target in self.found:
            name = f"{target.name}: " if self.several else ""
            if target.error is not None:
                warnings.append(f"{name}{target.error.message}")
            elif target.prepared is not None:
                warnings += [f"{name}{warning}" for warning in target.prepared.preflight.warnings]
        return tuple(warnings)


@dataclass(frozen=True, slots=True)
class DatabaseOutcome:
    """How the job ended in one database.

    Attributes:
        name, kind: the database.
        report: the report; None if the job could not begin or ended with an error.
        error: why there is no report.
    """

    name: str
    kind: str
    report: JobReport | None
    error: FluxbaseCliError | None = None

    @property
    def failed(self) -> bool:
        """Whether something is left to do in this database."""
        return self.report is None or self.report.state not in {"completed", "dry-run"}


@dataclass(frozen=True, slots=True)
class DatabasesReport:
    """The report of a job in several databases.

    Attributes:
        together: the report of all databases together, as if they were one.
        databases: the result of each database.
        several: whether the operator chose more than the main database.
    """

    together: JobReport
    databases: tuple[DatabaseOutcome, ...]
    several: bool


def prepare_databases(
    database: DatabaseSettings, keyring: Keyring, request: JobRequest, wanted: Databases, observer: Observer
) -> PreparedDatabases:
    """Prepare a job in each database. Writes nothing.

    Args:
        database: the main database.
        keyring: the keys.
        request: the job.
        wanted: which databases.
        observer: gets a rollback's dry count.

    Raises:
        FluxbaseCliError: the main database can't be read, or the job can't begin in it.
    """
    if wanted is Databases.MAIN:
        only = PreparedDatabase(database.name, MAIN, database, prepare(database, keyring, request, observer))
        return PreparedDatabases((only,), (), several=False)
    further = list_databases(database, wanted)
    targets: list[PreparedDatabase] = []
    if wanted.has_main:
        targets.append(PreparedDatabase(database.name, MAIN, database, prepare(database, keyring, request, observer)))
    for each in further.found:
        target = _prepare_secondary(database, keyring, request, each, observer)
        if target is not None:
            targets.append(target)
    number = 1 + max((_newest(target) for target in targets if target.prepared is not None), default=0)
    return PreparedDatabases(tuple(_numbered(target, number) for target in targets), further.unexamined, several=True)


def _prepare_secondary(
    main: DatabaseSettings, keyring: Keyring, request: JobRequest, further: SecondaryDatabase, observer: Observer
) -> PreparedDatabase | None:
    database = main.with_database(further.name)
    there = replace(request, secondary=True, alone=True)
    try:
        prepared = prepare(database, keyring, there, _Named(observer, further.name))
    except NothingHereError:
        return None
    except FluxbaseCliError as error:
        if not still_exists(main, further.name):
            return None
        return PreparedDatabase(further.name, further.kind, database, error=error)
    return PreparedDatabase(further.name, further.kind, database, prepared)


def _newest(target: PreparedDatabase) -> int:
    with session(target.database) as connection:
        return JobStore(connection).newest()


def _numbered(target: PreparedDatabase, number: int) -> PreparedDatabase:
    prepared = target.prepared
    if prepared is None or not prepared.decision.begins:
        return target
    return replace(target, prepared=replace(prepared, request=replace(prepared.request, number=number)))


class DatabasesRun:
    """Runs a job in several databases: first in the main database, then in several at a time.

    Args:
        keyring: the keys.
        targets: what `prepare_databases` returned.
        request: the job; its number of workers is the limit for all databases together.
        stop: requested by signals.
        observer: gets all events of the main database, and messages only from the others.
        before_begin: as for `JobRun`.
    """

    def __init__(  # noqa: PLR0913  # all that a job needs
        self,
        keyring: Keyring,
        targets: PreparedDatabases,
        request: JobRequest,
        *,
        stop: Stop,
        observer: Observer,
        before_begin: BeforeBegin | None = None,
    ) -> None:
        self._keyring = keyring
        self._targets = targets
        self._request = request
        self._stop = stop
        self._observer = observer
        self._before_begin = before_begin

    def run(self) -> DatabasesReport:
        """Run the jobs and report.

        Raises:
            FluxbaseCliError: as for `JobRun.run`, if the operator chose the main database only.
        """
        started = time.monotonic()
        if not self._targets.several:
            # Most installations have one database. Then its report and its errors are those of the command.
            return self._only(self._targets.found[0])
        main = [target for target in self._targets.found if target.kind == MAIN]
        others = [target for target in self._targets.found if target.kind != MAIN]
        outcomes = [self._run(target, self._observer, self._request.workers) for target in main]
        outcomes += in_parallel(others, self._run_secondary, self._request.workers)
        together = self._together(outcomes, time.monotonic() - started)
        return DatabasesReport(together, tuple(outcomes), several=True)

    def _only(self, target: PreparedDatabase) -> DatabasesReport:
        assert target.prepared is not None  # noqa: S101  # else it was refused
        report = self._job(target, target.prepared, self._observer).run()
        return DatabasesReport(report, (DatabaseOutcome(target.name, target.kind, report),), several=False)

    def _job(self, target: PreparedDatabase, prepared: Prepared, observer: Observer) -> JobRun:
        return JobRun(
            target.database,
            self._keyring,
            prepared,
            stop=self._stop,
            observer=observer,
            before_begin=self._before_begin,
        )

    def _run_secondary(self, target: PreparedDatabase, workers: int) -> DatabaseOutcome:
        observer = _Named(self._observer, target.name)
        outcome = self._run(target, observer, workers)
        state = outcome.error.message if outcome.error else outcome.report.state if outcome.report else "not begun"
        observer.notify(Message(LogEvent.DATABASE_DONE, state, warning=outcome.failed))
        return outcome

    def _run(self, target: PreparedDatabase, observer: Observer, workers: int) -> DatabaseOutcome:
        if target.prepared is None:
            return DatabaseOutcome(target.name, target.kind, None, target.error)
        if self._stop.requested:
            error: FluxbaseCliError = DatabaseError(f"not begun: {self._stop.order or 'stopped by a signal'}")
            return DatabaseOutcome(target.name, target.kind, None, error)
        prepared = replace(target.prepared, request=replace(target.prepared.request, workers=workers))
        try:
            report = self._job(target, prepared, observer).run()
        except FluxbaseCliError as error:
            return DatabaseOutcome(target.name, target.kind, None, error)
        except psycopg.Error as error:
            explained = DatabaseError(f"{target.database.describe()}: {failure_text(error)}")
            return DatabaseOutcome(target.name, target.kind, None, explained)
        return DatabaseOutcome(target.name, target.kind, report)

    def _together(self, outcomes: Sequence[DatabaseOutcome], elapsed_s: float) -> JobReport:
        reports = [outcome.report for outcome in outcomes if outcome.report is not None]
        failed = [outcome for outcome in outcomes if outcome.failed]
        unexamined = list(self._targets.unexamined)
        for outcome in outcomes:
            if outcome.report is not None:
                unexamined += in_database(outcome.report.unexamined, outcome.name)
            elif outcome.error is not None:
                unexamined.append(Unexamined(UnexaminedKind.DATABASE, outcome.name, outcome.error.message))
        locations: dict[str, Counts] = {}
        for report in reports:
            for name, counts in report.locations.items():
                locations[name] = locations.get(name, Counts()) + counts
        remaining = [report.remaining for report in reports]
        state = self._state(failed, unexamined)
        return JobReport(
            job=next((report.job for report in reports if report.job is not None), None),
            kind=self._request.kind,
            state=state,
            from_version=self._request.goal.source,
            to_version=self._request.goal.target,
            reason=self._request.reason,
            locations=locations,
            remaining=sum(number for number in remaining if number is not None) if None not in remaining else None,
            elapsed_seconds=elapsed_s,
            handled=sum(report.handled for report in reports),
            quarantine=Quarantine.together([report.quarantine for report in reports]),
            error=_error(failed, unexamined),
            signal=self._stop.signal,
            stopped=self._stop.order if state == "interrupted" else None,
            unexamined=tuple(unexamined),
        )

    def _state(self, failed: Sequence[DatabaseOutcome], unexamined: Sequence[Unexamined]) -> str:
        if self._stop.requested and failed:
            return "interrupted"
        if self._request.dry_run and not any(outcome.report is None for outcome in failed):
            return "dry-run"
        return "failed" if failed or unexamined else "completed"


def _error(failed: Sequence[DatabaseOutcome], unexamined: Sequence[Unexamined]) -> str | None:
    if failed:
        are = "databases are" if len(failed) > 1 else "database is"
        return f"{len(failed)} {are} not done: {', '.join(outcome.name for outcome in failed)}"
    return f"this could not be examined: {unexamined[0]}" if unexamined else None


class _Named:
    """Passes on the messages of one of several databases, with its name before them. Leaves out progress events."""

    def __init__(self, observer: Observer, name: str) -> None:
        self._observer = observer
        self._name = name
        self._lock = threading.Lock()

    def notify(self, event: Event) -> None:
        if isinstance(event, Message):
            event = replace(
                event, message=f"{self._name}: {event.message}", fields={**event.fields, "database": self._name}
            )
        elif isinstance(event, Waiting):
            event = replace(event, reason=f"{self._name}: {event.reason}")
        else:
            return
        with self._lock:
            self._observer.notify(event)
