"""The proof that no value needs a key: an audit of every database that may hold values, and all that is unexamined.

`secrets audit`, `keys destroy`, `rotation run` and `config check` use this proof. A key counts as unneeded only if the
proof found no value that needs it, and nothing is unexamined (docs/operators/proof.md).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from fluxbase_cli.catalogue.extra import ONLY_RELEASES, LeftOut, SearchScope
from fluxbase_cli.config import DatabaseSettings
from fluxbase_cli.engine.events import NullObserver, Observer
from fluxbase_cli.engine.further_databases import MAIN, in_parallel, list_databases, still_exists
from fluxbase_cli.engine.outcome import AuditReport, LocationAudit
from fluxbase_cli.engine.read.audit import run_audit
from fluxbase_cli.engine.read.snapshot import WRITERS_WAIT_S
from fluxbase_cli.engine.read.visitor import RowVisitor
from fluxbase_cli.engine.stop import Stop
from fluxbase_cli.errors import FluxbaseCliError, NothingHereError
from fluxbase_cli.keyring import Keyring
from fluxbase_cli.store.connection import session
from fluxbase_cli.store.databases import Databases, SecondaryDatabase
from fluxbase_cli.store.jobs import JobStore
from fluxbase_cli.store.limits import Limits
from fluxbase_cli.store.preflight import inspect
from fluxbase_cli.store.quarantine import Quarantine
from fluxbase_cli.unexamined import Unexamined, UnexaminedKind, in_database

if TYPE_CHECKING:
    from fluxbase_cli.proof.columns import DeepResult


@dataclass(frozen=True, slots=True)
class ProofRequest:
    """What a proof covers.

    Attributes:
        limits: how much to read at once.
        key_version: the version that the proof is for, which must be in the key ring; None for all.
        databases: which databases.
        deep: search every column of every table, not only the known locations.
        scope: the locations to read, and what is left out on purpose.
        workers: threads of all databases together, each with a connection.
        wait_s: how long to wait for open transactions that may have written sealed values, in seconds.
        visitor_for: makes what gets the rows of one database too, from its name; None if nobody does. Then the result
            is about the relations that the visitors want.
    """

    limits: Limits
    key_version: int | None = None
    databases: Databases = Databases.MAIN
    deep: bool = False
    scope: SearchScope = ONLY_RELEASES
    workers: int = 4
    wait_s: float = WRITERS_WAIT_S
    visitor_for: Callable[[str], RowVisitor] | None = None


@dataclass(frozen=True, slots=True)
class DatabaseProof:
    """What was found in one database.

    Attributes:
        name: the database's name.
        kind: `main`, `branch` or `tenant`.
        census: its audit.
        running_job: the number of a job on which a process works there; None if there is none.
        unlisted: columns in which only the deep audit found values, as `schema.table.column`.
    """

    name: str
    kind: str
    census: AuditReport
    running_job: int | None = None
    unlisted: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Proof:
    """What was found in all databases.

    Attributes:
        databases: what was found in each database; a database without sealed tables is left out.
        unexamined: all that could not be examined.
        left_out: what was left out on purpose, and why.
        several: whether the operator chose more than the main database.
        elapsed_s: how long it took, in seconds.
        key_version: the version that the proof is for; None for all.
        versions: the versions of the key ring, ascending.
    """

    databases: tuple[DatabaseProof, ...]
    unexamined: tuple[Unexamined, ...]
    left_out: tuple[LeftOut, ...]
    several: bool
    elapsed_s: float
    key_version: int | None
    versions: tuple[int, ...]

    @property
    def together(self) -> AuditReport:
        """The audits of all databases together, as if they were one."""
        censuses = [each.census for each in self.databases]
        return AuditReport(
            key_version=self.key_version,
            locations=_sum(censuses),
            versions=self.versions,
            elapsed_seconds=self.elapsed_s,
            quarantine=Quarantine.together([census.quarantine for census in censuses]),
            warnings=tuple(dict.fromkeys(warning for census in censuses for warning in census.warnings)),
            unexamined=self.unexamined,
        )


def _sum(censuses: Sequence[AuditReport]) -> Mapping[str, LocationAudit]:
    locations: dict[str, LocationAudit] = {}
    for census in censuses:
        for name, found in census.locations.items():
            locations[name] = locations[name] + found if name in locations else found
    return locations


def take_proof(
    database: DatabaseSettings, keyring: Keyring, request: ProofRequest, *, stop: Stop, observer: Observer
) -> Proof:
    """Open every value in the chosen databases and write nothing.

    Args:
        database: the main database.
        keyring: the keys to try.
        request: what to cover.
        stop: ends it early. Then the result proves nothing.
        observer: gets the progress in the main database.

    Raises:
        ConfigurationError: the version is not configured, or the main database refuses the connection.
        DatabaseError: the main database can't be reached.
        PreflightRefusedError: the main database or the role does not meet a condition.
    """
    started = time.monotonic()
    if request.key_version is not None:
        keyring.key(request.key_version)
    found: list[DatabaseProof] = []
    unexamined: list[Unexamined] = []
    several = request.databases is not Databases.MAIN
    if request.databases.has_main:
        main = _examine(
            SecondaryDatabase(database.name, MAIN), database, keyring, request, request.workers, stop, observer
        )
        found.append(main)
        unexamined += in_database(main.census.unexamined, main.name) if several else main.census.unexamined
    if several and not stop.requested:
        further = list_databases(database, request.databases)
        unexamined += further.unexamined

        def examine(each: SecondaryDatabase, workers: int) -> DatabaseProof | Unexamined | None:
            return _examine_secondary(database, each, keyring, request, workers, stop)

        for each, result in zip(further.found, in_parallel(further.found, examine, request.workers), strict=True):
            if isinstance(result, Unexamined):
                unexamined.append(result)
            elif result is not None:
                found.append(result)
                unexamined += in_database(result.census.unexamined, each.name)
    left_out = (*request.scope.absent, *(request.scope.skip if request.deep else ()))
    return Proof(
        tuple(found),
        tuple(unexamined),
        left_out,
        several,
        time.monotonic() - started,
        request.key_version,
        tuple(sorted(keyring.versions)),
    )


def _examine_secondary(  # noqa: PLR0913, PLR0917  # all that an audit needs
    main: DatabaseSettings,
    further: SecondaryDatabase,
    keyring: Keyring,
    request: ProofRequest,
    workers: int,
    stop: Stop,
) -> DatabaseProof | Unexamined | None:
    database = main.with_database(further.name)
    try:
        # Check for a job before and after. A job that ends while we read may seal values that we don't see any more. A
        # job that begins while we read is seen after it.
        before = _running_job(database)
        proof = _examine(further, database, keyring, request, workers, stop, NullObserver())
        return replace(proof, running_job=before or _running_job(database))
    except NothingHereError:
        return None
    except FluxbaseCliError as error:
        # Only if the database does not exist any more is there nothing in it. All other errors leave that open.
        return (
            Unexamined(UnexaminedKind.DATABASE, further.name, error.message)
            if still_exists(main, further.name)
            else None
        )


def _running_job(database: DatabaseSettings) -> int | None:
    with session(database) as connection:
        jobs = JobStore(connection)
        job = jobs.unfinished() if jobs.schema.exists() else None
        return job.id if job is not None and any(runner.alive for runner in jobs.runners.of_job(job.id)) else None


def _examine(  # noqa: PLR0913, PLR0917  # all that an audit needs
    which: SecondaryDatabase,
    database: DatabaseSettings,
    keyring: Keyring,
    request: ProofRequest,
    workers: int,
    stop: Stop,
    observer: Observer,
) -> DatabaseProof:
    """Audit one database: the known locations and, for a deep audit, all other columns."""
    census = run_audit(
        database,
        keyring,
        key_version=request.key_version,
        limits=request.limits,
        workers=workers,
        stop=stop,
        observer=observer,
        catalogue=request.scope.catalogue,
        wait_s=request.wait_s,
        secondary=which.kind != MAIN,
        visitor=None if request.visitor_for is None else request.visitor_for(which.name),
    )
    if not request.deep or stop.requested:
        return DatabaseProof(which.name, which.kind, census)
    from fluxbase_cli.proof.columns import search_columns  # noqa: PLC0415  # start-up time

    with session(database) as connection:
        preflight = inspect(connection, write=False, catalogue=request.scope.catalogue, secondary=which.kind != MAIN)
    known = frozenset(
        f"{relation.qualified}.{column.name}" for relation in preflight.relations for column in relation.columns
    )
    deep = search_columns(
        database,
        preflight.access,
        keyring,
        known=known,
        skip=frozenset(left.where for left in request.scope.skip),
        workers=workers,
        stop=stop,
        observer=observer,
    )
    return DatabaseProof(which.name, which.kind, _with_deep(census, deep), unlisted=frozenset(deep.locations))


def _with_deep(census: AuditReport, deep: DeepResult) -> AuditReport:
    """An audit together with what was found in all other columns."""
    warnings = [
        f"{tally.scanned} sealed values are in {location}, which no release of Fluxbase has: for example "
        f"{', '.join(deep.examples.get(location, ())) or 'none'}; `--locations` can name this column"
        for location, tally in deep.locations.items()
    ]
    further = {
        location: LocationAudit(tally.scanned, tally.by_version(), 0, 0) for location, tally in deep.locations.items()
    }
    return replace(
        census,
        locations={**census.locations, **further},
        warnings=(*census.warnings, *warnings),
        unexamined=census.unexamined + deep.unexamined,
    )
