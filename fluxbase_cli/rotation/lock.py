"""The lock for rotations on a database, and the session that holds it."""

from __future__ import annotations

import time

import psycopg

from fluxbase_cli.config import DatabaseSettings
from fluxbase_cli.errors import RotationRunningError
from fluxbase_cli.keys.history import KeyHistory, history_over
from fluxbase_cli.store.clock import ServerClock
from fluxbase_cli.store.connection import Connection, connect_or_explain
from fluxbase_cli.store.rotations import RotationStore

#: The server may take this long to notice that a client is gone.
_NOTICE_S = 2.0
_POLL_S = 0.1


class RotationLock:
    """The lock, held by a session, and the queries over that session.

    Args:
        database: the database.
    """

    def __init__(self, database: DatabaseSettings) -> None:
        self._database = database
        self._connection: Connection | None = None

    @property
    def was_taken(self) -> bool:
        """Whether we have had the lock since the last `release`."""
        return self._connection is not None

    def store(self) -> RotationStore:
        """The rotation tables, over the session that holds the lock. If the session was lost, over a new one.

        Raises:
            RotationRunningError: another process has the lock.
            ConfigurationError, DatabaseError: the database can't be reached.
        """
        return RotationStore(self._session())

    def history(self) -> KeyHistory:
        """What the database knows about keys now.

        Raises:
            RotationRunningError, ConfigurationError, DatabaseError: as for `store`.
        """
        return history_over(self._session())

    def server_clock(self) -> ServerClock:
        """The server's clock, over the session.

        Raises:
            RotationRunningError, ConfigurationError, DatabaseError: as for `store`.
        """
        return ServerClock(self._session())

    def release(self) -> None:
        """Release the lock."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _session(self) -> Connection:
        if self._connection is not None and _is_alive(self._connection):
            return self._connection
        self.release()
        connection = connect_or_explain(self._database)
        if not _lock(connection):
            connection.close()
            raise RotationRunningError(
                "another process runs a rotation on this database",
                hint="`fluxbase-cli secrets status` shows its job; there is nothing to do here.",
            )
        self._connection = connection
        return connection


def _is_alive(connection: Connection) -> bool:
    if connection.closed or connection.broken:
        return False
    try:
        connection.execute("SELECT 1")
    except psycopg.Error:
        return False
    return True


def _lock(connection: Connection) -> bool:
    """Take the lock. Wait a moment if another process has it: if that was just killed, the server has to notice it."""
    store = RotationStore(connection)
    deadline = time.monotonic() + _NOTICE_S
    while not store.lock():
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_S)
    return True
