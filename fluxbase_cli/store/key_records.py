"""The history of keys in append-only events, and which key is pinned to each version."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, LiteralString

import psycopg
from psycopg.types.json import Jsonb

from fluxbase_cli.store.connection import Connection
from fluxbase_cli.store.events import os_user
from fluxbase_cli.store.jobs import KEY_LOCK_CLASS
from fluxbase_cli.store.queries import Statements
from fluxbase_cli.store.schema import Schema

#: How long the server may need to detect that a client is gone, in seconds.
_NOTICE_S = 2.0
_POLL_S = 0.05


class KeyEvent(StrEnum):
    """The events of a key."""

    CREATED = "key-created"
    DISABLED = "key-disabled"
    ENABLED = "key-enabled"
    #: Recorded before the provider deletes the key, so that a missing key is always explained.
    DESTROYING = "key-destroying"
    DESTROYED = "key-destroyed"
    REWRAPPED = "key-rewrapped"


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """One event of a key.

    Attributes:
        version, fingerprint: the key.
        what: what happened.
        at: when.
        db_user, os_user, host: who did it, and from where.
        reason: the reason that the operator gave, if any.
        detail: what belongs to the event (`source`, `provider`, `keep_until`, `census`).
    """

    version: int
    fingerprint: str
    what: KeyEvent
    at: datetime
    db_user: str
    os_user: str
    host: str
    reason: str | None
    detail: Mapping[str, Any]


class KeyRecords:
    """The events of keys over one connection. The tables of the keys must exist, except to read."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._sql = Statements(connection, "keys.sql")

    def all(self) -> tuple[KeyRecord, ...]:
        """All events of all keys, the oldest first. There are none before the first job."""
        schema = Schema(self._connection)
        name = "key_events" if schema.has_keys() else "key_events_before_008"
        if name == "key_events_before_008" and not schema.exists():
            return ()
        return tuple(
            KeyRecord(**{**row, "what": KeyEvent(row["what"])})
            for row in self._sql.rows(name, kinds=[kind.value for kind in KeyEvent])
        )

    def pinned(self) -> Mapping[int, str]:
        """The fingerprint of the key that is pinned to each version."""
        if not Schema(self._connection).has_keys():
            return {}
        return {row["version"]: row["fingerprint"] for row in self._sql.rows("pinned")}

    def pin(self, version: int, fingerprint: str) -> None:
        """Pin a key to its version, if no key is pinned to it yet."""
        self._sql.rows("add_key", version=version, fingerprint=fingerprint)
        self._sql.rows("pin", version=version, fingerprint=fingerprint)

    def add(
        self,
        what: KeyEvent,
        version: int,
        fingerprint: str,
        *,
        reason: str | None = None,
        detail: Mapping[str, Any] | None = None,
    ) -> None:
        """Record an event; who, when and from where are added here."""
        self._sql.rows("add_key", version=version, fingerprint=fingerprint)
        self._sql.rows(
            "add_key_event",
            version=version,
            fingerprint=fingerprint,
            os_user=os_user(),
            host=socket.gethostname(),
            what=what.value,
            reason=reason,
            detail=Jsonb(dict(detail or {})),
        )

    def hold(self) -> None:
        """Let no job begin and no key change its state until the transaction ends; see `JobStore.hold_keys`."""
        self._connection.execute("SET LOCAL lock_timeout = '60s'")
        self._connection.execute("SELECT pg_advisory_xact_lock(%s, 0)", [KEY_LOCK_CLASS])

    @contextmanager
    def destroying(self) -> Iterator[bool]:
        """Take the lock for disabling or destroying keys on this database, for a block.

        Yields:
            Whether the lock was free.
        """
        deadline = time.monotonic() + _NOTICE_S
        while not (taken := self._value("SELECT pg_try_advisory_lock(%s, 1)")) and time.monotonic() < deadline:
            time.sleep(_POLL_S)
        try:
            yield taken
        finally:
            # If the session is lost, the server has freed the lock.
            with suppress(psycopg.Error):
                if taken:
                    self._value("SELECT pg_advisory_unlock(%s, 1)")

    def is_destroying(self) -> bool:
        """Whether another process disables or destroys a key now. In a transaction, none can begin until it ends."""
        return not self._value("SELECT pg_try_advisory_xact_lock_shared(%s, 1)")

    def rotations(self) -> Mapping[int, datetime | None]:
        """All versions that were the target of a job, and when the last job to each was completed, if any."""
        return {row["version"]: row["finished_at"] for row in self._sql.rows("rotations")}

    def moved(self) -> Mapping[int, datetime]:
        """When values were first re-encrypted to the version that is the target of the last completed jobs.

        Later jobs to the same version move only what servers sealed with an older key meanwhile. After a rollback there
        is no such version.
        """
        return {row["version"]: row["at"] for row in self._sql.rows("moved")}

    def newest_job(self) -> int:
        """The number of the newest job; 0 if there was none."""
        return int(self._sql.rows("newest_job")[0]["id"])

    def jobs_begun(self) -> int:
        """How many jobs were begun in this database, and from here in those of branches and tenants."""
        return int(self._sql.rows("jobs_begun")[0]["number"])

    def _value(self, statement: LiteralString) -> bool:
        row = self._connection.execute(statement, [KEY_LOCK_CLASS]).fetchone()
        return bool(row and row[0])
