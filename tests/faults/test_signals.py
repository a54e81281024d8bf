"""SIGINT and SIGTERM: batches in progress are finished, and the same command resumes the job."""

from __future__ import annotations

import re
import signal
import time

import psycopg
import pytest

from tests.faults.reader import read
from tests.fixtures.command import Rotation, until

_COUNT = 20_000
_BEFORE_JOB = 17_000
_RE_ENCRYPT = ("secrets", "re-encrypt", "--from-version", "1", "--to-version", "2", "--batch-size", "100")
_AT_ONCE_S = 5.0


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_run_is_resumed_where_it_was(rotation: Rotation, number: signal.Signals, code: int) -> None:
    rotation.seed(_COUNT)
    before = read(rotation.url)
    with rotation.command.start(*_RE_ENCRYPT, "-o", "json") as running:
        until(lambda: rotation.rows_done() > 1000, "a part is done")
        running.send(number)
        asked = time.monotonic()
        first = running.finish()
        assert time.monotonic() - asked < _AT_ONCE_S

    assert first.code == code
    assert first.json["state"] == "interrupted"
    assert 0 < first.json["re_encrypted"] < _BEFORE_JOB
    assert first.json["remaining"] is None
    assert "Run the same command again: it resumes" in first.stderr
    job = rotation.command("secrets", "status", "1", "-o", "json").json
    assert (job["state"], job["alive"]) == ("interrupted", False)
    # The reported numbers agree with the database.
    assert read(rotation.url).versions[2] == _COUNT - _BEFORE_JOB + first.json["re_encrypted"]

    second = rotation.command(*_RE_ENCRYPT, "-o", "json")

    assert second.code == 0
    resumed = re.search(r"^Resuming job 1: (\d+)% done$", second.stderr, re.MULTILINE)
    assert resumed is not None
    assert 0 < int(resumed[1]) < 100
    assert (second.json["job"], second.json["state"]) == (1, "completed")
    # Over both runs, each value was counted once and written once.
    counts = {name: second.json[name] for name in ("scanned", "re_encrypted", "updated", "already_current", "moved")}
    assert counts == {
        "scanned": _COUNT,
        "re_encrypted": _BEFORE_JOB,
        "updated": _BEFORE_JOB,
        "already_current": _COUNT - _BEFORE_JOB,
        "moved": 0,
    }
    after = read(rotation.url)
    assert after.lost == ()
    assert after.versions == {2: _COUNT}
    assert after.plaintexts == before.plaintexts
    assert after.rest == before.rest


def test_an_interrupted_run_says_that_it_was_interrupted(rotation: Rotation) -> None:
    rotation.seed(_COUNT)
    with rotation.command.start(*_RE_ENCRYPT) as running:
        until(lambda: rotation.rows_done() > 500, "a part is done")
        running.send(signal.SIGINT)
        outcome = running.finish()

    assert outcome.code == 130
    assert "✓ Completed" not in outcome.stdout
    assert "the same command resumes it" in outcome.stdout
    assert "Stopping: finishing the batches in progress" in outcome.stderr


def test_a_stop_works_while_a_batch_waits_for_a_lock(rotation: Rotation) -> None:
    """The lock is not released: the statement is cancelled, and the batch is rolled back."""
    rotation.seed(1000)
    with psycopg.connect(rotation.url) as blocker:
        blocker.execute("SELECT FROM functions.secrets FOR UPDATE")
        with rotation.command.start(*_RE_ENCRYPT) as running:
            until(rotation.waits_for_a_lock, "the command waits for our lock")
            running.send(signal.SIGINT)
            asked = time.monotonic()
            outcome = running.finish()
            assert time.monotonic() - asked < _AT_ONCE_S

    assert outcome.code == 130
    assert rotation.command(*_RE_ENCRYPT).code == 0
    assert read(rotation.url).versions == {2: 1000}


def test_a_second_interrupt_ends_the_command_at_once(rotation: Rotation) -> None:
    rotation.seed(1000)
    with psycopg.connect(rotation.url) as blocker:
        blocker.execute("SELECT FROM functions.secrets FOR UPDATE")
        with rotation.command.start(*_RE_ENCRYPT) as running:
            until(rotation.waits_for_a_lock, "the command waits for our lock")
            running.send(signal.SIGINT)
            # A process sees only one of two equal signals that arrive at the same moment.
            until(lambda: "Stopping" in running.stderr, "the first is heard")
            running.send(signal.SIGINT)
            asked = time.monotonic()
            outcome = running.finish()
            assert time.monotonic() - asked < 1.0

    assert outcome.code == 130
    assert rotation.command(*_RE_ENCRYPT).code == 0
    assert read(rotation.url).versions == {2: 1000}


def test_an_audit_that_is_interrupted_proves_nothing(rotation: Rotation) -> None:
    rotation.seed(60_000)
    with (
        psycopg.connect(rotation.url, autocommit=True) as watching,
        rotation.command.start("secrets", "audit", "--batch-size", "1", "--concurrency", "1") as running,
    ):
        until(
            lambda: watching.execute(
                "SELECT 1 FROM pg_stat_activity WHERE application_name = 'fluxbase-cli'"
                " AND datname = current_database() AND query LIKE 'SELECT count(*), string_agg%'"
            ).fetchone(),
            "the audit reads",
        )
        running.send(signal.SIGTERM)
        outcome = running.finish()

    assert outcome.code == 143
    assert outcome.stdout == ""
    assert "proves nothing" in outcome.stderr
