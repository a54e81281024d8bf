"""The session that holds the lock of the one who runs rotations on a database."""

from __future__ import annotations

import time

import psycopg

from fluxbase_cli.config import DatabaseSettings
from fluxbase_cli.errors import JobRunningError
from fluxbase_cli.keys.history import KeyHistory, history_over
from fluxbase_cli.store.clock import ServerClock
from fluxbase_cli.store.connection import Connection, connect_or_explain
from fluxbase_cli.store.rotations import RotationStore

#: How long the server may take to notice that a client is gone.
_NOTICE_S = 2.0
_POLL_S = 0.1


class RotationLock:
    """The lock, held by a session; and what is asked over that session.

    Args:
        database: where.
    """

    def __init__(self, database: DatabaseSettings) -> None:
        self._database = database
        self._connection: Connection | None = None

    @property
    def was_taken(self) -> bool:
        """Whether the lock was ever ours since the last `release`."""
        return self._connection is not None

    def store(self) -> RotationStore:
        """The tables, over the session that holds the lock; over a new one where that was lost.

        Raises:
            JobRunningError: another process has the lock.
            ConfigurationError, DatabaseError: the database can't be reached.
        """
        return RotationStore(self._session())

    def history(self) -> KeyHistory:
        """What the database knows of keys just now.

        Raises:
            JobRunningError, ConfigurationError, DatabaseError: as for `store`.
        """
        return history_over(self._session())

    def server_clock(self) -> ServerClock:
        """The server's clock, asked anew.

        Raises:
            JobRunningError, ConfigurationError, DatabaseError: as for `store`.
        """
        return ServerClock(self._session())

    def release(self) -> None:
        """Give the lock back."""
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
            raise JobRunningError(
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
    """Take the lock; of one who was killed a moment ago it is free as soon as the server has noticed."""
    store = RotationStore(connection)
    deadline = time.monotonic() + _NOTICE_S
    while not store.lock():
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_S)
    return True
