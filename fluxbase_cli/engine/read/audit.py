"""The audit: opens every value with every key of the key ring, and says which keys are still needed."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial

from fluxbase_cli.catalogue.locations import CATALOGUE, SealedTable
from fluxbase_cli.config import DatabaseSettings
from fluxbase_cli.counts import worded
from fluxbase_cli.engine.events import Observer
from fluxbase_cli.engine.goal import Goal
from fluxbase_cli.engine.outcome import AuditReport, LocationAudit
from fluxbase_cli.engine.prepare.plan import make_plan
from fluxbase_cli.engine.read.full_read import FullRead, RelationsChangedError, is_little
from fluxbase_cli.engine.read.snapshot import WRITERS_WAIT_S, SnapshotGoneError
from fluxbase_cli.engine.read.visitor import RowVisitor
from fluxbase_cli.engine.retry import retry_reading
from fluxbase_cli.engine.stop import Stop
from fluxbase_cli.errors import NothingHereError
from fluxbase_cli.keyring import Keyring
from fluxbase_cli.store.connection import for_values, session
from fluxbase_cli.store.findings import CheckStatus
from fluxbase_cli.store.limits import Limits
from fluxbase_cli.store.open_transactions import in_recovery
from fluxbase_cli.store.preflight import inspect
from fluxbase_cli.unexamined import Unexamined, UnexaminedKind

#: The audit reads everything again if tables were created or dropped, or if the snapshot was lost. At most this often.
_ATTEMPTS = 3
_STANDBY = Unexamined(
    UnexaminedKind.STANDBY,
    "this server",
    "it is a standby, which does not show open transactions of its primary: this audit holds for the moment that the "
    "standby shows, and does not prove that a key is not needed; for a proof, run the audit on the primary",
)


def run_audit(  # noqa: PLR0913  # all that an audit needs
    database: DatabaseSettings,
    keyring: Keyring,
    *,
    key_version: int | None,
    limits: Limits,
    workers: int,
    stop: Stop,
    observer: Observer,
    catalogue: Sequence[SealedTable] = CATALOGUE,
    wait_s: float = WRITERS_WAIT_S,
    secondary: bool = False,
    visitor: RowVisitor | None = None,
) -> AuditReport:
    """Open every value and write nothing. A read-only role that sees all rows is enough. So is a standby.

    Args:
        database: how to connect.
        keyring: the keys to try.
        key_version: the version that the audit is for, which must be in the key ring; None for all.
        limits: how much to read at once.
        workers: threads, each with a connection.
        stop: ends it early.
        observer: gets the progress.
        catalogue: the sealed tables to look for.
        wait_s: how long to wait for open transactions that may have written sealed values, in seconds.
        secondary: this is not the main database, so it may hold no sealed tables.
        visitor: gets the rows too; None if nobody does. With a visitor, only the relations that it wants are read, and
            the report is about these.

    Raises:
        NothingHereError: a secondary database holds no sealed tables.
        ConfigurationError: the version is not configured, or the connection is refused.
        DatabaseError: the server can't be reached.
        PreflightRefusedError: the database or the role does not meet a condition.
    """
    started = time.monotonic()
    if key_version is not None:
        keyring.key(key_version)
    for attempt in range(1, _ATTEMPTS + 1):
        with ExitStack() as sessions:
            connection = sessions.enter_context(session(database))
            # Somebody may hold a table or a system catalogue locked.
            look = partial(inspect, connection, write=False, catalogue=catalogue, secondary=secondary)
            preflight = retry_reading(connection, look, stop, observer)
            if secondary and not preflight.relations and not preflight.unexamined:
                raise NothingHereError(f"database {database.name} holds no sealed tables")
            preflight.refuse_if_unfit()
            count = partial(make_plan, for_values(connection), preflight.relations, preflight.access, keyring)
            plan = retry_reading(connection, count, stop, observer)
            standby = in_recovery(connection)
            full_read = FullRead(
                database,
                preflight.access,
                keyring,
                limits=limits,
                workers=workers,
                stop=stop,
                observer=observer,
                goal=Goal(target=keyring.active),
                catalogue=catalogue,
                wait_s=wait_s,
                visitor=visitor,
                # Several secondary databases may be read in this process at the same time.
                alone=secondary,
            )
            if not is_little(plan):
                sessions.close()
            try:
                result = full_read.run(plan, connection if is_little(plan) else None)
                break
            except (RelationsChangedError, SnapshotGoneError):
                if attempt == _ATTEMPTS or stop.requested or (visitor is not None and visitor.began):
                    raise
    unexamined = preflight.unexamined + result.unexamined
    if standby:
        unexamined += (_STANDBY,)
    warnings = [finding.message for finding in preflight.findings if finding.status is CheckStatus.TELL]
    warnings += [f"key version {key.version}: {warning}" for key in keyring.keys for warning in key.warnings]
    if key_version is not None and result.quarantine:
        warnings.append(
            f"{worded(result.quarantine.total, 'value opens', 'values open')} under no configured key "
            f"({', '.join(map(str, sorted(keyring.versions)))}): the key of version {key_version} was tried too and is "
            "not the one that sealed them"
        )
    return AuditReport(
        key_version=key_version,
        locations={
            location: LocationAudit(tally.scanned, tally.by_version(), tally.plaintext, tally.undecryptable)
            for location, tally in result.tallies.items()
        },
        versions=tuple(sorted(keyring.versions)),
        elapsed_seconds=time.monotonic() - started,
        quarantine=result.quarantine,
        warnings=tuple(warnings),
        unexamined=unexamined,
    )
