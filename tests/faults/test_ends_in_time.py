"""A signal ends every command within five seconds, also while it waits, and what it waits for is said."""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg
import pytest

from tests.faults.test_worker_process import line, worker_process_of
from tests.fixtures.command import Command, Rotation, Running, until
from tests.fixtures.pooled import Start
from tests.fixtures.programs import needs_worker_process, runs
from tests.fixtures.rotating import Rotating

_RE_ENCRYPT = ("secrets", "re-encrypt", "--from-version", "1", "--to-version", "2", "--yes")
#: Five seconds, and what a busy machine needs besides.
_IN_TIME_S = 8.0
_OUR_SESSIONS = (
    "SELECT count(*) FROM pg_stat_activity WHERE application_name ~ '^fluxbase-cli' AND datname = current_database()"
)
#: A wait that takes no notice of a signal: Python's handler returns, and the wait continues.
_DEAF = """
import time
from fluxbase_cli.cli.signals import stop_on_signals
from fluxbase_cli.engine.stop import Stop
stop = Stop()
with stop_on_signals(stop, lambda _event, line: print(line, flush=True)):
    with stop.to_the_end() if {finishing} else __import__("contextlib").nullcontext():
        print("waiting", flush=True)
        time.sleep({seconds})
"""


def _ends(running: Running, number: signal.Signals = signal.SIGTERM) -> int:
    began = time.monotonic()
    running.send(number)
    code = running.finish(timeout_s=60.0).code
    assert time.monotonic() - began < _IN_TIME_S
    return code


@dataclass(frozen=True, slots=True)
class _Silent:
    """An address that takes connections and never answers.

    Attributes:
        listener: where the connections come in.
    """

    listener: socket.socket

    @property
    def address(self) -> str:
        """As `host:port`."""
        return f"127.0.0.1:{self.listener.getsockname()[1]}"

    def ends(self, running: Running, number: signal.Signals = signal.SIGTERM) -> None:
        """Wait until the command has connected, and send it a signal."""
        with self.listener.accept()[0]:
            # Without a handler of ours, SIGTERM ends the process directly.
            assert _ends(running, number) in {128 + number, -number}
        assert "Traceback" not in running.stderr


@pytest.fixture
def silent() -> Iterator[_Silent]:
    """An address that never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        # A command that does not come so far must not keep the test waiting.
        listener.settimeout(30.0)
        yield _Silent(listener)


def test_a_wait_that_takes_no_notice_of_a_signal_is_ended(command: Command) -> None:
    program = _DEAF.format(finishing=False, seconds=60)
    with command.start_line([sys.executable, "-c", program]) as running:
        # Stdout is a pipe here, so the time is what shows that it waits.
        time.sleep(1.0)
        assert _ends(running) == 128 + signal.SIGTERM


def test_what_must_be_done_to_its_end_is_not_ended(command: Command) -> None:
    program = _DEAF.format(finishing=True, seconds=6)
    with command.start_line([sys.executable, "-c", program]) as running:
        time.sleep(1.0)
        running.send(signal.SIGTERM)
        assert running.finish().code == 0


@pytest.mark.parametrize(
    "arguments", [("secrets", "audit"), ("secrets", "status"), ("config", "check"), _RE_ENCRYPT], ids=lambda a: a[1]
)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_command_that_connects_to_a_silent_address_is_ended(
    rotation: Rotation, silent: _Silent, arguments: tuple[str, ...], number: signal.Signals
) -> None:
    url = f"postgresql://postgres:secret@{silent.address}/nowhere"
    with rotation.command.start(*arguments, FLUXBASE_DATABASE_URL=url) as running:
        silent.ends(running, number)


def test_a_command_that_waits_for_a_silent_vault_is_ended(rotating: Rotating, silent: _Silent) -> None:
    with rotating.command.start("keys", "verify", VAULT_ADDR=f"http://{silent.address}") as running:
        silent.ends(running)


def test_a_command_that_waits_for_a_silent_kms_is_ended(rotation: Rotation, silent: _Silent) -> None:
    rotation.command.write(
        "fluxbase.yaml",
        "security:\n  encryption:\n    provider: aws_kms\n    kms_key_id: alias/a\n    active_key_version: 1\n"
        "    keys:\n      - version: 1\n        ciphertext: " + "QUJD" * 20 + "\n",
    )
    surroundings = {
        "AWS_ENDPOINT_URL": f"http://{silent.address}",
        "AWS_ACCESS_KEY_ID": "a",
        "AWS_SECRET_ACCESS_KEY": "b",
        "AWS_REGION": "eu-central-1",
        "FLUXBASE_SECRET_KEY_1": "",
    }
    with rotation.command.start("keys", "verify", **surroundings) as running:
        silent.ends(running)


def test_a_command_that_waits_for_a_silent_webhook_is_ended(rotating: Rotating, silent: _Silent) -> None:
    rotating.configure(webhook=f"http://{silent.address}/hook")
    with rotating.command.start("rotation", "test-notification") as running:
        silent.ends(running)


def test_a_rotation_that_waits_for_its_reload_command_is_ended_and_so_is_that(rotating: Rotating) -> None:
    place = rotating.directory / "reloading"
    rotating.change(f"echo x >> {rotating.directory}/reloads", f"echo $$ > {place}; exec sleep 60")
    with rotating.command.start("rotation", "run", "--force") as running:
        until(lambda: place.exists() and place.read_text(encoding="utf-8").strip(), "the command has begun")
        assert _ends(running) == 128 + signal.SIGTERM
    until(lambda: not runs(int(place.read_text(encoding="utf-8"))), "the command has ended")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_job_over_a_pool_that_is_smaller_than_its_workers_is_ended(
    rotation: Rotation, pooler: Start, number: signal.Signals
) -> None:
    rotation.seed(5_000)
    pool = pooler(pool_mode="session", default_pool_size=4)
    arguments = (*_RE_ENCRYPT, "--concurrency", "8", "--max-rate", "100")
    with rotation.command.start(*arguments, FLUXBASE_DATABASE_URL=pool.url) as running:
        # Some of the workers have a session, and the others wait for one.
        until(lambda: rotation.rows(_OUR_SESSIONS)[0][0] == 4, "all sessions of the pool are used")
        time.sleep(1.0)
        assert _ends(running, number) == 128 + number


def test_a_job_that_waits_for_a_synchronous_standby_says_so_and_is_ended(rotation: Rotation) -> None:
    rotation.seed(200)
    with _absent_standby(rotation), rotation.command.start(*_RE_ENCRYPT) as running:
        _says_it_waits_and_ends(running)


def test_a_command_that_is_no_job_says_so_too(rotation: Rotation) -> None:
    rotation.seed(20)
    assert rotation.command(*_RE_ENCRYPT).code == 0
    destroy = ("keys", "destroy", "--key-version", "1", "--skip-standbys")
    with _absent_standby(rotation), rotation.command.start(*destroy) as running:
        _says_it_waits_and_ends(running)


def test_a_rotation_says_so_too(rotating: Rotating) -> None:
    with _absent_standby(rotating.rotation), rotating.command.start("rotation", "run", "--force") as running:
        _says_it_waits_and_ends(running)


def _says_it_waits_and_ends(running: Running) -> None:
    until(lambda: "synchronous_standby_names = the_standby" in running.stderr, "it says what it waits for")
    assert _ends(running) == 128 + signal.SIGTERM


@contextmanager
def _absent_standby(rotation: Rotation) -> Iterator[None]:
    """Commits wait for a synchronous standby that is not there."""
    with psycopg.connect(rotation.url, autocommit=True) as connection:
        connection.execute("SET synchronous_commit = local")
        connection.execute("ALTER SYSTEM SET synchronous_standby_names = 'the_standby'")
        connection.execute("SELECT pg_reload_conf()")
        try:
            yield
        finally:
            connection.execute("ALTER SYSTEM RESET synchronous_standby_names")
            connection.execute("SELECT pg_reload_conf()")


@needs_worker_process
def test_a_frozen_worker_process_keeps_neither_the_job_nor_a_signal_waiting(rotation: Rotation) -> None:
    """The leases of the frozen process end, the first process does its part, and kills it."""
    rotation.seed(20_000)
    soon = """
import fluxbase_cli.store.shards as shards
helper._END_S = helper._REPORT_S = 0.5
shards.LEASE_S = 3.0
"""
    arguments = (*_RE_ENCRYPT, "--batch-size", "100", "--max-rate", "500")
    with rotation.command.start_line(line(*arguments, also=soon)) as running:
        frozen = worker_process_of(rotation, running.pid)
        os.kill(frozen, signal.SIGSTOP)
        assert rotation.command("secrets", "tune", "--max-rate", "0").code == 0
        outcome = running.finish()
    assert outcome.code == 0, outcome.all
    assert f"the end of the worker process (process {frozen})" in outcome.stderr
    assert "the worker process did not end, and was killed" in outcome.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("arguments", [("secrets", "audit"), ("rotation", "run", "--force")], ids=lambda a: a[1])
def test_a_key_command_that_hangs_ends_with_the_command(
    rotation: Rotation, arguments: tuple[str, ...], number: signal.Signals
) -> None:
    """It is in a session of its own, and so is its child process: only we can end them."""
    here = rotation.command.directory
    script = f"trap '' TERM INT HUP; sleep 600 & echo $! > {here}/new; mv {here}/new {here}/child; wait; sleep 600"
    rotation.command.write(
        "fluxbase.yaml",
        "security:\n  encryption:\n    server: {keyring: versioned}\n    key_rotation: {enabled: true, "
        "schedule: '0 2 1 * *', auto_reencrypt: true, retain_old_keys: 1, reload_command: ['true']}\n"
        f'    keys:\n      - version: 1\n        key_command: ["sh", "-c", "{script}"]\n',
    )
    with rotation.command.lacking("FLUXBASE_SECRET_KEY_1", "FLUXBASE_SECRET_KEY_2").start(*arguments) as running:
        until((here / "child").exists, "the key command runs")
        child = int((here / "child").read_text())
        # Without a handler of ours, SIGTERM ends the process directly.
        assert _ends(running, number) in {128 + number, -number}
    until(lambda: not runs(child), "its child process has ended")
