"""SIGINT and SIGTERM ask the engine to stop after the batches in progress. A second SIGINT ends the process at once.

Before the first batch there is nothing to finish, so both signals end the process at once.

Some waits take no notice of either: a name that no server resolves, an address that answers nothing. So a process that
has not ended five seconds after a signal is ended.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

from fluxbase_cli.engine.stop import Stop
from fluxbase_cli.errors import interrupted_code
from fluxbase_cli.log_events import LogEvent, Teller

if TYPE_CHECKING:
    import socket


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


#: How long a process may take to end after a signal, in seconds.
_END_S = 4.8
_LOOK_S = 0.1
#: How long the last line may take, in seconds: what writes it may be what hangs.
_LAST_LINE_S = 0.1


def _never() -> bool:
    return False


@contextmanager
def ends_in_time(tell: Teller, finishing: Callable[[], bool] = _never) -> Iterator[None]:
    """Inside the block, the process ends some seconds after SIGINT or SIGTERM, also while it waits in a library.

    Args:
        tell: called with a message for the operator before that. It is a library's wait that we do not see into.
        finishing: whether something must be done to its end, which may take longer.
    """
    import socket  # noqa: PLC0415  # start-up time

    # Python runs a handler only between two of its own instructions. The number of a signal is written here at once.
    ours, theirs = socket.socketpair()
    theirs.settimeout(0.0)
    before = signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)
    thread = threading.Thread(target=_watch, args=(ours, tell, finishing), name="signals", daemon=True)
    thread.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        # Not only closed: a process that was forked inside the block has the same socket.
        theirs.shutdown(socket.SHUT_RDWR)
        thread.join(1.0)
        theirs.close()
        ours.close()


def _watch(numbers: socket.socket, tell: Teller, finishing: Callable[[], bool]) -> None:
    first: int | None = None
    deadline = 0.0
    while True:
        # Before the first signal there is nothing to look at.
        numbers.settimeout(None if first is None else _LOOK_S)
        try:
            received = numbers.recv(64)
        except TimeoutError:
            pass
        except OSError:
            return
        else:
            if not received:
                return
            found = [number for number in received if number in (signal.SIGINT, signal.SIGTERM)]
            if first is None and found:
                first, deadline = found[0], time.monotonic() + _END_S
        if first is not None and time.monotonic() > deadline and not finishing():
            line = "still waiting for another system, so this process ends now; what was committed stays"
            last = threading.Thread(target=tell, args=(LogEvent.SIGNAL_DEADLINE, line), daemon=True)
            last.start()
            last.join(_LAST_LINE_S)
            os._exit(interrupted_code(first))


@contextmanager
def handled(
    handlers: Mapping[signal.Signals, Callable[[int, FrameType | None], object]],
    tell: Teller,
    finishing: Callable[[], bool] = _never,
) -> Iterator[None]:
    """Inside the block, these functions handle signals, and `ends_in_time` holds.

    Args:
        handlers: the function of each signal.
        tell: as for `ends_in_time`.
        finishing: as for `ends_in_time`.
    """
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        with ends_in_time(tell, finishing):
            yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def leave_on_sigterm(tell: Teller) -> Iterator[None]:
    """Inside the block, SIGTERM ends the process like SIGINT, with the exit code of SIGTERM. No job was begun yet.

    By default SIGTERM ends the process without a message. The first process of a container ignores it by default.

    Args:
        tell: called with a message for the operator.
    """

    def handle(number: int, _frame: FrameType | None) -> NoReturn:
        tell(LogEvent.COMMAND_INTERRUPTED, "interrupted; nothing was begun")
        raise SystemExit(interrupted_code(number))

    with handled({signal.SIGTERM: handle}, tell):
        yield


@contextmanager
def stop_on_signals(stop: Stop, tell: Teller) -> Iterator[None]:
    """Inside the block, signals request a stop.

    Args:
        stop: the request goes here.
        tell: called with a message for the operator.
    """

    def handle(number: int, _frame: FrameType | None) -> None:
        if stop.requested and number == signal.SIGINT:
            # The database rolls back the batches in progress. Nothing is lost.
            os._exit(interrupted_code(number))
        stop.request(number)
        tell(LogEvent.SIGNAL_RECEIVED, "Stopping: finishing the batches in progress (Ctrl-C again stops at once)…")

    with handled({signal.SIGINT: handle, signal.SIGTERM: handle}, tell, lambda: stop.finishing):
        yield


@contextmanager
def pass_signals_on(pass_on: Callable[[int], None], tell: Teller) -> Iterator[None]:
    """Inside the block, each SIGINT and SIGTERM is passed on to the processes that we have started.

    Args:
        pass_on: called with the signal's number.
        tell: called with a message for the operator.
    """

    def handle(number: int, _frame: FrameType | None) -> None:
        pass_on(number)
        tell(
            LogEvent.SIGNAL_RECEIVED,
            "Stopping: no more instances are started, and the running ones finish their batches in progress…",
        )

    # The other processes end in time themselves.
    with handled({signal.SIGINT: handle, signal.SIGTERM: handle}, tell, lambda: True):
        yield
