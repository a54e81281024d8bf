"""SIGINT and SIGTERM ask the engine to stop after the batches in hand; a second SIGINT leaves at once.

Before the first batch there is nothing to finish, and both leave at once.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

from fluxbase_cli.engine.stop import Stop


def take_signals() -> None:
    """Have SIGINT and SIGTERM do what they do by default, whatever the parent has done with them.

    A shell starts what stands before `&` in a script with SIGINT ignored, and then Python installs no handler of its
    own. SIGHUP stays ignored where it is: that is what `nohup` is for.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if signal.getsignal(signal.SIGTERM) is signal.SIG_IGN:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT, signal.SIGTERM})


@contextmanager
def leave_on_sigterm(tell: Callable[[str], None]) -> Iterator[None]:
    """Within the block SIGTERM leaves as SIGINT does anyway, and with its own exit code: nothing was begun yet.

    By default it would end the process without a word, and do nothing at all to the first process of a container.

    Args:
        tell: is called with a line for the operator.
    """

    def handle(number: int, _frame: FrameType | None) -> NoReturn:
        tell("interrupted; nothing was begun")
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


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


@contextmanager
def pass_signals_on(pass_on: Callable[[int], None], tell: Callable[[str], None]) -> Iterator[None]:
    """Within the block, each SIGINT and SIGTERM is passed on to the processes that we have started.

    Args:
        pass_on: is called with the signal's number.
        tell: is called with a line for the operator.
    """

    def handle(number: int, _frame: FrameType | None) -> None:
        pass_on(number)
        tell("Stopping: no more instances are started, and the running ones finish their batches in hand…")

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
