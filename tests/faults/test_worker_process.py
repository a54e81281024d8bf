"""The second process of a large job: it does its part, stops when the first does, and the job survives its loss."""

from __future__ import annotations

import base64
import os
import signal
import sys
import time
from collections.abc import Sequence
from typing import Any

import pytest

from tests.faults.reader import read
from tests.fixtures.collector import Collector
from tests.fixtures.command import NEW_KEY, OLD_KEY, Rotation, until
from tests.fixtures.fluxbase import Fluxbase, open_all
from tests.fixtures.programs import needs_worker_process, runs

pytestmark = needs_worker_process

_COUNT = 20_000
_BEFORE_JOB = 17_000
_RE_ENCRYPT = ("secrets", "re-encrypt", "--from-version", "1", "--to-version", "2", "--batch-size", "100")
_SLOWLY = (*_RE_ENCRYPT, "--max-rate", "5000")
_GO_ON = (*_RE_ENCRYPT, "--max-rate", "1000000", "-o", "json")
#: The command, with a much lower limit for large jobs, and as if the machine had two processors.
_EAGER = """
import os, sys
import fluxbase_cli.engine.run.worker_process as helper
from fluxbase_cli.cli.app import main
helper.VALUES_A_PROCESS = 1
os.sched_getaffinity = lambda _: {0, 1}
"""
#: No process begins before both are there, so that each does a part.
_TOGETHER = """
import time
import psycopg
from fluxbase_cli.engine.run.pool import Pool
run = Pool.run
def run_when_both_are_there(pool):
    with psycopg.connect(os.environ["FLUXBASE_DATABASE_URL"], autocommit=True) as connection:
        while connection.execute("SELECT count(*) FROM fluxbase_rotation.runner").fetchone()[0] < 2:
            time.sleep(0.01)
    run(pool)
Pool.run = run_when_both_are_there
"""
_AT_ONCE_S = 5.0


def line(*arguments: str, also: str = "") -> list[str]:
    return [sys.executable, "-c", f"{_EAGER}{also}\nmain()", *arguments]


def runners(rotation: Rotation) -> Sequence[Any]:
    found: Sequence[Any] = rotation.command("secrets", "status", "1", "-o", "json").json["runners"]
    return found


def worker_process_of(rotation: Rotation, pid: int) -> int:
    """The id of the worker process, once both processes work."""
    its_pid = "SELECT max(pid) FROM fluxbase_rotation.runner WHERE pid <> %s"
    until(
        lambda: rotation.rows_done() > 1000 and rotation.value(its_pid, pid) is not None, "the worker process has begun"
    )
    return int(rotation.value(its_pid, pid))


def nonces(rotation: Rotation) -> list[bytes]:
    """The nonces of all sealed values, of all columns of all tables."""
    keys = {1: OLD_KEY, 2: NEW_KEY}
    stored = Fluxbase(rotation.url).stored().values()
    return [base64.b64decode(text)[:12] for text, user in stored if open_all(text, keys, user).versions]


def assert_all_done(rotation: Rotation, before: Any) -> None:
    after = read(rotation.url)
    assert after.lost == ()
    assert after.versions == {2: _COUNT}
    assert after.plaintexts == before.plaintexts


def test_two_processes_do_every_value_once_and_use_no_nonce_twice(rotation: Rotation) -> None:
    """Each process does its own shards. If the fork copied the random state, both would use the same nonces."""
    rotation.seed(_COUNT)
    before = read(rotation.url)
    with rotation.command.start_line(line(*_RE_ENCRYPT, "-o", "json", also=_TOGETHER)) as running:
        outcome = running.finish()

    assert outcome.code == 0, outcome.stderr
    assert (outcome.json["state"], outcome.json["updated"], outcome.json["moved"]) == ("completed", _BEFORE_JOB, 0)
    assert_all_done(rotation, before)
    assert [(runner["workers"], runner["alive"]) for runner in runners(rotation)] == [(2, False), (2, False)]
    written = rotation.rows(
        "SELECT sum((counts -> 'encrypted_value' ->> 'updated')::bigint) FROM fluxbase_rotation.shard"
        " WHERE pass = 0 AND counts ? 'encrypted_value' GROUP BY runner"
    )
    assert [number > 0 for (number,) in written] == [True, True]
    taken = nonces(rotation)
    assert (len(taken), len(set(taken))) == (_COUNT, _COUNT)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stop_reaches_the_worker_process_too(rotation: Rotation, number: signal.Signals, code: int) -> None:
    rotation.seed(_COUNT)
    before = read(rotation.url)
    with rotation.command.start_line(line(*_SLOWLY, "-o", "json")) as running:
        worker_process = worker_process_of(rotation, running.pid)
        asked = time.monotonic()
        # As a terminal or a service manager does: the signal goes to all processes.
        os.kill(worker_process, number)
        running.send(number)
        first = running.finish()
        assert time.monotonic() - asked < _AT_ONCE_S
    assert (first.code, first.json["state"]) == (code, "interrupted")
    assert not runs(worker_process)
    assert not any(runner["alive"] for runner in runners(rotation))
    # The reported numbers agree with the database. They include the part of the worker process.
    assert read(rotation.url).versions[2] == _COUNT - _BEFORE_JOB + first.json["re_encrypted"]

    second = rotation.command(*_GO_ON)
    assert (second.code, second.json["state"], second.json["updated"]) == (0, "completed", _BEFORE_JOB)
    assert_all_done(rotation, before)


def test_a_stop_by_the_command_reaches_both_processes(rotation: Rotation) -> None:
    rotation.seed(_COUNT)
    before = read(rotation.url)
    with rotation.command.start_line(line(*_SLOWLY, "-o", "json")) as running:
        worker_process = worker_process_of(rotation, running.pid)
        stopped = rotation.command("secrets", "stop", "--reason", "a sale", "-o", "json")
        first = running.finish()
    assert (stopped.code, stopped.json["runners"], stopped.json["runners_ended"]) == (0, 0, 2)
    assert (first.code, first.json["state"], first.json["stop_reason"]) == (130, "interrupted", "a sale")
    assert first.stderr.count("Stopped by ") == 1
    assert not runs(worker_process)
    assert read(rotation.url).versions[2] == _COUNT - _BEFORE_JOB + first.json["re_encrypted"]

    second = rotation.command(*_GO_ON)
    assert (second.code, second.json["state"], second.json["updated"]) == (0, "completed", _BEFORE_JOB)
    assert_all_done(rotation, before)


def test_when_the_first_process_is_killed_the_worker_process_ends_at_once(rotation: Rotation) -> None:
    rotation.seed(_COUNT)
    before = read(rotation.url)
    with rotation.command.start_line(line(*_SLOWLY)) as running:
        worker_process = worker_process_of(rotation, running.pid)
        running.kill()
    until(lambda: not runs(worker_process), "the worker process is gone")

    second = rotation.command(*_GO_ON)
    assert (second.code, second.json["state"], second.json["updated"]) == (0, "completed", _BEFORE_JOB)
    assert_all_done(rotation, before)


def test_when_the_worker_process_is_killed_the_first_process_finishes_alone(rotation: Rotation) -> None:
    rotation.seed(_COUNT)
    before = read(rotation.url)
    with rotation.command.start_line(line(*_SLOWLY, "-o", "json")) as running:
        os.kill(worker_process_of(rotation, running.pid), signal.SIGKILL)
        outcome = running.finish()

    assert outcome.code == 0, outcome.stderr
    assert "the worker process was ended from outside; continuing without it" in outcome.stderr
    assert (outcome.json["state"], outcome.json["updated"]) == ("completed", _BEFORE_JOB)
    assert_all_done(rotation, before)


def test_an_error_that_the_worker_process_cannot_fix_fails_the_job(rotation: Rotation) -> None:
    rotation.seed(_COUNT)
    broken = "def work(*_): raise helper.ReopenError\nhelper._work = work\n"
    with rotation.command.start_line(line(*_RE_ENCRYPT, also=broken)) as running:
        outcome = running.finish()

    assert outcome.code == 1
    assert "did not open to the same plaintext" in outcome.all
    assert rotation.command(*_RE_ENCRYPT).code == 0


def test_an_error_of_the_worker_process_keeps_its_words_and_its_exit_code(rotation: Rotation) -> None:
    rotation.seed(_COUNT)
    broken = (
        "from fluxbase_cli.errors import ConfigurationError\n"
        "def work(*_): raise ConfigurationError('the role lost its right', hint='Grant it again.')\n"
        "helper._work = work\n"
    )
    with rotation.command.start_line(line(*_RE_ENCRYPT, also=broken)) as running:
        outcome = running.finish()

    assert outcome.code == 2
    assert "Error: the role lost its right" in outcome.stderr
    assert "Grant it again." in outcome.stderr
    assert rotation.command(*_RE_ENCRYPT).code == 0


def test_telemetry_is_sent_by_the_first_process_only_and_counts_what_both_do(
    rotation: Rotation, collector: Collector
) -> None:
    """The thread that sends is at work when the process is forked."""
    rotation.seed(2000)
    variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint.url, "OTEL_METRIC_EXPORT_INTERVAL": "20"}

    with rotation.command.having(**variables).start_line(line(*_RE_ENCRYPT, "--yes", also=_TOGETHER)) as running:
        done = running.finish()

    assert done.code == 0, done.all
    assert "telemetry" not in done.stderr
    assert len(runners(rotation)) == 2
    spans = collector.spans
    assert [span.name for span in spans].count("secrets re-encrypt") == 1
    (main_pass,) = [span for span in spans if span.name == "pass 0"]
    assert main_pass.attributes["fluxbase.pass.values"] == 2000
