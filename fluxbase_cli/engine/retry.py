"""Retries, with a limit and back-off, after transient errors.

Such errors are lost connections, deadlocks, restarts of the server, or a full disk that somebody cleans up.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

import psycopg

from fluxbase_cli.engine.events import Observer, Waiting
from fluxbase_cli.engine.stop import Stop
from fluxbase_cli.store.connection import first_line

if TYPE_CHECKING:
    from tenacity import RetryCallState

_T = TypeVar("_T")

#: How long the same error may last, in seconds: more than a restart of the server with crash recovery needs.
RETRY_LIMIT_S = 120.0

TRANSIENT_ERRORS: tuple[type[Exception], ...] = (
    # Classes 08, 40, 53, 55, 57 and 58: connections, deadlocks, resources, locks, shutdowns, the disk.
    psycopg.OperationalError,
    # The connection is closed on our side already.
    psycopg.InterfaceError,
    psycopg.errors.IdleInTransactionSessionTimeout,
)


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
    except TRANSIENT_ERRORS as error:
        return _again(action, error, stop, observer, retry_limit_s)


def _again(action: Callable[[], _T], first: Exception, stop: Stop, observer: Observer, retry_limit_s: float) -> _T:
    from tenacity import (  # noqa: PLC0415  # only after an error
        Retrying,
        retry_if_exception_type,
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
            observer.notify(Waiting(f"{type(error).__name__}: {first_line(error)}", seconds))

    retrying = Retrying(
        retry=retry_if_exception_type(TRANSIENT_ERRORS),
        wait=wait_random_exponential(multiplier=0.1, max=5.0),
        stop=stop_after_delay(retry_limit_s) | stop_when_event_set(stop.event),
        sleep=sleep_using_event(stop.event),
        before_sleep=report,
        reraise=True,
    )
    return retrying(attempt)
