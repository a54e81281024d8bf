"""Several processes share one job, and the death of one does not stop the others."""

from __future__ import annotations

import signal
import threading
from contextlib import ExitStack

import psycopg
import pytest

from tests.faults.reader import read
from tests.fixtures.command import Rotation, until

_COUNT = 20_000
_BEFORE_JOB = 17_000
_RE_ENCRYPT = (
    *("secrets", "re-encrypt", "--from-version", "1", "--to-version", "2"),
    *("--batch-size", "20", "--concurrency", "1", "-o", "json"),
)


def _runners(rotation: Rotation) -> int:
    """How many runners hold a shard, or held one before."""
    return int(
        rotation.value(
            "SELECT count(DISTINCT runner) FROM fluxbase_rotation.shard WHERE rows_done > 0 AND runner IS NOT NULL"
        )
    )


def test_two_processes_do_every_value_once(rotation: Rotation) -> None:
    rotation.seed(_COUNT)
    before = read(rotation.url)
    with rotation.command.start(*_RE_ENCRYPT) as first:
        until(lambda: rotation.rows_done() > 500, "the first is at work")
        with rotation.command.start(*_RE_ENCRYPT, "--join") as second:
            until(lambda: _runners(rotation) == 2 or second.ended, "both are at work")
            outcomes = [first.finish(), second.finish()]

    assert "Joining job 1" in outcomes[1].stderr
    for outcome in outcomes:
        assert outcome.code == 0, outcome.stderr
        assert outcome.json["state"] == "completed"
        assert [outcome.json[n] for n in ("scanned", "re_encrypted", "updated")] == [_COUNT, _BEFORE_JOB, _BEFORE_JOB]
    done = [round(o.json["rate_per_second"] * o.json["elapsed_seconds"]) for o in outcomes]
    assert done[1] > 0
    after = read(rotation.url)
    assert after.versions == {2: _COUNT}
    assert after.plaintexts == before.plaintexts


@pytest.mark.parametrize("dies", ["first", "second"])
def test_the_death_of_one_process_does_not_stop_the_other(rotation: Rotation, dies: str) -> None:
    """Its session is gone, so others take its shards at once, and not only when the lease has ended."""
    rotation.seed(_COUNT)
    with rotation.command.start(*_RE_ENCRYPT) as first:
        until(lambda: rotation.rows_done() > 500, "the first is at work")
        with rotation.command.start(*_RE_ENCRYPT, "--join") as second:
            until(lambda: _runners(rotation) == 2, "both are at work")
            victim, survivor = (first, second) if dies == "first" else (second, first)
            victim.kill()
            outcome = survivor.finish(timeout_s=25)

    assert outcome.code == 0, outcome.stderr
    assert [outcome.json[n] for n in ("scanned", "re_encrypted", "updated")] == [_COUNT, _BEFORE_JOB, _BEFORE_JOB]
    assert read(rotation.url).versions == {2: _COUNT}


def test_a_stop_of_one_process_leaves_the_job_running(rotation: Rotation) -> None:
    rotation.seed(_COUNT)
    with rotation.command.start(*_RE_ENCRYPT) as first:
        until(lambda: rotation.rows_done() > 500, "the first is at work")
        with rotation.command.start(*_RE_ENCRYPT, "--join") as second:
            until(lambda: _runners(rotation) == 2, "both are at work")
            first.send(signal.SIGTERM)
            stopped = first.finish()
            assert rotation.value("SELECT state FROM fluxbase_rotation.job") in ("running", "completed")
            outcome = second.finish()

    assert stopped.code == 143
    assert outcome.code == 0
    assert read(rotation.url).versions == {2: _COUNT}


def test_two_processes_that_begin_at_the_same_time_make_one_job(rotation: Rotation) -> None:
    """During its preparation, neither process sees the other. The database lets one of them begin."""
    rotation.seed(2000)
    with psycopg.connect(rotation.url) as blocker:
        # Both wait here and have prepared: the progress tables cannot be created.
        blocker.execute("SELECT pg_advisory_xact_lock(%s, 0)", [0x666C7578])
        with rotation.command.start(*_RE_ENCRYPT) as first, rotation.command.start(*_RE_ENCRYPT) as second:
            until(
                lambda: rotation.value(
                    "SELECT count(*) = 2 FROM pg_stat_activity WHERE datname = current_database()"
                    " AND application_name = 'fluxbase-cli' AND wait_event_type = 'Lock'"
                ),
                "both are prepared",
            )
            blocker.rollback()
            codes = sorted([first.finish().code, second.finish().code])

    assert codes == [0, 5]
    assert rotation.value("SELECT count(*) FROM fluxbase_rotation.job") == 1
    assert read(rotation.url).versions == {2: 2000}


def test_a_job_that_began_while_the_operator_read_the_question_is_not_superseded(rotation: Rotation) -> None:
    """Two operators: one reads the question, the other begins a job. The first one's yes must not supersede it."""
    rotation.seed(2000)
    with psycopg.connect(rotation.url) as blocker, ExitStack() as stack:
        blocker.execute("SELECT FROM functions.secrets FOR UPDATE")
        others = []

        def begin_another() -> str:
            others.append(stack.enter_context(rotation.command.start(*_RE_ENCRYPT)))
            until(rotation.waits_for_a_lock, "the other one's job is at work")
            return "y"

        # If the job were allowed to begin, it would wait for the lock too.
        letting_go = threading.Timer(10.0, blocker.rollback)
        letting_go.start()
        thinking = rotation.command.on_terminal(*_RE_ENCRYPT, answers=[("Go ahead?", begin_another)])
        letting_go.cancel()
        letting_go.join()
        blocker.rollback()
        other = others[0].finish()

    assert other.json["state"] == "completed"
    assert other.code == 0
    assert thinking.code == 5
    assert [row[0] for row in rotation.rows("SELECT state FROM fluxbase_rotation.job ORDER BY id")] == ["completed"]


def test_a_job_that_was_superseded_under_a_running_process_is_not_reported_as_a_success(rotation: Rotation) -> None:
    """The session with the heartbeat is terminated each time it reconnects. So a rollback is allowed to begin."""
    rotation.seed(2000)
    with psycopg.connect(rotation.url) as blocker:
        blocker.execute("SELECT FROM functions.secrets FOR UPDATE")
        with rotation.command.start(*_RE_ENCRYPT) as first:
            until(rotation.waits_for_a_lock, "the job is at work")

            def is_let_in() -> bool:
                if rotation.value("SELECT count(*) FROM fluxbase_rotation.job") == 2:
                    return True
                rotation.rows(
                    "SELECT pg_terminate_backend(pid) FROM pg_locks"
                    " WHERE locktype = 'advisory' AND classid = %s AND objsubid = 2"
                    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
                    0x666C7578,
                )
                return False

            rollback = ("secrets", "rollback", "--to-version", "1", "--reason", "test", "-o", "json")
            with rotation.command.start(*rollback) as back:
                until(lambda: back.ended or is_let_in(), "the rollback is let in")
                blocker.rollback()
                outcomes = [first.finish(), back.finish()]

    assert outcomes[1].code == 0
    assert read(rotation.url).versions == {1: 2000}
    assert outcomes[0].code == 1
    # The state is a documented one, and it is not a success.
    assert outcomes[0].json["state"] in ("failed", "interrupted")
