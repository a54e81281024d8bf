"""Runs a job in a separate process, and does to it what can be done to a process.

The process is forked, because starting Python again would take longer than the job. At each step it sends a message and
waits for our answer. So what happens meanwhile (another writer, a cut connection, the process's death) happens at
exactly that step, each time the example runs.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from multiprocessing.connection import Connection as Pipe
from typing import Any

from fluxbase_cli.config import DatabaseSettings
from fluxbase_cli.engine.events import BatchStep, Event, PassStarted, Step
from fluxbase_cli.engine.outcome import JobReport
from fluxbase_cli.engine.prepare.prepare import prepare
from fluxbase_cli.engine.request import JobRequest
from fluxbase_cli.engine.run.job_run import JobRun
from fluxbase_cli.engine.stop import Stop
from fluxbase_cli.errors import FluxbaseCliError
from fluxbase_cli.keyring import Keyring

#: Longer than a small job with a few retries takes on a busy machine.
_PATIENCE_S = 60.0


class Word(Enum):
    """The answer to a job at a step."""

    GO = "go"
    STOP = "stop"
    DIE = "die"


@dataclass(frozen=True, slots=True)
class AtStep:
    """Where a job is.

    Attributes:
        number: of the step, from 0, in this run.
        step: of a batch; None where a pass begins.
        table: the batch's table.
        pass_number: 0 in the main pass, then that of the catch-up pass.
        pid: the job's process.
    """

    number: int
    step: Step | None
    table: str | None
    pass_number: int
    pid: int


@dataclass(frozen=True, slots=True)
class Ending:
    """How a run ended.

    Attributes:
        state: `completed`, `interrupted`, `failed`, `dry-run`, `refused` or `killed`.
        what: the error's text.
        remaining: values that are left, from the report.
        counts: by location, without zeros.
        bad: what was reported, as location, id and path.
        last_pass: the last pass that the job has begun, in this run or before.
    """

    state: str
    what: str = ""
    remaining: int | None = None
    counts: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    bad: frozenset[tuple[str, str, tuple[str, ...]]] = frozenset()
    last_pass: int = 0


def run_job(
    database: DatabaseSettings, keyring: Keyring, request: JobRequest, at_step: Callable[[AtStep], Word], passed: int
) -> Ending:
    """Run a job until it ends in any way.

    Args:
        database: where.
        keyring: the keys.
        request: what is asked for.
        at_step: is called at each step, while the job waits.
        passed: the last pass that the job has begun in an earlier run.

    Raises:
        AssertionError: it hangs, or ended with an error that must not occur.
    """
    ours, theirs = multiprocessing.get_context("fork").Pipe()
    with warnings.catch_warnings():
        # Newer Pythons warn of a fork where threads are; here none holds anything that the child needs.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        _child(theirs, database, keyring, request)
    theirs.close()
    try:
        return _listen(ours, pid, at_step, passed)
    finally:
        ours.close()
        _end(pid)


def _listen(pipe: Pipe, pid: int, at_step: Callable[[AtStep], Word], pass_number: int) -> Ending:
    number = 0
    while True:
        assert pipe.poll(_PATIENCE_S), "the job hangs"
        try:
            kind, sent = pipe.recv()
        except EOFError:
            raise AssertionError("the job's process has vanished") from None
        if kind == "end":
            ending: Ending = pickle.loads(sent)  # noqa: S301  # from our own child
            assert ending.state != "broken", ending.what
            return replace(ending, last_pass=pass_number)
        step, table, passed = sent
        # A run that resumes reports pass 0, also when it resumes a later pass.
        pass_number = pass_number if passed is None else max(pass_number, passed)
        word = at_step(AtStep(number, step, table, pass_number, pid))
        number += 1
        if word is Word.DIE:
            os.kill(pid, signal.SIGKILL)
            return Ending("killed", last_pass=pass_number)
        pipe.send(word)


def _end(pid: int) -> None:
    """Make sure that a child has ended."""
    deadline = time.monotonic() + _PATIENCE_S
    while os.waitpid(pid, os.WNOHANG) == (0, 0):
        if time.monotonic() > deadline:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            return
        time.sleep(0.001)


# --- in the child -----------------------------------------------------------------------------------------------------


class _Asker:
    """Reports each step to the parent, and waits for its answer."""

    def __init__(self, pipe: Pipe, stop: Stop) -> None:
        self._pipe = pipe
        self._stop = stop
        self._lock = threading.Lock()

    def notify(self, event: Event) -> None:
        """Report an event."""
        sent: tuple[Any, ...]
        if isinstance(event, BatchStep):
            sent = (event.step, event.table, None)
        elif isinstance(event, PassStarted):
            sent = (None, None, event.number)
        else:
            return
        with self._lock:
            self._pipe.send(("step", sent))
            if self._pipe.recv() is Word.STOP:
                self._stop.request(signal.SIGTERM)


def _child(pipe: Pipe, database: DatabaseSettings, keyring: Keyring, request: JobRequest) -> None:
    """Do what the command does; never return."""
    try:
        pipe.send(("end", pickle.dumps(_run(pipe, database, keyring, request))))
    finally:
        # Do nothing of what the test session does at its own end.
        os._exit(0)


def _run(pipe: Pipe, database: DatabaseSettings, keyring: Keyring, request: JobRequest) -> Ending:
    stop = Stop()
    try:
        prepared = prepare(database, keyring, request)
        return _account(JobRun(database, keyring, prepared, stop=stop, observer=_Asker(pipe, stop)).run())
    except FluxbaseCliError as error:
        return Ending("refused", f"{type(error).__name__}: {error.message}")
    except BaseException:  # noqa: BLE001  # reported by the parent
        return Ending("broken", traceback.format_exc())


def _account(report: JobReport) -> Ending:
    return Ending(
        report.state,
        report.error or "",
        report.remaining,
        {
            location: {name: number for name, number in counts.as_dict().items() if number}
            for location, counts in report.locations.items()
        },
        frozenset((entry.location, str(entry.id), entry.path) for entry in report.quarantine),
    )
