"""`secrets stop` ends a job on all machines. The same command resumes it; a process that joins does not."""

from __future__ import annotations

import re
import sys

import psycopg
import pytest

from tests.faults.reader import read
from tests.fixtures.command import Rotation, until

_COUNT = 1000
_BEFORE_JOB = 850
_RE_ENCRYPT = ("secrets", "re-encrypt", "--from-version", "1", "--to-version", "2", "--yes")
_SLOWLY = (*_RE_ENCRYPT, "--max-rate", "20", "--concurrency", "2")
_QUICKLY = (*_RE_ENCRYPT, "--max-rate", "0", "-o", "json")
_REASON = "the disk is nearly full"
_STOP = ("secrets", "stop", "--reason", _REASON)
#: The heartbeat looks once a second, and its statements take time on a busy machine.
_SOON_S = 3.0


def _at_work(rotation: Rotation) -> None:
    until(lambda: rotation.rows_done() > 0, "it is at work")


def _slowest(rotation: Rotation) -> float:
    """How many seconds after the stop the last runner had recorded its end."""
    return float(
        rotation.value(
            "SELECT extract(epoch FROM max(r.ended_at) - max(j.stopped_at))"
            " FROM fluxbase_rotation.job AS j JOIN fluxbase_rotation.runner AS r ON r.job = j.id"
        )
    )


def _assert_nothing_lost(rotation: Rotation, before: object) -> None:
    after = read(rotation.url)
    assert after.lost == ()
    assert after.versions == {2: _COUNT}
    assert after.plaintexts == before


def test_a_stop_ends_all_processes_of_the_job_and_the_same_command_resumes_it(rotation: Rotation) -> None:
    rotation.seed(_COUNT)
    before = read(rotation.url).plaintexts
    with rotation.command.start(*_SLOWLY) as first:
        _at_work(rotation)
        with rotation.command.start(*_RE_ENCRYPT, "--join", "-o", "json") as second:
            until(lambda: "its share of 20/s for 2 runners" in first.stderr, "both are at work")
            stopped = rotation.command(*_STOP, "-o", "json")
            outcomes = [first.finish(), second.finish()]

    assert _slowest(rotation) < _SOON_S
    assert (stopped.code, stopped.json["job"], stopped.json["state"]) == (0, 1, "interrupted")
    assert (stopped.json["runners"], stopped.json["runners_ended"]) == (0, 2)
    assert (stopped.json["stopped"], stopped.json["stop_reason"]) == (True, _REASON)
    by = stopped.json["stopped_by"]
    for outcome in outcomes:
        assert outcome.code == 130, outcome.all
        assert outcome.stderr.count(f"Stopped by {by}: {_REASON}\n") == 1
    assert outcomes[0].stdout.splitlines()[-1].endswith(f"s. Stopped by {by}: {_REASON}")
    assert "Run the same command again" in outcomes[0].stderr
    assert outcomes[1].json["state"] == "interrupted"
    told = {name: outcomes[1].json[name] for name in ("stopped_at", "stopped_by", "stop_reason")}
    assert told == {name: stopped.json[name] for name in told}
    assert "`fluxbase-cli secrets resume` lets the job continue" in outcomes[1].stderr
    # What was done is recorded: the counts agree with the database.
    assert 0 < outcomes[1].json["updated"] < _BEFORE_JOB
    assert read(rotation.url).versions[2] == _COUNT - _BEFORE_JOB + outcomes[1].json["updated"]

    again = rotation.command(*_QUICKLY)

    assert (again.code, again.json["job"], again.json["state"]) == (0, 1, "completed")
    assert f"Job 1 was stopped by {by}: {_REASON}; it is not stopped any more" in again.stderr
    assert again.json["updated"] == _BEFORE_JOB
    assert "stopped_by" not in again.json
    _assert_nothing_lost(rotation, before)


def test_status_says_that_a_job_was_stopped_and_by_whom_and_why(rotation: Rotation) -> None:
    rotation.seed(_COUNT)
    with rotation.command.start(*_SLOWLY) as running:
        _at_work(rotation)
        by = rotation.command(*_STOP, "-o", "json").json["stopped_by"]
        running.finish()

    job = rotation.command("secrets", "status", "1", "-o", "json").json
    listed = rotation.command("secrets", "status", "-o", "json").json["jobs"][0]
    text = rotation.command("secrets", "status", "1").stdout
    assert "interrupted (stopped)" in text.splitlines()[0]
    assert re.search(rf"^Stopped: at [-0-9]+ [:0-9]+ UTC by {re.escape(by)}: {_REASON}$", text, re.MULTILINE)
    assert "`fluxbase-cli secrets re-encrypt --from-version 1 --to-version 2` resumes it" in " ".join(text.split())
    assert " stopped " in rotation.command("secrets", "status").stdout
    for each in (job, listed):
        assert (each["state"], each["alive"], each["stopped"]) == ("interrupted", False, True)
        assert (each["stopped_by"], each["stop_reason"]) == (by, _REASON)
    events = [event for event in job["events"] if event["what"] == "stopped"]
    assert [(f"{event['os_user']} on {event['host']}", event["reason"]) for event in events] == [(by, _REASON)]
    tuned = rotation.command("secrets", "tune")
    assert f"Job 1 was stopped by {by}: {_REASON}" in tuned.stdout

    assert rotation.command(*_QUICKLY).code == 0

    done = rotation.command("secrets", "status", "1", "-o", "json").json
    assert [done[name] for name in ("state", "stopped", "stopped_at", "stopped_by", "stop_reason")] == [
        "completed",
        False,
        None,
        None,
        None,
    ]
    assert [event["what"] for event in done["events"]] == [
        *("started", "tuned", "stopped", "interrupted", "resumed", "tuned", "completed")
    ]


def test_a_paused_job_can_be_stopped(rotation: Rotation) -> None:
    rotation.seed(_COUNT)
    with rotation.command.start(*_SLOWLY) as running:
        _at_work(rotation)
        rotation.command("secrets", "pause")
        until(lambda: "waiting: the job was paused by" in running.stderr, "it has heard it")
        stopped = rotation.command("secrets", "stop")
        outcome = running.finish()

    assert _slowest(rotation) < _SOON_S
    assert (stopped.code, outcome.code) == (0, 130)
    assert "1 runner ended" in stopped.stdout
    assert " stopped " in rotation.command("secrets", "status").stdout
    # One command ends both.
    resumed = rotation.command("secrets", "resume")
    assert "Job 1 is not stopped any more" in resumed.stdout
    assert "Job 1 is not paused any more" in resumed.stdout
    assert rotation.command(*_QUICKLY).code == 0


@pytest.mark.parametrize("option", [("--run-name", "nightly"), ("--join",)])
def test_a_process_that_is_started_again_does_not_undo_a_stop(rotation: Rotation, option: tuple[str, ...]) -> None:
    rotation.seed(_COUNT)
    before = read(rotation.url).plaintexts
    named = option[0] == "--run-name"
    with rotation.command.start(*_SLOWLY, *(option if named else ())) as running:
        _at_work(rotation)
        by = rotation.command(*_STOP, "-o", "json").json["stopped_by"]
        assert running.finish().code == 130
    done = rotation.rows_done()

    again = rotation.command(*_QUICKLY, *option)

    assert (again.code, again.stdout) == (2, "")
    assert again.stderr.startswith(f"Error: job 1 was stopped by {by}: {_REASON}\n")
    assert "`fluxbase-cli secrets resume`" in again.stderr
    assert rotation.rows_done() == done
    assert rotation.command("secrets", "status", "1", "-o", "json").json["stopped"]

    resumed = rotation.command("secrets", "resume", "-o", "json")
    assert (resumed.code, resumed.json["stopped"], resumed.json["stopped_by"]) == (0, False, None)
    last = rotation.command(*_QUICKLY, *option)
    assert (last.code, last.json["updated"]) == (0, _BEFORE_JOB), last.all
    _assert_nothing_lost(rotation, before)


def test_a_job_without_processes_can_be_stopped_too(rotation: Rotation) -> None:
    """Between the death of a pod and its restart no process works on the job."""
    rotation.seed(_COUNT)
    with rotation.command.start(*_SLOWLY, "--run-name", "a") as running:
        _at_work(rotation)
        running.kill()
    until(lambda: not rotation.command("secrets", "status", "1", "-o", "json").json["alive"], "its session is gone")

    stopped = rotation.command("secrets", "stop", "-o", "json")

    assert (stopped.code, stopped.json["state"], stopped.json["runners_ended"]) == (0, "interrupted", 0)
    assert "No process was working on it" in rotation.command("secrets", "stop").stdout
    assert rotation.command(*_QUICKLY, "--run-name", "a").code == 2
    assert rotation.command(*_QUICKLY).code == 0


def test_a_stop_is_refused_without_a_job(rotation: Rotation) -> None:
    outcome = rotation.command("secrets", "stop")

    assert outcome.code == 2
    assert "there is no unfinished job" in outcome.stderr
    assert rotation.value("SELECT to_regnamespace('fluxbase_rotation')") is None

    rotation.seed(20)
    assert rotation.command(*_QUICKLY).code == 0
    assert rotation.command("secrets", "stop").code == 2


def test_a_stop_reaches_a_batch_that_waits_for_a_lock_and_the_command_need_not_wait(rotation: Rotation) -> None:
    rotation.seed(_COUNT)
    with psycopg.connect(rotation.url) as blocker:
        blocker.execute("SELECT FROM functions.secrets FOR UPDATE")
        with rotation.command.start(*_QUICKLY) as running:
            until(rotation.waits_for_a_lock, "the command waits for our lock")
            stopped = rotation.command("secrets", "stop", "--no-wait", "-o", "json")
            outcome = running.finish()

    assert (stopped.code, stopped.json["runners"], stopped.json["runners_ended"]) == (0, 1, 0)
    assert outcome.code == 130
    assert rotation.command(*_QUICKLY).code == 0
    assert read(rotation.url).versions == {2: _COUNT}


def test_a_runner_that_does_not_end_is_named(rotation: Rotation) -> None:
    """As one of an older release, which knows no stop."""
    rotation.seed(_COUNT)
    with rotation.command.start(*_SLOWLY) as running:
        _at_work(rotation)
        running.kill()
    impatient = "from fluxbase_cli.cli.secrets import control\ncontrol._WAIT_S = 0.5\n"
    line = [sys.executable, "-c", f"{impatient}from fluxbase_cli.cli.app import main\nmain()", "secrets", "stop"]
    with psycopg.connect(rotation.url, autocommit=True) as other:
        (number,) = other.execute("SELECT max(number) FROM fluxbase_rotation.runner").fetchone() or (0,)
        until(
            lambda: (other.execute("SELECT pg_try_advisory_lock(%s, %s)", [0x666C7578, number]).fetchone() or [0])[0],
            "the killed session is gone, and another one has its lock",
        )
        with rotation.command.start_line(line) as stopping:
            stopped = stopping.finish()

    assert stopped.code == 1
    assert "Not ended yet: " in stopped.stdout
    assert f"(process {running.pid}, " in stopped.stdout


def test_a_stop_while_the_operator_reads_the_question_is_obeyed(rotation: Rotation) -> None:
    rotation.seed(_COUNT)
    with rotation.command.start(*_SLOWLY) as running:
        _at_work(rotation)
        assert rotation.command("secrets", "stop", "--reason", "first").code == 0
        assert running.finish().code == 130
    done = rotation.rows_done()

    def stop_again() -> str:
        assert rotation.command("secrets", "stop", "--reason", "second").code == 0
        return "y"

    command = [argument for argument in _SLOWLY if argument != "--yes"]
    outcome = rotation.command.on_terminal(*command, answers=[("Go ahead?", stop_again)], width=200)

    assert outcome.code == 130, outcome.all
    assert ": first" in outcome.stdout.partition("Go ahead?")[0]
    assert ": second" in outcome.stdout.partition("Go ahead?")[2]
    assert rotation.rows_done() == done
    job = rotation.command("secrets", "status", "1", "-o", "json").json
    assert (job["state"], job["stop_reason"]) == ("interrupted", "second")
