"""Asks the first question of a new session, with a time limit.

A connection pooler accepts connections also when it has no session of the server to give, and then answers nothing.
`connect_timeout` does not cover that, and a request to cancel the statement has no effect.
"""

from __future__ import annotations

import selectors
import time

import psycopg
from psycopg.pq import ExecStatus

#: The wait is interrupted this often, in seconds, so that Python can handle a signal.
_LOOK_S = 0.1


class NoFreeSessionError(psycopg.OperationalError):
    """The connection was accepted, and no session answered within the time limit."""


def ask(connection: psycopg.Connection[tuple[object, ...]], statement: str, *, limit_s: float) -> str | None:
    """Run one statement outside a transaction, and return the first field of its first row as text.

    Args:
        connection: a connection on which nothing runs.
        statement: the statement, with literals only.
        limit_s: how long to wait, in seconds.

    Raises:
        NoFreeSessionError: there was no answer in time. The connection can't be used any more.
        psycopg.Error: the statement failed.
    """
    server = connection.pgconn
    server.send_query(statement.encode())
    deadline = time.monotonic() + limit_s
    with selectors.DefaultSelector() as selector:
        selector.register(server.socket, selectors.EVENT_READ)
        while server.flush() or server.is_busy():
            if time.monotonic() > deadline:
                server.finish()
                raise NoFreeSessionError(
                    f"connected, but no session of the server answered within {limit_s:.0f} seconds; "
                    "a connection pooler may have none free"
                )
            if selector.select(min(_LOOK_S, limit_s)):
                server.consume_input()
    answer: str | None = None
    while (result := server.get_result()) is not None:
        if result.status == ExecStatus.FATAL_ERROR:
            raise psycopg.errors.error_from_result(result)
        value = result.get_value(0, 0) if result.ntuples else None
        answer = answer if value is None else value.decode()
    return answer
