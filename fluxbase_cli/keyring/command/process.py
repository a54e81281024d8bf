"""Runs a program that prints a key: without a shell, with limits of time and size.

The program gets a session and so a process group for itself. When the
program ends, all other processes of its group are killed.
"""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from enum import Enum
from types import FrameType
from typing import IO

from fluxbase_cli.process_group import signal_group

#: A key has at most 64 characters.
MOST_PRINTED_BYTES = 4096
#: The end of what it writes to stderr is kept.
_MOST_ERROR_BYTES = 64 * 1024
_READ_BYTES = 64 * 1024
_LOOK_S = 0.02
#: How long the output of an ended program is read, if another process continues to write to it.
_DRAIN_S = 0.5
_ASK_TO_STOP = (signal.SIGINT, signal.SIGTERM)
#: We take these only if their default action would end us: SIGHUP makes the daemon read its configuration again.
_END = (signal.SIGHUP, signal.SIGQUIT)


class HowItEnded(Enum):
    """How a program ended."""

    #: We did not end it: it has an exit code.
    ENDED = "ended"
    #: We ended it, because it took too long.
    HUNG = "hung"
    #: We ended it, because it printed too much.
    PRINTED_TOO_MUCH = "printed too much"
    #: We ended it, because a signal came for us.
    INTERRUPTED = "interrupted"


@dataclass(frozen=True, slots=True)
class Result:
    """What a program did.

    Attributes:
        how: how it ended.
        code: its exit code; negative, the number of the signal that ended it.
        stdout: what it printed, at most a little more than `MOST_PRINTED_BYTES`.
        stderr: the end of its other output.
        signal: the signal that came for us, if one did.
    """

    how: HowItEnded
    code: int
    stdout: bytes = field(repr=False)
    stderr: bytes = field(repr=False)
    signal: int | None = None


def run_program(words: Sequence[str], environ: Mapping[str, str], timeout_s: float) -> Result:
    """Run a program to its end.

    Args:
        words: the program and its arguments.
        environ: the variables that it gets.
        timeout_s: how long it may take, in seconds.

    Raises:
        OSError: it can't be run.
        ValueError: a word holds a character that no argument can have.
    """
    with _killed_by_signals() as signals:
        process = subprocess.Popen(  # noqa: S603  # the operator's own command, read by no shell
            list(words),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=dict(environ),
            start_new_session=True,
        )
        try:
            signals.act_on(process)
            how, stdout, stderr = _read(process, timeout_s)
        finally:
            signal_group(process)
            with suppress(subprocess.TimeoutExpired):
                process.wait(1.0)
            for stream in (process.stdout, process.stderr):
                if stream is not None:
                    stream.close()
    code = -signal.SIGKILL if process.returncode is None else process.returncode
    if signals.came:
        return Result(HowItEnded.INTERRUPTED, code, stdout, stderr, signals.came[0])
    return Result(how, code, stdout, stderr)


def _read(process: subprocess.Popen[bytes], timeout_s: float) -> tuple[HowItEnded, bytes, bytes]:
    """Read both streams until the program has ended. A process that it left behind may keep them open."""
    deadline, drained = time.monotonic() + timeout_s, None
    out, err = bytearray(), bytearray()
    with selectors.DefaultSelector() as selector:
        for stream, kept in ((process.stdout, out), (process.stderr, err)):
            assert stream is not None  # noqa: S101  # both are pipes
            os.set_blocking(stream.fileno(), False)
            selector.register(stream, selectors.EVENT_READ, kept)
        while True:
            now = time.monotonic()
            if drained is None and process.poll() is not None:
                drained = now + _DRAIN_S
            if drained is None and now > deadline:
                return HowItEnded.HUNG, bytes(out), bytes(err)
            read_something = _read_ready(selector, 0.0 if drained is not None else _LOOK_S)
            if len(out) > MOST_PRINTED_BYTES:
                return HowItEnded.PRINTED_TOO_MUCH, bytes(out), bytes(err)
            del err[:-_MOST_ERROR_BYTES]
            if drained is not None and (not read_something or now > drained):
                return HowItEnded.ENDED, bytes(out), bytes(err)


def _read_ready(selector: selectors.BaseSelector, wait_s: float) -> bool:
    """Read what is there. Return whether there was something."""
    if not selector.get_map():
        time.sleep(wait_s)
        return False
    found = False
    for key, _ in selector.select(wait_s):
        stream: IO[bytes] = key.fileobj  # type: ignore[assignment]  # what was registered
        part = b""
        with suppress(BlockingIOError):
            part = os.read(stream.fileno(), _READ_BYTES)
        if part:
            key.data.extend(part)
            found = True
        else:
            selector.unregister(stream)
    return found


class _Signals:
    """Signals that end us, or ask us to stop. They end the program first.

    The program is in another session, so neither Ctrl-C nor the end of the terminal reaches it.

    Attributes:
        came: the signals that came.
        former: what was done with each of them before.
    """

    def __init__(self) -> None:
        self.came: list[int] = []
        self.former: dict[int, signal.Handlers | Callable[[int, FrameType | None], object]] = {}
        self._waiting: list[int] = []
        self._process: subprocess.Popen[bytes] | None = None

    def handle(self, number: int, frame: FrameType | None) -> None:
        """Take a signal. As long as the program is being started, the signal waits."""
        self.came.append(number)
        if self._process is None:
            self._waiting.append(number)
        else:
            signal_group(self._process)
            self._pass_on(number, frame)

    def act_on(self, process: subprocess.Popen[bytes] | None) -> None:
        """The program was started, or, if it is None, could not be. Signals that wait act now."""
        self._process = process
        while self._waiting:
            if process is not None:
                signal_group(process)
            self._pass_on(self._waiting.pop(0), None)

    def _pass_on(self, number: int, frame: FrameType | None) -> None:
        former = self.former[number]
        if callable(former):
            former(number, frame)
        else:
            signal.signal(number, former)
            os.kill(os.getpid(), number)


@contextmanager
def _killed_by_signals() -> Iterator[_Signals]:
    """Inside the block, signals end the program. In another thread than the main one, no handler can be set."""
    signals = _Signals()
    if threading.current_thread() is threading.main_thread():
        for number in (*_ASK_TO_STOP, *_END):
            former = signal.getsignal(number)
            taken = former not in (None, signal.SIG_IGN) if number in _ASK_TO_STOP else former == signal.SIG_DFL
            if taken:
                signals.former[number] = former  # type: ignore[assignment]  # typeshed allows any number here
                signal.signal(number, signals.handle)
    try:
        yield signals
    finally:
        for each, former in signals.former.items():
            signal.signal(each, former)
        signals.act_on(None)
