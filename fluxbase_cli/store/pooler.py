"""Finds a connection pooler between us and the server, and refuses one that would keep our settings for others.

A pooler in transaction or statement mode gives each transaction another session of the server. Our settings would stay
in its sessions: with `session_replication_role = replica`, triggers and foreign keys would be off for the application.
So nothing is set before it is known that a session is ours alone, and that it is reset when we leave it.

The signs:

- When a connection begins, the server tells the number of its process (BackendKeyData). A pooler tells a number of its
  own. So the two numbers differ (https://www.postgresql.org/docs/current/protocol-flow.html).
- Two connections that are open at the same time have two server processes. In transaction and statement mode they can
  have the same one. With a pool of one session they always do, although that process never changes.
- In session mode, a setting of a connection that has ended is gone, unless the pooler resets nothing
  (`server_reset_query` of PgBouncer).
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from contextlib import closing, suppress

import psycopg

from fluxbase_cli.errors import PreflightRefusedError
from fluxbase_cli.store.first_answer import NoFreeSessionError, ask

_Connection = psycopg.Connection[tuple[object, ...]]

_PROCESS = "SELECT pg_catalog.pg_backend_pid()"
#: How long a second session may take, in seconds. In session mode a pool may have no other.
_SECOND_S = 3.0
#: How long any other answer may take, in seconds.
_ANSWER_S = 10.0
#: How often two connections are compared. A pooler that takes its sessions in turn is noticed after a few.
_ROUNDS = 5
#: How often a connection is opened again to see whether settings of an earlier one are still there.
_REOPENED = 4
#: A setting that nothing else reads.
_MARK = "fluxbase_cli.mark"

_DIRECTLY = (
    "Connect to PostgreSQL directly, or to a pool in session mode that resets its sessions. Settings of this tool "
    "would stay in the pool's sessions, and switch off triggers and foreign keys for other clients."
)


def is_pooled(connection: _Connection, server_process: int) -> bool:
    """Whether a pooler is between us and the server.

    Args:
        connection: the connection.
        server_process: the number of the server process, as that process says it.
    """
    return connection.info.backend_pid != server_process


def refuse_unfit_pooler(connect: Callable[[], _Connection], where: str) -> None:
    """Check that the sessions of a pooler are ours alone while we have them, and are reset afterwards.

    Nothing is set that has an effect on anybody. Only single statements are sent, because some poolers take no others.
    A pool that has one session is enough.

    Args:
        connect: opens a connection through the pooler, in autocommit.
        where: the address, for the error.

    Raises:
        PreflightRefusedError: the pooler does not keep sessions, or does not reset them.
        psycopg.Error: the pooler can't be asked.
    """
    with closing(connect()) as first:
        process = _process(first)
        # If there is no second session, the pool is in session mode: this connection has the only one.
        with suppress(NoFreeSessionError), closing(connect()) as second:
            for _ in range(_ROUNDS):
                if _process(second, limit_s=_SECOND_S) == process or _process(first) != process:
                    raise shared(where)
        if _process(first) != process:
            raise shared(where)
    _refuse_without_reset(connect, where)


def shared(where: str) -> PreflightRefusedError:
    """The error for a connection that does not keep its server process."""
    return PreflightRefusedError(
        f"{where} is a connection pooler that gives each transaction another session (transaction or statement mode); "
        "nothing was written",
        hint=_DIRECTLY,
    )


def _refuse_without_reset(connect: Callable[[], _Connection], where: str) -> None:
    """Leave a mark in a session, and look whether a later connection finds it."""
    mark = secrets.token_hex(8)
    for _ in range(_REOPENED):
        with closing(connect()) as connection:
            if ask(connection, f"SELECT pg_catalog.current_setting('{_MARK}', true)", limit_s=_ANSWER_S) == mark:
                ask(connection, f"RESET {_MARK}", limit_s=_ANSWER_S)
                raise PreflightRefusedError(
                    f"{where} is a connection pooler that does not reset its sessions; nothing was written",
                    hint="Set server_reset_query = DISCARD ALL in PgBouncer, or connect to PostgreSQL directly. "
                    "Settings of this tool would stay in the pool's sessions for other clients.",
                )
            ask(connection, f"SELECT pg_catalog.set_config('{_MARK}', '{mark}', false)", limit_s=_ANSWER_S)


def _process(connection: _Connection, *, limit_s: float = _ANSWER_S) -> int:
    return server_process_of(connection, limit_s)


def server_process_of(connection: _Connection, limit_s: float) -> int:
    """The number of the server process, as that process says it.

    Raises:
        NoFreeSessionError: no session answered in time.
        psycopg.Error: the statement failed.
    """
    return int(ask(connection, _PROCESS, limit_s=limit_s) or 0)
