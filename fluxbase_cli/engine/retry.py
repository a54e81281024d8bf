"""Bounded retries with back-off for what passes: lost connections, deadlocks, restarts, a full disk that is cleared."""

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

#: How long one and the same trouble may last, in seconds: a server's restart with crash recovery, with room to spare.
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
    """Do something that can be done again, until it is done, the trouble has lasted too long, or a stop is asked for.

    Args:
        action: what to do; called again after each passing trouble.
        stop: ends the waiting when a stop is asked for.
        observer: is told of each wait and why.
        retry_limit_s: how long to go on trying.

    Returns:
        What the action returned.

    Raises:
        Exception: the action's last one, as it is.
    """
    # Nearly always nothing is the matter, and then tenacity is not even imported.
    try:
        return action()
    except TRANSIENT_ERRORS as error:
        return _again(action, error, stop, observer, retry_limit_s)


def _again(action: Callable[[], _T], trouble: Exception, stop: Stop, observer: Observer, retry_limit_s: float) -> _T:
    from tenacity import (  # noqa: PLC0415  # as late as can be
        Retrying,
        retry_if_exception_type,
        stop_after_delay,
        stop_when_event_set,
        wait_random_exponential,
    )
    from tenacity.nap import sleep_using_event  # noqa: PLC0415

    # The first attempt has been made.
    happened = [trouble]

    def attempt() -> _T:
        if happened:
            raise happened.pop()
        return action()

    def tell(state: RetryCallState) -> None:
        trouble = state.outcome.exception() if state.outcome else None
        seconds = state.next_action.sleep if state.next_action else 0.0
        if trouble is not None and not stop.requested:
            observer.notify(Waiting(f"{type(trouble).__name__}: {first_line(trouble)}", seconds))

    retrying = Retrying(
        retry=retry_if_exception_type(TRANSIENT_ERRORS),
        wait=wait_random_exponential(multiplier=0.1, max=5.0),
        stop=stop_after_delay(retry_limit_s) | stop_when_event_set(stop.event),
        sleep=sleep_using_event(stop.event),
        before_sleep=tell,
        reraise=True,
    )
    return retrying(attempt)
