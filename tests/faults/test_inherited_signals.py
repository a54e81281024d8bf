"""A command that a script with `&`, `nohup` or a service manager started with signals that are already ignored.

A shell ignores SIGINT for a command that stands before `&` in a script. Python then installs no signal handler. So a
program that relies on Python's handler cannot be interrupted.
"""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from tests.faults.reader import read
from tests.fixtures.command import Command, Rotation, Running, until

_RE_ENCRYPT = ("secrets", "re-encrypt", "--from-version", "1", "--to-version", "2", "--batch-size", "100")
#: The signals that a shell ignores for a job in the background, and more.
_IGNORING = ("sh", "-c", 'trap "" INT QUIT TERM; exec "$@"', "sh")
_BLOCK = """
import os, signal, sys
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
os.execv(sys.argv[1], sys.argv[1:])
"""
_BLOCKING = (sys.executable, "-c", _BLOCK)

inherited = pytest.mark.parametrize(
    "parent", [pytest.param(_IGNORING, id="ignored"), pytest.param(_BLOCKING, id="blocked")]
)


@contextmanager
def started(command: Command, parent: tuple[str, ...], *arguments: str, **environment: str) -> Iterator[Running]:
    with command.start_line([*parent, *command.line(*arguments)], **environment) as running:
        yield running


@inherited
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_job_can_be_interrupted_even_if_the_parent_ignored_signals(
    rotation: Rotation, parent: tuple[str, ...], number: signal.Signals, code: int
) -> None:
    rotation.seed(1000)
    with psycopg.connect(rotation.url) as blocker:
        blocker.execute("SELECT FROM functions.secrets FOR UPDATE")
        with started(rotation.command, parent, *_RE_ENCRYPT) as running:
            until(rotation.waits_for_a_lock, "a batch waits for our lock")
            running.send(number)
            outcome = running.finish()

    assert outcome.code == code, outcome.all
    assert "Stopping: finishing the batches in progress" in outcome.stderr
    assert rotation.command(*_RE_ENCRYPT).code == 0
    assert read(rotation.url).versions == {2: 1000}


@inherited
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_job_that_has_not_begun_can_be_interrupted_too(
    rotation: Rotation, parent: tuple[str, ...], number: signal.Signals, code: int
) -> None:
    """It counts values in a table that another session has locked. The engine's signal handler is not installed yet."""
    rotation.seed(100)
    with psycopg.connect(rotation.url) as blocker:
        blocker.execute("LOCK TABLE functions.secrets IN ACCESS EXCLUSIVE MODE")
        with started(rotation.command, parent, *_RE_ENCRYPT) as running:
            until(rotation.waits_for_a_lock, "the command waits for our lock")
            running.send(number)
            outcome = running.finish()

    assert outcome.code == code, outcome.all
    assert rotation.value("SELECT to_regclass('fluxbase_rotation.job')") is None


@inherited
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, -signal.SIGTERM)])
def test_a_command_that_waits_for_a_silent_server_is_interrupted(
    command: Command, parent: tuple[str, ...], number: signal.Signals, code: int
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgresql://nobody@127.0.0.1:{silent.getsockname()[1]}/nothing"
        with started(command, parent, "secrets", "status", FLUXBASE_DATABASE_URL=url) as running:
            silent.settimeout(60)
            connection, _ = silent.accept()
            with connection:
                running.send(number)
                outcome = running.finish()

    assert outcome.code == code, outcome.all


def test_what_the_tests_start_inherits_no_ignored_signal() -> None:
    """The tests give the same result when a script runs them in the background."""
    told = "import signal; print(*(signal.getsignal(n) is not signal.SIG_IGN for n in (signal.SIGINT, signal.SIGQUIT)))"
    suite = (
        f"import subprocess, sys; import tests.conftest; subprocess.run([sys.executable, '-c', {told!r}], check=True)"
    )
    done = subprocess.run(
        [*_IGNORING, sys.executable, "-c", suite],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "True True\n"
