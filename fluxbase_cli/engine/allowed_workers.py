"""How many workers may run, so that the application can still connect to the database."""

from __future__ import annotations

from fluxbase_cli.counts import worded
from fluxbase_cli.engine.events import Message, Observer
from fluxbase_cli.errors import PreflightRefusedError
from fluxbase_cli.log_events import LogEvent
from fluxbase_cli.store.connection import Connection
from fluxbase_cli.store.free_connections import free_connections


def allowed_workers(  # noqa: PLR0913  # what the number depends on
    connection: Connection, wanted: int, observer: Observer, *, each: int = 1, besides: int = 0, least: int = 1
) -> int:
    """Lower the number of workers if the server, the database or the role has few free connections, and say so.

    Args:
        connection: any session of the role.
        wanted: how many workers were asked for.
        observer: gets a message if there may be fewer.
        each: connections of one worker.
        besides: connections that are needed besides, and not open yet.
        least: connections without which nothing can be done. That others have them now is no reason to refuse.

    Returns:
        How many workers may run; at least one.

    Raises:
        PreflightRefusedError: the limit of the role, the database or the server is lower than `least`.
    """
    found = free_connections(connection)
    if found.most < least:
        raise PreflightRefusedError(
            f"a job needs {least} connections at once, and {found.limit} allows {found.most}",
            hint=f"Raise that limit to {least} or more, then run the command again. Nothing was changed.",
        )
    allowed = max(1, min(wanted, (found.ours - besides) // each))
    if allowed < wanted:
        connections = "1 connection is" if found.free == 1 else f"{max(0, found.free)} connections are"
        workers = "1 worker" if allowed == 1 else f"{allowed} workers"
        observer.notify(
            Message(
                LogEvent.JOB_CONNECTIONS,
                f"{connections} free ({found.limit}): working with {workers} instead of {wanted}, so that others can "
                "still connect",
                warning=True,
            )
        )
    return allowed


def further_workers(connection: Connection, wanted: int, observer: Observer, *, each: int) -> int:
    """Lower the number of workers that a running job adds if there are few free connections, and say so.

    Args:
        connection: any session of the role.
        wanted: how many workers more were asked for.
        observer: gets a message if there may be fewer.
        each: connections that must be free for each of them.

    Returns:
        How many may begin.
    """
    found = free_connections(connection)
    allowed = min(wanted, found.ours // each)
    if allowed < wanted:
        observer.notify(
            Message(
                LogEvent.JOB_CONNECTIONS,
                f"{worded(max(0, found.free), 'connection is', 'connections are')}"
                f" free ({found.limit}): {worded(allowed, 'more worker', 'more workers')} in this process "
                f"instead of {wanted}, so that others can still connect",
                warning=True,
            )
        )
    return allowed
