"""The append-only events: who did what, when, from where and why."""

from __future__ import annotations

import getpass
import os
import socket
from collections.abc import Mapping, Sequence
from typing import Any

from psycopg.types.json import Jsonb

from fluxbase_cli.store.connection import Connection
from fluxbase_cli.store.queries import Statements
from fluxbase_cli.store.records import Event


def os_user() -> str:
    """The name of the operating system's user, for events."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return str(os.getuid())


class EventStore:
    """The events over one connection, in autocommit unless the caller began a transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._sql = Statements(connection, "events.sql")

    def add(
        self, what: str, *, job: int | None = None, reason: str | None = None, detail: Mapping[str, Any] | None = None
    ) -> None:
        """Append an event. The system's user, the database's user, the time and the host are added here."""
        self._sql.rows(
            "add_event",
            job=job,
            os_user=os_user(),
            host=socket.gethostname(),
            what=what,
            reason=reason,
            detail=Jsonb(dict(detail or {})),
        )

    def of_job(self, job: int) -> Sequence[Event]:
        """The events of one job, in order."""
        return [Event(**row) for row in self._sql.rows("list_events", job=job)]

    def job_of_run(self, run_name: str) -> int | None:
        """The number of the newest job that a process with that run name worked on, if any."""
        rows = self._sql.rows("job_of_run", run_name=run_name)
        return int(rows[0]["job"]) if rows else None
