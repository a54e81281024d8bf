"""Bounded retries with back-off for what passes: lost connections, deadlocks, restarts, a full disk that is cleared."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
from tenacity import (
    AttemptManager,
    RetryCallState,
    Retrying,
    retry_if_exception_type,
    stop_after_delay,
    stop_when_event_set,
    wait_random_exponential,
)
from tenacity.nap import sleep_using_event

from fluxbase_cli.engine.observer import Observer, Waiting
from fluxbase_cli.engine.stopping import Stop
from fluxbase_cli.store.connect import first_line

#: How long one and the same trouble may last, in seconds: a server's restart with crash recovery, with room to spare.
PATIENCE_S = 120.0

PASSING_TROUBLE: tuple[type[Exception], ...] = (
    # Classes 08, 40, 53, 55, 57 and 58: connections, deadlocks, resources, locks, shutdowns, the disk.
    psycopg.OperationalError,
    # The connection is closed on our side already.
    psycopg.InterfaceError,
    psycopg.errors.IdleInTransactionSessionTimeout,
)


def attempts(stop: Stop, observer: Observer, *, patience_s: float = PATIENCE_S) -> Iterator[AttemptManager]:
    """Attempt contexts for a `for … with` loop, as tenacity makes them; the last trouble is raised as it is.

    Args:
        stop: ends the waiting when a stop is asked for.
        observer: is told of each wait and why.
        patience_s: how long to go on trying.
    """

    def tell(state: RetryCallState) -> None:
        trouble = state.outcome.exception() if state.outcome else None
        seconds = state.next_action.sleep if state.next_action else 0.0
        if trouble is not None and not stop.requested:
            observer.notify(Waiting(f"{type(trouble).__name__}: {first_line(trouble)}", seconds))

    return iter(
        Retrying(
            retry=retry_if_exception_type(PASSING_TROUBLE),
            wait=wait_random_exponential(multiplier=0.1, max=5.0),
            stop=stop_after_delay(patience_s) | stop_when_event_set(stop.event),
            sleep=sleep_using_event(stop.event),
            before_sleep=tell,
            reraise=True,
        )
    )
