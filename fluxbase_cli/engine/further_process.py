"""What the further processes of a command have in common: they follow the first process, and tell it what happens."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from fluxbase_cli.engine.stop import Stop

if TYPE_CHECKING:
    from multiprocessing.connection import Connection as Pipe


def processors() -> int:
    """How many processors this process may use. One where a fork is not safe."""
    # A fork is safe only where system libraries start no threads, as those of macOS do.
    return len(os.sched_getaffinity(0)) if sys.platform.startswith("linux") else 1


def become_further_process(others: Iterable[Pipe]) -> None:  # pragma: no cover  # in a fork
    """Prepare a process that was forked.

    Args:
        others: the ends of pipes that belong to the first process. They are closed here, so that each process notices
            the end of the other.
    """
    for other in others:
        other.close()
    # A terminal sends signals to all its processes; only the first process decides what to do.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


def follow_first_process(pipe: Pipe, stop: Stop) -> None:  # pragma: no cover
    """Start to listen: stop when the first process says so, and exit at once when it is gone."""

    def listen() -> None:
        try:
            while True:
                pipe.recv()
                stop.request()
        except (EOFError, OSError):
            os._exit(1)

    threading.Thread(target=listen, name="follow-first-process", daemon=True).start()


class PipeSender:  # pragma: no cover
    """Sends objects to the first process, from any thread."""

    def __init__(self, pipe: Pipe) -> None:
        self._pipe = pipe
        self._lock = threading.Lock()

    def send(self, message: Any) -> None:  # noqa: ANN401  # what can be pickled
        """Send an object."""
        with self._lock:
            self._pipe.send(message)
