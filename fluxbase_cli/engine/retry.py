"""Retries, with a limit and back-off, after transient errors.

Such errors are lost connections, deadlocks, restarts of the server, or a full disk that somebody cleans up.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

import psycopg
from psycopg.pq import TransactionStatus

from fluxbase_cli.engine.events import Observer, Waiting
from fluxbase_cli.engine.stop import Stop
from fluxbase_cli.errors import DatabaseError
from fluxbase_cli.store.connection import Connection, failure_text, first_line

if TYPE_CHECKING:
    from tenacity import RetryCallState

_T = TypeVar("_T")

#: How long the same error may last, in seconds: more than a restart of the server with crash recovery needs.
RETRY_LIMIT_S = 120.0

#: SQLSTATE classes of errors that may end without us: lost connections, deadlocks and serialization, resources, a
#: server that shuts down, the system (https://www.postgresql.org/docs/current/errcodes-appendix.html).
_TRANSIENT_CLASSES = ("08", "40", "53", "57", "58")
#: Errors of other classes that may end: a locked row or table, an object in use, and transactions or sessions that the
#: server has ended because of a time limit.
_TRANSIENT_STATES = frozenset({"55P03", "55006", "25P03", "25P04", "57P05"})
#: Errors of the classes above that stay: a violated constraint, a limit of the configuration, a dropped database, and a
#: file that is missing or there twice.
_PERMANENT_STATES = frozenset({"40002", "53400", "57P04", "58P01", "58P02"})


def is_transient(error: BaseException) -> bool:
    """Whether an error may end without us, so that a retry helps."""
    if not isinstance(error, psycopg.Error):
        return False
    state = error.sqlstate
    if state is None:
        # No connection, or it is closed on our side already.
        return isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
    return state in _TRANSIENT_STATES or (state[:2] in _TRANSIENT_CLASSES and state not in _PERMANENT_STATES)


def retry_reading(
    connection: Connection,
    action: Callable[[], _T],
    stop: Stop,
    observer: Observer,
    *,
    retry_limit_s: float = RETRY_LIMIT_S,
) -> _T:
    """As `retry_transient`, for an action that only reads, over one connection. It begins outside a transaction.

    Args:
        connection: the connection. After an error its transaction is ended, because it takes no more statements.
        action: what to do.
        stop: ends the waiting when a stop is requested.
        observer: gets an event for each wait, with the reason.
        retry_limit_s: how long to retry, in seconds.

    Raises:
        DatabaseError: the connection was lost.
        Exception: as for `retry_transient`.
    """

    def attempt() -> _T:
        try:
            return action()
        except psycopg.Error as error:
            if connection.closed:
                raise DatabaseError(
                    f"the connection to the database was lost: {first_line(error)}",
                    hint="Nothing was written. Run it again.",
                ) from None
            if connection.info.transaction_status is not TransactionStatus.IDLE:
                connection.execute("ROLLBACK")
            raise

    return retry_transient(attempt, stop, observer, retry_limit_s=retry_limit_s)


def retry_transient(
    action: Callable[[], _T], stop: Stop, observer: Observer, *, retry_limit_s: float = RETRY_LIMIT_S
) -> _T:
    """Repeat an action until it succeeds, its error has lasted too long, or a stop is requested.

    Args:
        action: what to do; called again after each transient error.
        stop: ends the waiting when a stop is requested.
        observer: gets an event for each wait, with the reason.
        retry_limit_s: how long to retry, in seconds.

    Returns:
        What the action returned.

    Raises:
        Exception: the last error of the action, unchanged.
    """
    # In most cases there is no error, and then tenacity is not even imported.
    try:
        return action()
    except psycopg.Error as error:
        if not is_transient(error):
            raise
        return _again(action, error, stop, observer, retry_limit_s)


def _again(action: Callable[[], _T], first: Exception, stop: Stop, observer: Observer, retry_limit_s: float) -> _T:
    from tenacity import (  # noqa: PLC0415  # only after an error
        Retrying,
        retry_if_exception,
        stop_after_delay,
        stop_when_event_set,
        wait_random_exponential,
    )
    from tenacity.nap import sleep_using_event  # noqa: PLC0415

    # The caller has made the first attempt already. Its error counts as that of the first attempt here.
    pending = [first]

    def attempt() -> _T:
        if pending:
            raise pending.pop()
        return action()

    def report(state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        seconds = state.next_action.sleep if state.next_action else 0.0
        if error is not None and not stop.requested:
            observer.notify(Waiting(failure_text(error), seconds))

    retrying = Retrying(
        retry=retry_if_exception(is_transient),
        wait=wait_random_exponential(multiplier=0.1, max=5.0),
        stop=stop_after_delay(retry_limit_s) | stop_when_event_set(stop.event),
        sleep=sleep_using_event(stop.event),
        before_sleep=report,
        reraise=True,
    )
    return retrying(attempt)
