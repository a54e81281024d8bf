"""The processes that work on a job, and whether they are alive."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable
from datetime import datetime

from fluxbase_cli import __version__
from fluxbase_cli.store import shards as shard_store
from fluxbase_cli.store.connection import Connection
from fluxbase_cli.store.events import os_user
from fluxbase_cli.store.queries import Statements
from fluxbase_cli.store.records import JobState, Runner
from fluxbase_cli.store.schema import LOCK_CLASS


class RunnerStore:
    """The runners over one connection, in autocommit unless the caller began a transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._sql = Statements(connection, "runners.sql")

    def register(self, job: int, workers: int) -> int:
        """Record this process as a runner of the job, and return its number."""
        return int(
            self._sql.rows(
                "register_runner",
                job=job,
                host=socket.gethostname(),
                pid=os.getpid(),
                os_user=os_user(),
                version=__version__,
                workers=workers,
            )[0]["number"]
        )

    def take_lock(self, runner: int) -> bool:
        """Take the advisory lock that means "alive". The session holds it until it ends."""
        row = self._connection.execute(
            self._sql["take_runner_lock"], {"lock_class": LOCK_CLASS, "runner": runner}
        ).fetchone()
        return bool(row and row[0])

    def heartbeat(self, runner: int, shards: Iterable[int], workers: int) -> None:
        """Record that the runner is alive, and its workers, and renew the leases of the shards that they work on."""
        self._sql.rows("heartbeat", runner=runner, shards=[*shards], workers=workers, lease_s=shard_store.LEASE_S)

    def end(self, job: int, runner: int) -> None:
        """Give back the runner's shards and record its end."""
        self._sql.rows("end_runner", job=job, runner=runner)

    def of_job(self, job: int) -> list[Runner]:
        """All processes that work or have worked on the job."""
        return [Runner(**row) for row in self._sql.rows("runners", job=job, lock_class=LOCK_CLASS)]

    def free_dead_leases(self, job: int) -> None:
        """Free the shards of runners whose sessions are gone."""
        self._sql.rows("free_dead_leases", job=job, lock_class=LOCK_CLASS)

    def leave(self, job: int, runner: int, state: JobState, error: str | None) -> None:
        """Mark the job as stopped, unless another runner still works on it."""
        self._sql.rows(
            "interrupt_if_last", job=job, runner=runner, state=state.value, error=error, lock_class=LOCK_CLASS
        )

    def now(self) -> datetime:
        """The time by the server's clock. All times in these tables come from it."""
        moment: datetime = self._sql.rows("now")[0]["now"]
        return moment
