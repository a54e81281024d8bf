"""Compares a plan with the database, the keys and the jobs as they are now. What differs refuses the run.

What may change: a server writes while somebody reads the plan. So the number of values of a location may differ by a
tenth, or by a hundred. All else must be as it was.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from fluxbase_cli.catalogue.locations import catalogue_digest
from fluxbase_cli.config import DatabaseSettings
from fluxbase_cli.engine.databases import PreparedDatabase, PreparedDatabases
from fluxbase_cli.engine.request import JobRequest
from fluxbase_cli.keyring import Keyring
from fluxbase_cli.plans.plan_file import PlannedDatabase, SavedPlan
from fluxbase_cli.store.connection import session
from fluxbase_cli.store.identity import DatabaseIdentity, identify
from fluxbase_cli.store.jobs import JobStore
from fluxbase_cli.store.records import Job, JobState

#: By how much the values of a location may differ: this share, or this number where that is more.
MOST_SHARE = 0.1
MOST_VALUES = 100
_NONE = "none"
#: More jobs than anybody begins while a plan is valid.
_JOBS = 200
#: Two sessions on one server may read its clock in another order.
_CLOCK_S = 5.0


@dataclass(frozen=True, slots=True)
class Difference:
    """Something that is not as it was planned.

    Attributes:
        what: what differs.
        planned: as it was.
        found: as it is.
    """

    what: str
    planned: str
    found: str

    def __str__(self) -> str:
        return f"{self.what}: planned {self.planned}, found {self.found}"


def differences_of_place_and_keys(
    plan: SavedPlan, database: DatabaseSettings, keyring: Keyring, request: JobRequest
) -> tuple[Difference, ...]:
    """What is not as it was planned, before any value is opened: time, database, keys, locations. Writes nothing.

    Args:
        plan: the plan.
        database: the main database.
        keyring: the keys, as they are now.
        request: the job, with the options of the plan.

    Raises:
        ConfigurationError, DatabaseError: the database can't be reached.
    """
    main, now = identify(database)
    return (
        *_age(plan, now),
        *_identity(plan.main, main),
        *_keys(plan.keys, {key.version: key.fingerprint for key in keyring.keys}),
        *_catalogue(plan.catalogue, catalogue_digest(request.catalogue)),
    )


def differences_of_work(plan: SavedPlan, targets: PreparedDatabases) -> tuple[Difference, ...]:
    """What is not as it was planned: databases, their values, and jobs since then. Writes nothing.

    Args:
        plan: the plan.
        targets: the databases, as they are now.

    Raises:
        ConfigurationError, DatabaseError: a database can't be reached.
    """
    return (*_databases(plan.databases, targets), *_jobs(plan, targets))


def _age(plan: SavedPlan, now: datetime) -> Iterator[Difference]:
    if now > plan.expires_at:
        yield Difference("the time", f"valid until {_when(plan.expires_at)}", _when(now))
    elif now < plan.created_at - timedelta(seconds=_CLOCK_S):
        yield Difference("the server's clock", f"made at {_when(plan.created_at)}", _when(now))


def _when(moment: datetime) -> str:
    return moment.isoformat(sep=" ", timespec="seconds")


def _identity(planned: DatabaseIdentity, found: DatabaseIdentity) -> Iterator[Difference]:
    for what, before, now in (
        ("host", planned.host, found.host),
        ("port", planned.port, found.port),
        ("database", planned.database, found.database),
        ("the database's oid (was it made again?)", planned.oid, found.oid),
    ):
        if before != now:
            yield Difference(what, str(before), str(now))
    before_id, now_id = planned.system_identifier, found.system_identifier
    # A role that may not read it leaves the question open. The names and the oid still have to fit.
    if before_id is not None and now_id is not None and before_id != now_id:
        yield Difference("the cluster's system identifier (is it a copy?)", before_id, now_id)


def _keys(planned: Mapping[int, str], found: Mapping[int, str]) -> Iterator[Difference]:
    for version in sorted({*planned, *found}):
        before, now = planned.get(version), found.get(version)
        if before != now:
            yield Difference(
                f"key version {version}",
                _NONE if before is None else f"fingerprint {before}",
                _NONE if now is None else f"fingerprint {now}",
            )


def _catalogue(planned: str, found: str) -> Iterator[Difference]:
    if planned != found:
        yield Difference("the locations (the file of --locations, or those of this version)", planned, found)


def _databases(planned: tuple[PlannedDatabase, ...], targets: PreparedDatabases) -> Iterator[Difference]:
    before = {(each.database, each.kind): each for each in planned}
    now = {(each.name, each.kind): each for each in targets.found}
    for name, kind in sorted({*before, *now}):
        if (name, kind) not in now:
            yield Difference(f"{kind} database {name}", "included", "not there")
        elif (name, kind) not in before:
            yield Difference(f"{kind} database {name}", "not there", "included")
        else:
            yield from _values(before[name, kind], now[name, kind], several=targets.several)


def _values(planned: PlannedDatabase, found: PreparedDatabase, *, several: bool) -> Iterator[Difference]:
    if found.prepared is None:
        why = "it can't be prepared" if found.error is None else found.error.message
        yield Difference(f"{found.kind} database {found.name}", "ready", why)
        return
    where = f" of database {found.name}" if several else ""
    before = {each.location: each.values for each in planned.locations}
    now = found.prepared.plan.values_by_location
    for location in (*before, *(each for each in now if each not in before)):
        if location not in now or location not in before:
            there, gone = "a location", "no location"
            planned_text, found_text = (there, gone) if location in before else (gone, there)
            yield Difference(f"{location}{where}", planned_text, found_text)
        elif abs(now[location] - before[location]) > allowed_change(before[location]):
            yield Difference(
                f"the values in {location}{where}",
                f"{before[location]} (a change by {allowed_change(before[location])} is allowed)",
                str(now[location]),
            )


def allowed_change(values: int) -> int:
    """By how much the number of values of a location may differ from the planned number."""
    return max(MOST_VALUES, int(values * MOST_SHARE))


def _jobs(plan: SavedPlan, targets: PreparedDatabases) -> Iterator[Difference]:
    """Jobs since the plan was made. Its own job may be resumed, but once it is done, the plan is used up."""
    own: list[Job] = []
    for target in targets.found:
        with session(target.database) as connection:
            jobs = JobStore(connection)
            if not jobs.schema.exists():
                continue
            since = [job for job in jobs.latest(_JOBS) if job.created_at > plan.created_at]
            where = f" in database {target.name}" if targets.several else ""
            for job in since:
                if any(event.detail.get("plan") == plan.digest for event in jobs.events.of_job(job.id)):
                    own.append(job)
                else:
                    yield Difference(f"jobs since the plan was made{where}", _NONE, _described(job))
    done = [job for job in own if job.state is JobState.COMPLETED]
    # With several databases, one of which has failed, the plan is run again for that one.
    if done and len(done) >= len(targets.found):
        yield Difference("completed jobs of this plan", _NONE, _described(done[0]))


def _described(job: Job) -> str:
    source = "any version" if job.from_version is None else f"version {job.from_version}"
    return f"job {job.id} ({job.kind.value}, {source} to {job.to_version}, {job.state.value})"
