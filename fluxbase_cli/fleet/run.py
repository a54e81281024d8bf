"""Runs the instances' processes, a few at a time. Signals are passed on to them, and no process outlives us.

Each process has a pipe as stdin, and its own process group. The pipe closes when we end for any reason, and then the
process stops (`cli/instance.py`). Because of the separate group, a Ctrl-C reaches the process once, from us, and not a
second time from the terminal.
"""

from __future__ import annotations

import json
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import IO, Any, Protocol

from fluxbase_cli.errors import ExitCode
from fluxbase_cli.fleet.environment import variables_of
from fluxbase_cli.fleet.file import Fleet, Instance
from fluxbase_cli.fleet.outcome import InstanceResult, Outcome
from fluxbase_cli.printable import printable

#: An instance may take this many seconds to end after a signal. Kubernetes kills after 30 seconds.
GRACE_S = 25.0
#: Time between two checks for signals, in seconds.
_LOOK_S = 0.1
#: At most this many lines that are not messages are kept for each instance.
_OTHER_LINES = 20


@dataclass(frozen=True, slots=True)
class InstanceMessage:
    """A message that an instance writes to stderr.

    Attributes:
        level: `debug`, `info`, `warning` or `error`.
        text: for people; may hold several lines.
        fields: for programs.
    """

    level: str
    text: str
    fields: Mapping[str, Any]


class Listener(Protocol):
    """Gets the events of the instances, from several threads. It must not raise."""

    def started(self, instance: Instance) -> None:
        """An instance's process was started."""

    def heard(self, instance: Instance, message: InstanceMessage) -> None:
        """An instance has written a message."""

    def ended(self, result: InstanceResult) -> None:
        """An instance's process has ended."""


class FleetRun:
    """One command on all instances of a fleet.

    Args:
        fleet: the instances.
        line: the program and its arguments; `--config` and the instance's configuration are added.
        environ: our environment; a part of it is passed on.
        parallel: how many instances run at the same time.
        listener: gets the events.
        grace_s: how long an instance may take to end after a signal, in seconds. Then it is killed.
    """

    def __init__(  # noqa: PLR0913  # everything that a run needs
        self,
        fleet: Fleet,
        line: Sequence[str],
        *,
        environ: Mapping[str, str],
        parallel: int,
        listener: Listener,
        grace_s: float = GRACE_S,
    ) -> None:
        self._fleet = fleet
        self._line = tuple(line)
        self._environ = environ
        self._parallel = parallel
        self._listener = listener
        self._grace_s = grace_s
        self._lock = threading.Lock()
        self._stopping = False
        self._running: set[subprocess.Popen[bytes]] = set()
        self._signals: list[int] = []
        self._forwarded = 0
        self._deadline: float | None = None

    @property
    def signal(self) -> int | None:
        """The first signal that was passed on, if any."""
        return self._signals[0] if self._signals else None

    def stop(self, number: int) -> None:
        """Start no more instances, and pass a signal on to those that run.

        It takes no lock, so a signal handler may call it.
        """
        self._signals.append(number)

    def run(self) -> tuple[InstanceResult, ...]:
        """Run the command. Return the results in the order of the file."""
        with ThreadPoolExecutor(self._parallel, thread_name_prefix="instance") as pool:
            futures = [pool.submit(self._run_one, instance) for instance in self._fleet.instances]
            pending = set(futures)
            while pending:
                _, pending = wait(pending, timeout=_LOOK_S)
                self._pass_signals_on()
        return tuple(future.result() for future in futures)

    def _pass_signals_on(self) -> None:
        numbers = self._signals[self._forwarded :]
        if not numbers and self._deadline is None:
            return
        with self._lock:
            # `_start` holds the lock too, so no process is started that would miss the signal.
            self._stopping = True
            running = tuple(self._running)
        self._forwarded += len(numbers)
        if self._deadline is None:
            self._deadline = time.monotonic() + self._grace_s
        for process in running:
            for number in numbers:
                process.send_signal(number)
            if time.monotonic() > self._deadline:
                process.kill()

    def _run_one(self, instance: Instance) -> InstanceResult:
        started = time.monotonic()
        with tempfile.TemporaryFile() as stdout:
            try:
                process = self._start(instance, stdout)
            except OSError as error:
                why = f"its process can't be started: {error.strerror or type(error).__name__}"
                return self._notify_end(InstanceResult(instance, ExitCode.FAILED, error=why))
            if process is None:
                return InstanceResult(instance, None, error="not started; the fleet was interrupted before its turn")
            self._listener.started(instance)
            with process:
                stderr = self._listen(instance, process)
                code = process.wait()
            with self._lock:
                self._running.discard(process)
            elapsed = time.monotonic() - started
            result = _parse(_all_of(stdout))
        ended = InstanceResult(instance, 128 - code if code < 0 else code, elapsed, result)
        if stderr.other_lines and ended.outcome not in (Outcome.DONE, Outcome.INTERRUPTED):
            # For example a crash of the program. (An interrupt during the start also causes a traceback, but that one
            # is of no use.)
            self._listener.heard(instance, InstanceMessage("warning", "\n".join(stderr.other_lines), {}))
        return self._notify_end(InstanceResult(instance, ended.exit_code, elapsed, result, _error(ended, stderr)))

    def _start(self, instance: Instance, stdout: IO[bytes]) -> subprocess.Popen[bytes] | None:
        with self._lock:
            if self._stopping:
                return None
            process = subprocess.Popen(  # noqa: S603  # our own program
                [*self._line, f"--config={instance.config}"],
                stdin=subprocess.PIPE,
                stdout=stdout,
                stderr=subprocess.PIPE,
                cwd=instance.directory,
                env=variables_of(instance, self._fleet, self._environ),
                process_group=0,
            )
            self._running.add(process)
            return process

    def _listen(self, instance: Instance, process: subprocess.Popen[bytes]) -> _Stderr:
        """Read an instance's stderr until it closes."""
        stderr = _Stderr()
        for line in process.stderr or ():
            message = _message(line)
            if message is None:
                stderr.other_lines = [*stderr.other_lines, line.decode("utf-8", "replace").rstrip()][-_OTHER_LINES:]
                continue
            if message.level == "error":
                stderr.error = message.text
            self._listener.heard(instance, message)
        return stderr

    def _notify_end(self, result: InstanceResult) -> InstanceResult:
        self._listener.ended(result)
        return result


class _Stderr:
    """What an instance wrote to stderr about its end.

    Attributes:
        error: its last error.
        other_lines: the last lines that were not messages.
    """

    def __init__(self) -> None:
        self.error: str | None = None
        self.other_lines: list[str] = []


def _message(line: bytes) -> InstanceMessage | None:
    data = _parse(line)
    if data is None or not isinstance(data.get("message"), str):
        return None
    fields = {name: value for name, value in data.items() if name not in ("time", "level", "message")}
    return InstanceMessage(str(data.get("level")), data["message"], fields)


def _parse(text: bytes) -> dict[str, Any] | None:
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return data if isinstance(data, dict) else None


def _all_of(file: IO[bytes]) -> bytes:
    file.seek(0)
    return file.read()


def _error(ended: InstanceResult, stderr: _Stderr) -> str | None:
    """Return why an instance ended like this, in one line. None if its result says it."""
    if ended.outcome in (Outcome.DONE, Outcome.UNDECRYPTABLE) or (
        ended.outcome is Outcome.CHECK_SAYS_NO and ended.result
    ):
        return None
    result = ended.result or {}
    refused = [check for check in result.get("checks", ()) if check.get("verdict") == "refuse"]
    if stderr.error or result.get("error"):
        text = stderr.error or str(result["error"])
    elif refused:
        text = f"{refused[0]['check']}: {refused[0]['message']}"
    elif ended.outcome is Outcome.INTERRUPTED:
        text = "interrupted; run the same command again"
    elif ended.outcome is Outcome.KILLED and ended.exit_code is not None:
        text = f"its process was ended by {_signal_name(ended.exit_code - 128)}; run the same command again"
    else:
        text = f"its process ended with exit code {ended.exit_code} and did not say why"
    return printable(text)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
