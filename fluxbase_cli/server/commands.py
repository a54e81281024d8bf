"""Runs the operator's commands: no shell, a clean environment, a time limit, and no secret in the output.

Which variables a command gets: `fluxbase_cli.config.command_environment`.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import IO

from fluxbase_cli.engine.stop import Stop
from fluxbase_cli.errors import JobFailedError
from fluxbase_cli.printable import printable
from fluxbase_cli.process_group import signal_group

#: Without this limit, a command that hangs would leave the server stopped for ever.
TIMEOUT_S = 900.0
#: The end of a command's output that is shown.
_SHOWN_LINES = 20
_READ_BYTES = 64 * 1024
_LOOK_S = 0.1
#: How long a command may take to end after SIGTERM, in seconds: we ourselves end within five.
_GRACE_S = 2.0


@dataclass(frozen=True, slots=True)
class CommandEnd:
    """How a command ended.

    Attributes:
        seconds: how long it took.
        lines: the end of what it wrote, for the operator. Control characters are escaped.
    """

    seconds: float
    lines: tuple[str, ...] = ()


class CommandError(JobFailedError):
    """A command can't be run, failed, or did not end in time.

    Attributes:
        lines: the end of what it wrote.
    """

    def __init__(self, message: str, lines: tuple[str, ...] = (), *, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.lines = lines


@dataclass(frozen=True, slots=True)
class Command:
    """A command of the operator.

    Attributes:
        name: the setting that holds it, for messages.
        words: the program and its arguments.
        environ: the variables that it gets.
        timeout_s: how long it may take, in seconds.
    """

    name: str
    words: tuple[str, ...]
    environ: Mapping[str, str] = field(repr=False)
    timeout_s: float = TIMEOUT_S

    @property
    def program(self) -> str | None:
        """The program's path. None if there is no such program."""
        return shutil.which(self.words[0], path=self.environ.get("PATH"))

    def run(self, text: str | None = None, stop: Stop | None = None) -> CommandEnd:
        """Run it.

        Args:
            text: what it reads from standard input, without a line end. It may be secret, and is removed from the
                output.
            stop: ends it, with all processes that it has started. None: a request to stop does not end it.

        Raises:
            CommandError: it can't be run, fails, hangs, or was ended because of a request to stop.
        """
        started = time.monotonic()
        # The output goes to a file and not to a pipe: a server that the command leaves running keeps its end open.
        with tempfile.TemporaryFile() as output:
            code = self._wait(output, text, stop)
            lines = _lines(output, text)
        if code != 0:
            raise CommandError(f"{self.name} {self.words[0]} ended with exit code {code}", lines)
        return CommandEnd(time.monotonic() - started, lines)

    def _wait(self, output: IO[bytes], text: str | None, stop: Stop | None) -> int:
        try:
            process = subprocess.Popen(  # noqa: S603  # the operator's own command, read by no shell
                self.words,
                stdin=subprocess.DEVNULL if text is None else subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=dict(self.environ),
                # Ctrl-C is for us: we decide how the server gets up again.
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            reason = (error.strerror if isinstance(error, OSError) else None) or type(error).__name__
            raise CommandError(f"{self.name} {self.words[0]} can't be run: {reason}") from None
        if text is not None and process.stdin is not None:
            # A key is shorter than the buffer of a pipe, so this does not wait for the command.
            with suppress(BrokenPipeError), process.stdin as written:
                written.write(os.fsencode(text))
        deadline = time.monotonic() + self.timeout_s
        while True:
            with suppress(subprocess.TimeoutExpired):
                return process.wait(_LOOK_S)
            if stop is not None and stop.requested:
                why, at_once = "was ended, because a stop was requested", False
            elif time.monotonic() >= deadline:
                why, at_once = f"did not end within {self.timeout_s:.0f} s, and was killed", True
            else:
                continue
            _end(process, at_once=at_once)
            raise CommandError(f"{self.name} {self.words[0]} {why}", _lines(output, text))


def _end(process: subprocess.Popen[bytes], *, at_once: bool) -> None:
    """End a command with all processes of its session that it has started."""
    if not at_once:
        signal_group(process, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE_S)
    signal_group(process)
    process.wait()


def _lines(output: IO[bytes], text: str | None) -> tuple[str, ...]:
    size = output.seek(0, os.SEEK_END)
    output.seek(max(0, size - _READ_BYTES))
    written = output.read().decode("utf-8", "replace")
    if text:
        written = written.replace(text, "[the key]")
    return tuple(printable(line) for line in written.splitlines()[-_SHOWN_LINES:])
