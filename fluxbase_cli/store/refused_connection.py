"""Says why a connection failed before there was a session, without reading the server's words.

The server writes its messages in the language of `lc_messages`. What does not depend on it is the SQLSTATE
(https://www.postgresql.org/docs/current/errcodes-appendix.html). libpq shows it for a failed connection only in verbose
messages, and psycopg can't ask for those. So after a failure the connection is tried once more, with libpq's own
function `PQsetErrorVerbosity`.
"""

from __future__ import annotations

import ctypes
import re
import selectors
import time
from contextlib import closing
from ctypes.util import find_library
from pathlib import Path

import psycopg
from psycopg import pq

from fluxbase_cli.errors import ConfigurationError

#: SQLSTATE classes that mean "the configuration is wrong": the role, the password, the database's name.
_CONFIGURATION = ("28", "3D")
TOO_MANY_CONNECTIONS = "53300"
#: What to do when the server takes no more connections.
FREE_CONNECTIONS = (
    "End sessions that are not needed, or raise the limit: CONNECTION LIMIT of the role or of the database, or "
    "max_connections of the server."
)
#: What to do when the server refuses the role, the password or the database.
_HINT = "Check user, password and database name in database.*, FLUXBASE_DATABASE_* or --database-url."
_HINTS = {
    # invalid_authorization_specification: no such role, or the server's pg_hba.conf does not allow it.
    "28000": "Check user and database name in database.*, FLUXBASE_DATABASE_* or --database-url. The server's "
    "pg_hba.conf must allow this role from this machine; `no encryption` means that it wants TLS (database.ssl_mode).",
}
_VERBOSE = 2
#: How long the second attempt may take, in seconds.
_LIMIT_S = 3.0
#: In a verbose message: `FATAL:  28P01: password authentication failed …`. The first word is translated too, and no
#: SQLSTATE: each of them has a digit.
_STATE = re.compile(r":\s+(?=[A-Z]*[0-9])([0-9A-Z]{5}): ")


class TooManyConnectionsError(psycopg.OperationalError):
    """The server takes no more connections: of this role, of this database, or at all."""


def explain_refusal(error: psycopg.OperationalError, conninfo: str, where: str) -> Exception:
    """Tell a wrong configuration from a server that can't be reached now.

    Args:
        error: the failure.
        conninfo: the connection string, with its password. It is not shown.
        where: the address, for the error.

    Returns:
        A ConfigurationError, a TooManyConnectionsError, or the failure itself; a retry may help with the last two.
    """
    if getattr(error.pgconn, "needs_password", False):
        return ConfigurationError(
            f"{where} asks for a password, and none is configured",
            hint="Set database.password or FLUXBASE_DATABASE_PASSWORD, or use PGPASSWORD or ~/.pgpass.",
        )
    if isinstance(error, psycopg.errors.ConnectionTimeout):
        return error
    states = _states(conninfo)
    text = str(error).strip().splitlines()[0]
    if states and all(state[:2] in _CONFIGURATION for state in states):
        return ConfigurationError(
            f"{where} refuses the connection: {text.removeprefix('connection failed: ')}",
            hint=_HINTS.get(states[0], _HINT),
        )
    if TOO_MANY_CONNECTIONS in states:
        return TooManyConnectionsError(text)
    return error


def _states(conninfo: str) -> list[str]:
    """The SQLSTATEs with which the server, or each of several, refuses a connection. None if it can't be known."""
    libpq = _libpq()
    if libpq is None:
        return []
    try:
        with closing(_Attempt(conninfo, libpq)) as attempt:
            return _STATE.findall(attempt.message())
    except psycopg.Error:
        return []


def _libpq() -> ctypes.CDLL | None:
    """The library that psycopg uses."""
    # A wheel of psycopg brings its own, in a folder beside its package. Otherwise it is the system's.
    package = Path(pq.__file__).parent.parent.parent
    folders = ("psycopg_binary.libs", "psycopg_binary/.dylibs")
    found = [str(path) for folder in folders for path in (package / folder).glob("libpq*")]
    name = found[0] if found and pq.__impl__ == "binary" else find_library("pq")
    try:
        return None if name is None else ctypes.CDLL(name)
    except OSError:
        return None


class _Attempt:
    """One attempt to connect, whose messages are verbose."""

    def __init__(self, conninfo: str, libpq: ctypes.CDLL) -> None:
        self._connection = pq.PGconn.connect_start(conninfo.encode())
        set_verbosity = libpq.PQsetErrorVerbosity
        set_verbosity.argtypes = (ctypes.c_void_p, ctypes.c_int)
        # The types of psycopg leave it out; its documentation has it, for this purpose.
        set_verbosity(getattr(self._connection, "pgconn_ptr"), _VERBOSE)  # noqa: B009

    def message(self) -> str:
        """How the attempt failed. Empty if it succeeded, or took too long."""
        deadline = time.monotonic() + _LIMIT_S
        if self._connection.status == pq.ConnStatus.BAD:
            return self._connection.get_error_message()
        while True:
            wanted = self._connection.connect_poll()
            if wanted == pq.PollingStatus.FAILED:
                return self._connection.get_error_message()
            left = deadline - time.monotonic()
            if wanted == pq.PollingStatus.OK or left <= 0:
                return ""
            with selectors.DefaultSelector() as selector:
                reads = wanted == pq.PollingStatus.READING
                selector.register(self._connection.socket, selectors.EVENT_READ if reads else selectors.EVENT_WRITE)
                selector.select(left)

    def close(self) -> None:
        """End the attempt."""
        self._connection.finish()
