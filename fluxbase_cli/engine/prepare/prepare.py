"""Checks everything before a job writes for the first time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

from fluxbase_cli.config import DatabaseSettings
from fluxbase_cli.counts import Counts, secrets, worded
from fluxbase_cli.engine.events import Message, NullObserver, Observer
from fluxbase_cli.engine.goal import Goal
from fluxbase_cli.engine.prepare.plan import Plan, make_plan
from fluxbase_cli.engine.prepare.resume import (
    Decision,
    decide,
    refuse_lost_tables,
    refuse_unseen_standbys,
)
from fluxbase_cli.engine.read.collected import ReadResult
from fluxbase_cli.engine.read.full_read import FullRead
from fluxbase_cli.engine.request import JobRequest
from fluxbase_cli.engine.retry import retry_reading
from fluxbase_cli.engine.stop import Stop
from fluxbase_cli.errors import NothingHereError
from fluxbase_cli.keyring import Keyring
from fluxbase_cli.log_events import LogEvent
from fluxbase_cli.store.connection import for_values, session
from fluxbase_cli.store.jobs import JobStore
from fluxbase_cli.store.obstacles import Allowed
from fluxbase_cli.store.preflight import Preflight, inspect
from fluxbase_cli.store.records import JobKind

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Prepared:
    """A job that may begin: all checks passed, nothing written yet.

    Attributes:
        request: the request of the operator.
        preflight: what the preflight checks found.
        plan: what there is to do.
        decision: what to do with an unfinished job.
        dry_count: what the job would do, from opening every value; only before a new rollback.
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

    An operator who rolls back already has a problem. So before the first write of a rollback every value is opened
    once, and the operator sees how many would move and how many are undecryptable.

    Args:
        database: how to connect.
        keyring: the keys.
        request: the request of the operator.
        observer: gets the dry count.

    Raises:
        ConfigurationError: a key version is not configured, or the connection is refused.
        DatabaseError: the server can't be reached.
        PreflightRefusedError: the database or the role does not meet a condition.
        WrongKeyError: the key sample shows that the key is wrong.
        JobRunningError: another process works on a job.
        JobStoppedError: somebody has stopped the job, and this request does not resume a stopped job.
    """
    keyring.key(request.goal.target)
    if request.goal.source is not None:
        keyring.key(request.goal.source)
    with session(database) as connection:

        def read(action: Callable[[], _T]) -> _T:
            # Somebody may hold a table or a system catalogue locked.
            return retry_reading(
                connection, action, Stop(), observer or NullObserver(), retry_limit_s=request.retry_limit_s
            )

        preflight = read(
            lambda: inspect(
                connection,
                write=not request.dry_run,
                tells=request.dry_run,
                allowed=Allowed(triggers=request.allow_triggers, publications=request.allow_publications),
                catalogue=request.catalogue,
                secondary=request.secondary,
            )
        )
        if request.secondary and not preflight.relations and not preflight.unexamined:
            raise NothingHereError(f"database {database.name} holds no sealed tables")
        preflight.refuse_if_unfit()
        jobs = JobStore(connection)
        decision = Decision()
        if not request.dry_run:
            jobs.schema.refuse_if_missing()
            decision = decide(jobs, request, keyring)
            refuse_unseen_standbys(connection, request)
        if decision.resumes is not None:
            refuse_lost_tables(jobs, decision.resumes, preflight)
        for_values(connection)
        plan = read(lambda: make_plan(connection, preflight.relations, preflight.access, keyring))
    if not request.accept_undecryptable:
        plan.key_sample.refuse_wrong_key(request.goal)
    prepared = Prepared(request, preflight, plan, decision)
    if request.kind is JobKind.ROLLBACK and not request.dry_run and decision.begins:
        result = read_all(database, keyring, prepared, Stop(), observer or NullObserver())
        return replace(prepared, dry_count=_report_dry_count(result, request.goal, observer or NullObserver()))
    return prepared


def read_all(
    database: DatabaseSettings, keyring: Keyring, prepared: Prepared, stop: Stop, observer: Observer
) -> ReadResult:
    """Open every value and write nothing."""
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
        alone=request.alone,
    ).run(prepared.plan)


def _report_dry_count(result: ReadResult, goal: Goal, observer: Observer) -> Counts:
    counts = sum((tally.counts(goal, written=False) for tally in result.tallies.values()), Counts())
    observer.notify(
        Message(
            LogEvent.JOB_COUNTED,
            f"Scanned {secrets(counts.scanned)}. Would re-encrypt {secrets(counts.re_encrypted)} to version "
            f"{goal.target} (already using it: {counts.already_current})",
        )
    )
    if counts.undecryptable:
        observer.notify(
            Message(
                LogEvent.JOB_COUNTED,
                f"{worded(counts.undecryptable, 'secret opens', 'secrets open')} under no key and would stay as "
                f"{'it is' if counts.undecryptable == 1 else 'they are'}",
                warning=True,
            )
        )
    return counts
