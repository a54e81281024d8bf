"""SIGINT and SIGTERM ask the engine to stop after the batches in progress. A second SIGINT ends the process at once.

Before the first batch there is nothing to finish, so both signals end the process at once.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

from fluxbase_cli.engine.stop import Stop
from fluxbase_cli.errors import interrupted_code


def take_signals() -> None:
    """Restore the default action of SIGINT and SIGTERM, even if the parent process ignores or blocks them.

    In a script, a shell starts a command before `&` with SIGINT ignored, and then Python installs no handler for it.
    If SIGHUP is ignored, it stays ignored: `nohup` needs that.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if signal.getsignal(signal.SIGTERM) is signal.SIG_IGN:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT, signal.SIGTERM})


@contextmanager
def leave_on_sigterm(tell: Callable[[str], None]) -> Iterator[None]:
    """Inside the block, SIGTERM ends the process like SIGINT, with the exit code of SIGTERM. No job was begun yet.

    By default SIGTERM ends the process without a message. The first process of a container ignores it by default.

    Args:
        tell: called with a line for the operator.
    """

    def handle(number: int, _frame: FrameType | None) -> NoReturn:
        tell("interrupted; nothing was begun")
        raise SystemExit(interrupted_code(number))

    before = signal.signal(signal.SIGTERM, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def stop_on_signals(stop: Stop, tell: Callable[[str], None]) -> Iterator[None]:
    """Inside the block, signals request a stop.

    Args:
        stop: the request goes here.
        tell: called with a line for the operator.
    """

    def handle(number: int, _frame: FrameType | None) -> None:
        if stop.requested and number == signal.SIGINT:
            # The database rolls back the batches in progress. Nothing is lost.
            os._exit(interrupted_code(number))
        stop.request(number)
        tell("Stopping: finishing the batches in progress (Ctrl-C again stops at once)…")

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def pass_signals_on(pass_on: Callable[[int], None], tell: Callable[[str], None]) -> Iterator[None]:
    """Inside the block, each SIGINT and SIGTERM is passed on to the processes that we have started.

    Args:
        pass_on: called with the signal's number.
        tell: called with a line for the operator.
    """

    def handle(number: int, _frame: FrameType | None) -> None:
        pass_on(number)
        tell("Stopping: no more instances are started, and the running ones finish their batches in progress…")

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
