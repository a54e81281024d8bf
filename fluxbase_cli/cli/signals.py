"""SIGINT and SIGTERM ask the engine to stop after the batches in hand; a second SIGINT leaves at once."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from fluxbase_cli.engine.stopping import Stop


@contextmanager
def stop_on_signals(stop: Stop, tell: Callable[[str], None]) -> Iterator[None]:
    """Within the block, signals request a stop.

    Args:
        stop: what to ask.
        tell: is called with a line for the operator.
    """

    def handle(number: int, _frame: FrameType | None) -> None:
        if stop.requested and number == signal.SIGINT:
            # The database rolls the batches in hand back; nothing is lost.
            os._exit(128 + number)
        stop.request(number)
        tell("Stopping: finishing the batches in hand (Ctrl-C again leaves at once)…")

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
